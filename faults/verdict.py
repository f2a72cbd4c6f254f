# SPDX-License-Identifier: Apache-2.0

"""The invariants: what may never happen, whatever fault there was.

Judged from what is seen from the outside: the clients of the sessions, Nova's
list of servers, the services' lists of what they keep, and the agents' logs.
"""

import dataclasses
import re

FINISHED = 'finished'
REFUSED = 'refused'

# An agent stops its handlers this part of the timeout before the end, to have
# time for the signal; see MAX_MARGIN in templates/agent/drain_agent.py.
MARGIN = 0.1

_LINE = re.compile(r'\S+Z \w+ (?P<text>.*)')
_BEGUN = re.compile(r'drain (\S{8}): begun')
_STARTED = re.compile(r'handler (\S+): started')
_ENDED = re.compile(r'handler (\S+): (?!started)')


@dataclasses.dataclass
class Session:
    """One session, as its own client has seen it.

    :param state: how it ended; see ``examples/sessions/client.py``.
    :param opened: seconds since the epoch, None if it never began.
    :param ended: the same, None if it has not ended.
    """

    server: str
    state: str
    opened: float = None
    ended: float = None
    problem: str = ''


@dataclasses.dataclass
class Drain:
    """A server that was to go, and what became of it.

    :param asked: when the tenant asked for it, seconds since the epoch.
    :param gone: when Nova had it no more, None if it is there.
    :param ended: whether nothing waits for it any more.
    :param log: what its agent has written.
    """

    phase: str
    server: str
    asked: float
    gone: float = None
    ended: bool = True
    log: str = ''


@dataclasses.dataclass
class Record:
    """All that one injection has left to judge.

    :param begun: when the fault began, seconds since the epoch.
    :param over: when it was over.
    :param lost: {server: [when]} the fault itself took the sessions with it,
        as a reboot does.
    :param overtime: seconds that a server may outlive its timeout, or the
        fault if that is longer; None for any time.
    :param repeated: how often the tenant had to delete a stack again.
    :param unusable: {phase: what was wrong when it was used again}.
    :param left: {kind: names} of what is still there after the stacks went.
    """

    timeout: float
    begun: float
    over: float
    sessions: list = dataclasses.field(default_factory=list)
    drains: list = dataclasses.field(default_factory=list)
    lost: dict = dataclasses.field(default_factory=dict)
    overtime: float = None
    repeated: int = 0
    unusable: dict = dataclasses.field(default_factory=dict)
    left: dict = dataclasses.field(default_factory=dict)


def broken(record):
    """Return a sentence for each thing that breaks an invariant."""
    return [*_cut_sessions(record), *_early_deletions(record),
            *_endless_drains(record), *_overtime(record),
            *_repeated_handlers(record),
            *_unusable(record), *_left(record), *_proves_nothing(record)]


def counts(record):
    """Return the figures of a record, for people."""
    drains = record.drains
    return {
        'sessions': sum(s.state != REFUSED for s in record.sessions),
        'finished': sum(s.state == FINISHED for s in record.sessions),
        'lost_by_the_fault': sum(_is_excused(record, s)
                                 for s in _cut(record)),
        'cut': sum(not _is_excused(record, s) for s in _cut(record)),
        'drains': len(drains),
        'deleted': sum(d.gone is not None for d in drains),
        'late': sum(d.gone is not None and d.gone >= _deadline(record, d)
                    for d in drains),
        'kept': sum(d.gone is None for d in drains),
        'deletes_repeated': record.repeated,
    }


def _cut(record):
    return [s for s in record.sessions if s.state not in (FINISHED, REFUSED)]


def _deadline(record, drain):
    return drain.asked + record.timeout * (1 - MARGIN)


def _is_excused(record, session):
    """Whether the fault, or the timeout, may cut a session."""
    if session.ended is None:
        return False
    if any(session.opened <= when <= session.ended
           for when in record.lost.get(session.server, ())):
        return True
    return any(drain.gone is not None
               and min(drain.gone, session.ended) >= _deadline(record, drain)
               for drain in record.drains if drain.server == session.server)


def _cut_sessions(record):
    for session in _cut(record):
        if not _is_excused(record, session):
            yield ('%.8s: a session was cut %s: %s' % (
                session.server, _after(record, session.ended),
                session.problem or session.state))


def _early_deletions(record):
    for drain in record.drains:
        if drain.gone is None or drain.gone >= _deadline(record, drain):
            continue
        late = [s for s in record.sessions
                if s.server == drain.server and s.opened is not None
                and not _is_excused(record, s)
                and (s.ended is None or s.ended > drain.gone)]
        if late:
            yield ('%.8s (%s): deleted with %d sessions open, %d s before its '
                   'timeout' % (drain.server, drain.phase, len(late),
                                drain.asked + record.timeout - drain.gone))


def _endless_drains(record):
    for drain in record.drains:
        if not drain.ended:
            yield ('%.8s (%s): its drain did not end'
                   % (drain.server, drain.phase))


def _overtime(record):
    for drain in record.drains:
        end = max(drain.asked + record.timeout, record.over)
        if None not in (record.overtime, drain.gone) and (
                drain.gone > end + record.overtime):
            yield ('%.8s (%s): gone %d s after its timeout' % (
                drain.server, drain.phase,
                drain.gone - drain.asked - record.timeout))


def _repeated_handlers(record):
    for drain in record.drains:
        for token, handler in repeated(drain.log):
            yield ('%.8s (%s): handler %s was run again in drain %s, though '
                   'it had finished' % (drain.server, drain.phase, handler,
                                        token))


def repeated(log):
    """Return (token, handler) of those that ran again after their end.

    :param log: text of an agent's log, of all its lives.
    """
    token = None
    ended, again = set(), []
    for line in log.splitlines():
        match = _LINE.match(line)
        text = match['text'] if match else ''
        begun, started, over = (pattern.match(text) for pattern in
                                (_BEGUN, _STARTED, _ENDED))
        if begun:
            token = begun[1]
        elif started and (token, started[1]) in ended:
            again.append((token, started[1]))
        elif over:
            ended.add((token, over[1]))
    return again


def _unusable(record):
    for phase, problem in record.unusable.items():
        yield 'what was in phase %s is of no use: %s' % (phase, problem)


def _left(record):
    for kind, names in record.left.items():
        if names:
            yield 'left behind: %s %s' % (kind, ', '.join(sorted(names)))


def _proves_nothing(record):
    """An injection that met no session would pass for ever."""
    if not any(s.opened is not None and s.opened < record.begun
               and (s.ended is None or s.ended > record.begun)
               for s in record.sessions):
        yield 'no session was open when the fault began, so it proves nothing'


def _after(record, when):
    if when is None:
        return 'and nobody knows when'
    return '%.1f s after the fault began' % (when - record.begun)
