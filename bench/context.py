# SPDX-License-Identifier: Apache-2.0

"""What the measurements share: the cloud, a tenant, and drained servers."""

from concurrent import futures
import contextlib
import functools
import math
import pathlib
import threading
import time
import typing

import psutil

from bench import logs
from sandbox import bootstrap
from tests.functional import tenant

TEMPLATES = pathlib.Path(__file__).with_name('templates')

# How many servers are made at once: Nova and its neighbours give up when there
# are too many on two cores. They go all at once.
_BATCHES = (10, 5, 2, 1)

# How many single members are made for rounds one after the other. Each step of
# a group of Heat's touches all of its members.
_SINGLES = 5

# Seconds for all that is waited for once. The longest is that a hundred
# servers go, on a machine with two cores.
PATIENCE = 600

# Seconds between two looks at a database and the guests' folders, and for
# whatever is not measured.
LOOK = 0.05
_WAIT = 0.2

# Seconds until the guests are quiet, and of the quiet that is measured.
_SETTLE = 3
_QUIET = 10

# How members go: by the hook and the agent; by the hook, and we complete the
# lifecycle as the handler ends, where that is not all of it; without a hook.
HOOK, DIRECT, NONE = MODES = ('hook', 'direct', 'none')


class BenchError(Exception):
    """A measurement cannot go on; the text says why."""


class Round(typing.NamedTuple):
    """Members that went at once, and what that cost.

    :param members: {server: {event: seconds since the epoch}}.
    :param asked: when somebody asked for it, `over` when it was done.
    :param counts: {service: requests without polls} until the end.
    :param cpu: {service: seconds of CPU}, of API and engine together.
    :param idle: the same, in `idle_seconds` of quiet before: a tuple of
        counts, cpu, and the number of polls in that time.
    :param memory: bytes of Heat before and after.
    """

    members: dict
    asked: float
    over: float
    counts: dict
    cpu: dict
    idle: tuple
    idle_seconds: float
    memory: tuple

    def spans(self, start, end):
        """Seconds from one event to another of each member that has both."""
        return [events[end] - events[start]
                for events in self.members.values()
                if start in events and end in events]

    @property
    def seconds(self):
        return self.over - self.asked

    @property
    def look(self):
        """Seconds until whoever scales sees that the last member has gone."""
        return self.over - max(events['member_over']
                               for events in self.members.values())


def spans(rounds, start, end):
    """Seconds from one event to another, of all members of some rounds.

    :raises BenchError: when no member has both.
    """
    found = [span for round_ in rounds for span in round_.spans(start, end)]
    if not found:
        raise BenchError('No member has both "%s" and "%s": look at the logs '
                         'of the local cloud.' % (start, end))
    return found


def members(number):
    return '%d member%s' % (number, '' if number == 1 else 's')


