# SPDX-License-Identifier: Apache-2.0

"""What the logs of the local cloud tell about a drain, line by line.

Each process writes its own log with milliseconds, and all of them have the
clock of this machine. All times here are seconds since the epoch.
"""

import collections
import datetime
import re
import typing

from demo import watch

# By services that log in the manner of oslo.log, with the request in it in the
# manner of a web server. Nova leaves out the protocol when another one is in
# front of it, which logs the same request once more.
_REQUEST = re.compile(
    r'(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) .*'
    r'"(?P<method>[A-Z]+) (?P<path>[^\s"]+)(?: HTTP/1\.\d"|"(?= status: ))'
    r'(?P<rest>.*)')
# Nova's way to say how long it took to answer.
_DURATION = re.compile(r' time: (?P<seconds>[\d.]+)')
# What a guest asks: the agent has no other library than Python's.
_AGENT = '"Python-urllib/'
_SERVER = re.compile(r'/servers/(?P<server>[0-9a-f-]{36})$')
# A line of the handler of bench/templates/handler.sh.
_STAMP = re.compile(r'\S+ \S+ 50-bench\| (?P<event>runs|ends) '
                    r'(?P<time>\d+\.\d+)$')


class Request(typing.NamedTuple):
    """One request to a service, as the service has logged it."""

    method: str
    path: str
    answered: float
    seconds: float
    is_of_agent: bool

    @property
    def asked(self):
        return self.answered - self.seconds


class Tail:
    """What is added to a log from now on."""

    def __init__(self, path):
        self._path = path
        self._position = path.stat().st_size

    def lines(self):
        """Return the lines since the last call, without torn ones."""
        with self._path.open('rb') as log:
            log.seek(self._position)
            whole, newline, _torn = log.read().rpartition(b'\n')
        self._position += len(whole) + len(newline)
        return whole.decode('utf-8', 'replace').splitlines()


def request(line):
    """Return the Request that a line tells of, None if it tells of none."""
    match = _REQUEST.match(line)
    if not match:
        return None
    # Services write local time.
    time = datetime.datetime.fromisoformat(match['time']).timestamp()
    duration = _DURATION.search(match['rest'])
    return Request(match['method'], match['path'], time,
                   float(duration['seconds']) if duration else 0.0,
                   _AGENT in match['rest'])


def requests(lines):
    return [found for found in map(request, lines) if found]


def is_poll(request_):
    """Whether an agent has only looked for news."""
    return (request_.method == 'GET' and request_.is_of_agent
            and '/messages?' in request_.path)


def deletions(requests_):
    """Return {server: when Nova was asked first to delete it}."""
    found = {}
    for request_ in requests_:
        match = _SERVER.search(request_.path)
        if request_.method == 'DELETE' and match:
            found.setdefault(match['server'], request_.asked)
    return found


def posts(requests_, queue):
    """Return when each message was put on a queue, in order."""
    path = '/v2/queues/%s/messages' % queue
    return [request_.answered for request_ in requests_
            if (request_.method, request_.path) == ('POST', path)]


def drain(lines):
    """Return {event: time} of the only drain in an agent's log.

    The handler's own words are "runs" and "ends"; the others are the names of
    `demo.watch`.
    """
    events = {}
    for line in lines:
        stamp = _STAMP.match(line)
        if stamp:
            events[stamp['event']] = float(stamp['time'])
        for at, event, _text in watch.agent_events(line):
            events.setdefault(event, at)
    return events


def count(requests_):
    """Return {True: polls of agents, False: other requests}."""
    return collections.Counter(map(is_poll, requests_))
