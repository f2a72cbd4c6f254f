# SPDX-License-Identifier: Apache-2.0

"""Growth during a drain: the load comes back while a member lets go.

It is about Heat's groups, on every line.
"""

import time

from bench import context as contexts
from bench import figures
from bench import groups
from sandbox.services import postgres

NAME = 'growth_during_drain'
TITLE = 'How soon does a group grow while a member drains?'

# Seconds by which a drain may delay the growth.
LIMIT = 10

# How often, and seconds of each drain.
SIZES = (5, 60)
QUICK_SIZES = (1, 15)

# Members of the group before it grows or shrinks.
_MEMBERS = 2

# Seconds until who got no server asks again, as alarms do.
_REPEAT = 5

_NEVER = 'not served until the drain is over'


class Growths:
    """A group that grows and shrinks by one member.

    :param groups_: the `bench.groups.Groups` that it is one of.
    """

    def __init__(self, context, groups_, group):
        self._context = context
        self._groups = groups_
        self._group = group
        self._nova = postgres.connect(context.local.cloud, 'nova')

    def begin(self):
        self._group.scale('+%d' % _MEMBERS)
        self.rest(_MEMBERS)

    def rest(self, size):
        """Wait until the group has so many members, and does nothing."""
        self._context.wait(
            '%d members of the group "%s"' % (size, self._group.name),
            lambda: self._groups.ended((self._group, size)))

    def active(self):
        """Return the servers that are ACTIVE, by what Nova knows itself."""
        return {server for server, in postgres.ask(
            self._nova, "SELECT uuid FROM instances "
            "WHERE vm_state = 'active' AND deleted = 0")}

    def grow(self, repeat=contexts.PATIENCE):
        """Ask for a member; return the seconds until it is ACTIVE.

        :param repeat: seconds until it is asked for again.
        """
        before = self.active()
        asked = time.monotonic()
        again = asked

        def is_there():
            nonlocal again
            if time.monotonic() >= again:
                again += repeat
                self._group.scale('+1')
            return self.active() - before
        self._context.wait('another server', is_there, look=contexts.LOOK)
        return time.monotonic() - asked

    def drain(self, seconds):
        """Ask for a member less, and wait until its drain handler runs."""
        guests = {server: self._context.project.guest(server)
                  for server in self._group.servers()}
        self._context.prepare(guests, seconds)
        self._group.scale('-1')
        self._context.wait('a drain', lambda: any(
            '50-bench| runs' in contexts.agent_log(guest)
            for guest in guests.values()))


def _listening(context, growths):
    """Return the seconds of growths of (an idle group, one that drains)."""
    number, seconds = context.pick(SIZES, QUICK_SIZES)
    growths.begin()
    idle, draining = [], []
    for _number in range(number):
        growths.drain(seconds)
        draining.append(growths.grow())
        growths.rest(_MEMBERS)
        idle.append(growths.grow())
        growths.rest(_MEMBERS + 1)
        context.say('  %.1f s, and %.1f s while a member drains'
                    % (idle[-1], draining[-1]))
        growths.drain(0)
        growths.rest(_MEMBERS)
    return idle, draining


def _deaf(context, growths):
    """Return the same for a drain of Heat's own group."""
    _number, seconds = context.pick(SIZES, QUICK_SIZES)
    growths.begin()
    growths.drain(seconds)
    took = growths.grow(_REPEAT)
    context.say('  %.1f s in Heat\'s own group' % took)
    return took


def run(context):
    """Return the result, see `bench.figures.result`."""
    scaling = groups.Groups(context)
    found = scaling.create((contexts.TEMPLATES / 'handler.sh').read_text())
    idle, draining = _listening(
        context, Growths(context, scaling, found['hooked']))
    deaf = _deaf(context, Growths(context, scaling, found['deaf']))
    stack = found['hooked'].stack
    stack.start_delete()
    # It is answered for: what it needs would count in what is measured next.
    context.wait('the end of the stack', stack.is_cleared)
    _number, seconds = context.pick(SIZES, QUICK_SIZES)
    rows = [[text, len(samples), figures.median(samples), max(samples)]
            for text, samples in (
                ('nothing drains', idle),
                ('a member drains for %d s' % seconds, draining))]
    rows.append(["the same, Heat's own group", 1, _NEVER, deaf])
    return figures.result(
        ['While', 'Growths', 'Median, s', 'Longest, s'], rows,
        [figures.goal('a drain delays the growth, median',
                      figures.median(draining) - figures.median(idle), LIMIT,
                      's')],
        {'kind': 'steps', 'title': TITLE, 'y': 'Per cent of the growths',
         'x': 'Seconds from the signal until the server is ACTIVE',
         'series': {'nothing drains': idle, 'a member drains': draining,
                    "a member drains, Heat's own group": [deaf]}})