class Context:
    """What each measurement is given.

    :param local: the LocalCloud, which is up.
    :param scaling: class of who scales in it: `bench.clusters.Clusters` or
        `bench.groups.Groups`.
    :param quick: small sizes, to try the benchmark and not to publish.
    :param say: called with a line of progress.
    """

    def __init__(self, local, scaling, quick=False, say=print):
        self.local = local
        self.scaling = scaling(self)
        self.quick = quick
        self.say = say
        self.project = tenant.Tenant(local)
        self._rounds = {}

    def pick(self, usual, quick):
        """Return one of two, by how thorough this run is."""
        return quick if self.quick else usual

    def wait(self, what, condition, patience=PATIENCE, look=_WAIT):
        """Return the first true value of a condition.

        :param look: seconds between two looks.
        :raises BenchError: when there is none in time.
        """
        end = time.monotonic() + patience
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise BenchError('Waited %d s for %s.' % (patience, what))
            time.sleep(look)

    def grow(self, group, size):
        """Make a group larger; return {server: its guest's folder}."""
        have = len(self.scaling.servers(group))
        if have > size:
            # Left by a round that failed.
            self.empty(group)
            have = 0
        while have < size:
            have += max(step for step in _BATCHES if step <= size - have)
            self.say('  %d of %d servers' % (have, size))
            self._resize(group, have)
        return {server: self.project.guest(server)
                for server in self.scaling.servers(group)}

    def empty(self, group):
        self._resize(group, 0)

    def _resize(self, group, size):
        self.wait_for_end(self.scaling.resize(group, size))

    def wait_for_end(self, step):
        """Return when what `scaling.resize` has asked for was over."""
        return self.wait('the end of a scaling step',
                         lambda: self.scaling.ended(step), look=LOOK)

    def prepare(self, guests, seconds):
        """Let agents be at rest, and drain handlers take so many seconds."""
        for guest in guests.values():
            (guest / 'var/lib/bench-seconds').write_text('%g\n' % seconds)
        for server, guest in guests.items():
            self.wait('the agent of ' + server,
                      lambda guest=guest: 'server ' in agent_log(guest))
        time.sleep(_SETTLE)

    def address(self, server):
        """Address of a server."""
        [first, *_others] = self.project.connection.compute.get_server(
            server).addresses[bootstrap.NETWORK]
        return first['addr']

    def tail(self, service):
        return logs.Tail(self.local.processes.log(service))

    @functools.cached_property
    def processes(self):
        """Return {service: its process}."""
        return {name: psutil.Process(self.local.processes.pid(name))
                for name in self.scaling.COUNTED}

    def cpu(self):
        """Return {service: seconds of CPU that it has had}."""
        times = {name: process.cpu_times()
                 for name, process in self.processes.items()}
        return {name: time.user + time.system
                for name, time in times.items()}

    # Rounds

    def rounds(self, mode, size, seconds, number=1):
        """Return so many rounds, done now unless somebody has had them.

        :param mode: one of MODES.
        :param size: members that go at once.
        :param seconds: that the drain handler of each takes.
        """
        if not self._rounds:
            self.say('One member, to warm up')
            # It pays for what is asked once and kept.
            Drains(self, HOOK, 0).run(1, 1)
        done = self._rounds.setdefault((mode, size, seconds), [])
        missing = number - len(done)
        if missing > 0:
            self.say('%d times %d members, %s, %g s each'
                     % (missing, size, {
                         HOOK: 'with the hook', NONE: 'without a hook',
                         DIRECT: 'completed by us'}[mode], seconds))
            done += Drains(self, mode, seconds).run(size, missing)
        return done[:number]

    @functools.cached_property
    def groups(self):
        """What all rounds share, by name."""
        return self.scaling.create((TEMPLATES / 'handler.sh').read_text())


