# SPDX-License-Identifier: Apache-2.0

"""Costs: CPU of each service for a poll, a signal and a second of waiting.

What they come to for a site of ten thousand servers is computed from them, by
the formulas of doc/source/at_scale.rst.
"""

import http.client
import time
import urllib.parse
import uuid

import psutil

from bench import context as contexts
from bench import figures

NAME = 'costs'
TITLE = 'What do a poll, a signal and a wait cost?'

# What has to do with a drain, as far as it is installed. Redis is where Zaqar
# keeps its messages, PostgreSQL where all others keep theirs.
SERVICES = ('zaqar', 'redis', 'heat', 'keystone', 'senlin', 'postgres')

# Requests to Zaqar, members that signal, seconds of waiting.
SIZES = (2000, 10, 30)
QUICK_SIZES = (300, 2, 10)

# A site for which the costs are added up: servers, seconds between two polls
# of one (three choices), drains per hour, seconds that each of them takes.
SERVERS = 10000
INTERVALS = (1, 5, 15)
DRAINS = 1000
DRAIN = 60


class Meter:
    """CPU seconds of each service from now on."""

    def __init__(self, local):
        self._processes = {name: _processes(local, name)
                           for name in SERVICES if name in local.services}
        self._before = self._sums()
        self._began = time.monotonic()

    def _sums(self):
        return {name: sum(_cpu(process) for process in processes)
                for name, processes in self._processes.items()}

    def read(self):
        """Return (seconds that have passed, {service: CPU seconds})."""
        now = self._sums()
        return time.monotonic() - self._began, {
            name: now[name] - self._before[name] for name in now}


def _processes(local, name):
    """All processes of a service, of each of which it is made."""
    leaders = [psutil.Process(local.processes.pid(part.name))
               for part in local.services[name].processes()]
    return [process for leader in leaders
            for process in (leader, *leader.children(recursive=True))]


def _cpu(process):
    try:
        times = process.cpu_times()
    # PostgreSQL has one for each connection.
    except psutil.NoSuchProcess:
        return 0
    return times.user + times.system


def poll(config, number):
    """Ask the hook's queue so many times, as an agent does that has no news.

    :raises BenchError: if Zaqar answers anything else than that.
    """
    queue = config['queue']
    url = urllib.parse.urlsplit(queue['url'])
    headers = {
        'Client-ID': str(uuid.uuid4()), 'X-Project-ID': queue['project_id'],
        'URL-Expires': queue['expires'], 'URL-Signature': queue['signature'],
        'URL-Methods': ','.join(queue['methods']),
        'URL-Paths': ','.join(queue['paths'])}
    for _number in range(number):
        # A connection each: the agent keeps none.
        connection = http.client.HTTPConnection(url.netloc, timeout=30)
        connection.request('GET', url.path + '?echo=true&limit=10',
                           headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status >= 300:
            raise contexts.BenchError('Zaqar answers a poll with %d.'
                                      % answer.status)


def measure(context):
    """Return {what: {service: CPU seconds of one}}, what idles taken off."""
    polls, members, seconds = context.pick(SIZES, QUICK_SIZES)
    context.say('  %d members without an agent' % members)
    stack = context.scaling.create_silent(members)
    config = stack.agent_config()
    context.say('  %d s of quiet' % seconds)
    took, idle = _measure(context, lambda: time.sleep(seconds))
    idle = {name: cpu / took for name, cpu in idle.items()}

    def cost(work, number):
        took, used = _measure(context, work)
        return {name: max(used[name] - idle[name] * took, 0) / number
                for name in used}

    context.say('  %d polls' % polls)
    costs = {'poll': cost(lambda: poll(config, polls), polls)}
    stack.start_delete()
    tokens = list(stack.wait_for_drains(members).values())
    context.say('  %d s of waiting for %d drains' % (seconds, members))
    costs['waited second'] = cost(
        lambda: time.sleep(seconds),
        seconds * context.scaling.waiting(members))
    context.say('  %d signals' % members)
    costs['signal'] = cost(lambda: _signal(stack, config['signal_url'],
                                           tokens), members)
    context.wait('the end of the stack', stack.is_gone)
    return costs


def _measure(context, work):
    meter = Meter(context.local)
    work()
    return meter.read()


def _signal(stack, url, tokens):
    for token in tokens:
        stack.signal({'lifecycle_action_token': token}, url)
    # Heat hands them on after its answer.
    time.sleep(3)


def at_scale(costs, servers=SERVERS, interval=1, drains=DRAINS,
             drain=DRAIN):
    """Return {service: cores that it needs at a site}.

    :param interval: seconds between two polls of one server.
    :param drains: per hour.
    :param drain: seconds that one takes, if Heat waits for it, and for no
        other at the same time: the worst that there is.
    """
    return {name: (servers / interval * costs['poll'][name]
                   + drains / 3600 * (costs['signal'][name]
                                      + drain * costs['waited second'][name]))
            for name in costs['poll']}


def run(context):
    """Return the result, see `bench.figures.result`."""
    costs = measure(context)
    rows = [[name, *(1000 * costs[what][name] for what in costs)]
            for name in costs['poll']]
    for row in rows:
        row += [at_scale(costs, interval=interval)[row[0]]
                for interval in INTERVALS]
    return {**figures.result(
        ['Service', 'Poll, ms', 'Second, ms', 'Signal, ms',
         *('Cores, %d s' % interval for interval in INTERVALS)],
        rows, [], None), 'costs': costs}
