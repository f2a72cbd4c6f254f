# SPDX-License-Identifier: Apache-2.0

"""What happened when, and whether that is what should have happened."""

import json
import statistics
import threading
import time

# What every server that goes must see, in this order.
DRAIN = ('hook_message', 'agent_told', 'handler_started', 'handler_ended',
         'signal_accepted', 'server_deleted')

# Seconds by which the demo may see a message later than the agent: both poll
# the queue, and neither knows the moment of the post.
_QUEUE_POLL = 1.5


class Timeline:
    """Events as they happen.

    :param say: called with one line for people for each event.
    :param clock: seconds since the epoch; guests' logs tell no other time.
    """

    def __init__(self, say=print, clock=time.time):
        self.events = []
        self._say = say
        self._clock = clock
        self._zero = clock()
        self._lock = threading.Lock()

    def add(self, event, text, server=None, at=None, **details):
        """Note an event.

        :param at: when it happened, if it was not just now.
        """
        t = (self._clock() if at is None else at) - self._zero
        entry = {'t': round(t, 3), 'event': event, 'text': text}
        if server:
            entry['server'] = server
        with self._lock:
            self.events.append(dict(entry, **details))
            self._say('%7.1f s  %-8.8s  %s' % (t, server or '', text))

    def times(self, event, server=None):
        """Return when an event happened, earliest first."""
        return sorted(e['t'] for e in self.events if e['event'] == event and
                      (server is None or e.get('server') == server))


def summarize(timeline, with_hook):
    """Return the figures of a run and all that was wrong with it."""
    events = timeline.events
    sessions = [e for e in events if e['event'] == 'session_ended']
    deleted = [e['server'] for e in events if e['event'] == 'server_deleted']
    problems = _out_of_order(timeline, deleted) if with_hook else []
    return {
        'sessions_total': sum(e['sessions'] for e in events
                              if e['event'] == 'sessions_opened'),
        'sessions_finished': sum(e['result'] == 'finished' for e in sessions),
        'sessions_cut': sum(e['result'] == 'cut' for e in sessions),
        'servers_deleted': len(deleted),
        'drains_completed': sum(
            bool(timeline.times('signal_accepted', server))
            for server in deleted),
        'order_ok': not problems,
        'out_of_order': problems,
        'seconds_alarm_to_message': _between(
            timeline.times('alarm')[:1], timeline.times('hook_message')[:1]),
        # The message was there when the first of us two saw it.
        'seconds_message_to_handler': _median_between(
            timeline, ('hook_message', 'agent_told'), ('handler_started',),
            deleted),
        'seconds_handler_end_to_deletion': _median_between(
            timeline, ('handler_ended',), ('server_deleted',), deleted),
    }


def _out_of_order(timeline, deleted):
    """Return a sentence for each thing that came too early or not at all."""
    problems = []
    for server in deleted:
        seen = []
        for event in DRAIN:
            times = timeline.times(event, server)
            if not times:
                problems.append('%s: no %s before the deletion'
                                % (server, event))
            else:
                seen.append((event, times[0]))
        for (before, t1), (after, t2) in zip(seen, seen[1:]):
            slack = _QUEUE_POLL if before == 'hook_message' else 0
            if t2 + slack < t1:
                problems.append('%s: %s at %.1f s, but %s at %.1f s'
                                % (server, after, t2, before, t1))
        gone = timeline.times('server_deleted', server)[0]
        ends = timeline.times('session_ended', server)
        if ends and ends[-1] > gone:
            problems.append('%s: deleted with a session open' % server)
        told = timeline.times('agent_told', server)
        if told and not any(end > told[0] for end in ends):
            problems.append('%s: no session was open when it was told, which '
                            'proves nothing' % server)
    alarms = timeline.times('alarm')
    messages = timeline.times('hook_message')
    if not alarms or not messages or messages[0] < alarms[0]:
        problems.append('a server was told to go before the alarm')
    return problems


def _between(starts, ends):
    return round(ends[0] - starts[0], 2) if starts and ends else None


def _median_between(timeline, starts, ends, servers):
    def first(events, server):
        return sorted(t for event in events
                      for t in timeline.times(event, server))[:1]

    waits = [_between(first(starts, server), first(ends, server))
             for server in servers]
    waits = [wait for wait in waits if wait is not None]
    return round(statistics.median(waits), 2) if waits else None


def report(summary):
    """Return the lines for people about a run."""
    lines = ['Sessions  %(sessions_total)d opened, %(sessions_finished)d '
             'finished, %(sessions_cut)d cut' % summary,
             'Servers   %(servers_deleted)d deleted, %(drains_completed)d of '
             'them drained' % summary]
    for key, text in (
            ('seconds_alarm_to_message', 'alarm to hook message'),
            ('seconds_message_to_handler', 'hook message to drain handler'),
            ('seconds_handler_end_to_deletion',
             'end of drain handler to deletion')):
        if summary[key] is not None:
            lines.append('Seconds   %.1f from %s' % (summary[key], text))
    lines += ['Order     %s' % problem for problem in summary['out_of_order']]
    if summary['order_ok'] and summary['drains_completed']:
        lines.append('Order     as expected')
    return lines


def write(path, timeline, summary, release):
    """Write a run as one JSON document, which tools/draw_demo.py can draw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = sorted(timeline.events, key=lambda e: e['t'])
    path.write_text(json.dumps({'release': release, 'events': events,
                                'summary': summary}, indent=1) + '\n')