class Drains:
    """Rounds of one kind, one after the other.

    Nothing is asked of the services while members drain: times come from
    logs, from the guests' folders, which lie on this machine, and from the
    database of whoever scales.
    """

    def __init__(self, context, mode, seconds):
        self._context = context
        self._mode = mode
        self._seconds = seconds
        self._queue = context.groups['queue']
        self._group = context.groups['unhooked' if mode == NONE else 'hooked']

    def run(self, size, number):
        """Return the rounds; of single members, some are made at once."""
        rounds = []
        while len(rounds) < number:
            per_growth = (min(_SINGLES, number - len(rounds))
                          if size == 1 else 1)
            guests = self._context.grow(self._group, size * per_growth)
            self._context.prepare(guests, PATIENCE if self._mode == DIRECT
                                  else self._seconds)
            for left in range(per_growth, 0, -1):
                rounds.append(self._drain(guests, size * (left - 1)))
                self._context.say('  %d of %d: %.1f s' % (
                    len(rounds), number, rounds[-1].seconds))
        return rounds

    def _drain(self, guests, left):
        """Let all but so many members go."""
        context = self._context
        counted = context.scaling.COUNTED
        services = {name: context.tail(name) for name in (*counted, 'nova')}
        quiet = _QUIET if left == 0 else 0
        cpu = context.cpu()
        time.sleep(quiet)
        idle_cpu = _since(cpu, context.cpu())
        idle = {name: logs.count(logs.requests(tail.lines()))
                for name, tail in services.items()}

        heat = context.processes['heat']
        memory = heat.memory_info().rss
        cpu = context.cpu()
        with contextlib.ExitStack() as stack:
            # Can be read to the end after the guest has gone.
            agents = {server: stack.enter_context(
                (guest / 'var/log/drain-agent.log').open())
                for server, guest in guests.items()}
            for log in agents.values():
                log.seek(0, 2)
            watch = _Watch(context, self._group, guests, (
                agents if self._mode == DIRECT else {}), self._seconds)
            asked = time.time()
            with watch:
                over = context.wait_for_end(
                    context.scaling.resize(self._group, left))
            # What is written last: Nova's log, when it has answered.
            time.sleep(0.5)
            members = watch.members()
            for server, events in members.items():
                events.update(logs.drain(agents[server]))
        found = {name: logs.requests(tail.lines())
                 for name, tail in services.items()}
        for server, at in logs.deletions(found['nova']).items():
            if server in members:
                members[server]['nova_asked'] = at
        # A message is posted just after somebody has begun to wait for it.
        waiting = sorted(
            (events for events in members.values() if 'waits' in events),
            key=lambda events: events['waits'])
        posts = logs.posts(found['zaqar'], self._queue)
        if len(posts) == 1:
            # Heat posts the messages of all of them at once.
            posts *= len(waiting)
        # One that was not seen to wait would give its message to another.
        if len(posts) == len(waiting):
            for events, at in zip(waiting, posts):
                events['posted'] = at
        for server in members:
            members[server]['asked'] = asked
            guests.pop(server)
        return Round(
            members, asked, over,
            {name: logs.count(found[name])[False] for name in counted},
            _since(cpu, context.cpu()),
            ({name: idle[name][False] for name in counted}, idle_cpu,
             idle['zaqar'][True]),
            quiet, (memory, heat.memory_info().rss))


class _Watch:
    """Look at who waits and at the guests, until told otherwise.

    :param completed: {server: log of its agent} of the members whose lifecycle
        is completed by us, `seconds` after their handler has begun.
    """

    def __init__(self, context, group, guests, completed, seconds):
        self._context = context
        self._group = group
        self._guests = dict(guests)
        self._completed = completed
        self._seconds = seconds
        # {token: (server, when it began to wait)}
        self._waits = {}
        # {server: when it was gone}
        self._gone = {}
        self._sent = {}
        self._members = context.scaling.watch(group)
        # As many at once as Heat's CFN API lets signals through.
        self._pool = futures.ThreadPoolExecutor(16)
        self._stop = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *args):
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()
        if self._error:
            raise self._error

    def _run(self):
        try:
            while not self._stop.wait(LOOK):
                self._look()
        except Exception as error:
            self._error = error
        self._look_at_guests()

    def _look(self):
        for token, wait in self._members.waits().items():
            self._waits.setdefault(token, wait)
        self._look_at_guests()
        for server, log in self._completed.items():
            self._complete(server, log)

    def _complete(self, server, log):
        """Be the agent and the hook of a server, and take no time for it."""
        if server in self._sent:
            return
        position = log.tell()
        events = logs.drain(log)
        log.seek(position)
        if time.time() < events.get('runs', math.inf) + self._seconds:
            return
        [token] = [token for token, (member, _since) in self._waits.items()
                   if member == server]
        self._sent[server] = time.time()
        self._pool.submit(self._context.scaling.complete, self._group, token)

    def _look_at_guests(self):
        for server, guest in list(self._guests.items()):
            if not guest.exists():
                self._gone[server] = time.time()
                del self._guests[server]

    def members(self):
        """Return {server: {event: time}} of those that went."""
        members = self._members.ended(self._gone)
        for server, since in {**self._members.waits(),
                              **self._waits}.values():
            if server in members:
                members[server]['waits'] = since
        for server, at in self._gone.items():
            members[server]['gone'] = at
        for server, at in self._sent.items():
            members[server]['completed_by_us'] = at
        return members


def _since(before, after):
    return {name: after[name] - before[name] for name in before}


def agent_log(guest):
    """What the agent of a guest has said so far."""
    path = guest / 'var/log/drain-agent.log'
    return path.read_text() if path.exists() else ''
