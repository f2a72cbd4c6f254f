# SPDX-License-Identifier: Apache-2.0

"""Growth: more members that drain at once cost each of them no more."""

from bench import context as contexts
from bench import figures

NAME = 'growth'
TITLE = 'What do many drains at once cost?'

SIZES = (1, 5, 20, 50, 100)
QUICK_SIZES = (1, 5)
# Seconds of each drain.
DRAIN = 10
QUICK_DRAIN = 3

TIME_RATIO = 1.3
# The largest round against the second smallest; a single member pays alone
# what is asked once for all. A tenth for what the idle cloud asks by chance.
REQUESTS_RATIO = 1.1
_MEBIBYTE = 1 << 20


def run(context):
    """Return the result, see `bench.figures.result`."""
    rows, ratios, costs = [], [], {}
    seconds = context.pick(DRAIN, QUICK_DRAIN)
    for size in context.pick(SIZES, QUICK_SIZES):
        [hooked] = context.rounds(contexts.HOOK, size, seconds)
        [unhooked] = context.rounds(contexts.NONE, size, 0)
        slowest = max(hooked.spans('runs', 'ends'))
        ratios.append((size, figures.growth_ratio(
            hooked.seconds, slowest, unhooked.seconds)))
        costs[size] = {
            service: figures.per_member(
                hooked.counts[service], hooked.idle[service], hooked.seconds,
                hooked.idle_seconds, size)
            for service in contexts.COUNTED}
        rows.append([
            size, hooked.seconds, slowest, unhooked.seconds, ratios[-1][1],
            max(hooked.spans('asked', 'waits')),
            *[round(cost, 1) for cost in costs[size].values()],
            _cpu(hooked, size),
            round(hooked.memory[1] / _MEBIBYTE)])
    goals = [figures.goal('%s: time against drain and deletion'
                          % contexts.members(size), ratio, TIME_RATIO)
             for size, ratio in ratios]
    few, many = sorted(costs)[min(1, len(costs) - 1)], max(costs)
    for service in contexts.COUNTED:
        if costs[few][service]:
            goals.append(figures.goal(
                'requests to %s a member, %d against %d members'
                % (service.capitalize(), many, few),
                costs[many][service] / costs[few][service], REQUESTS_RATIO))
    return figures.result(
        ['At once', 'Time', 'Drain', 'No hook', 'Ratio', 'Posted',
         *[service.capitalize() for service in contexts.COUNTED],
         'CPU', 'MiB'], rows, goals,
        {'kind': 'lines', 'title': TITLE, 'x': 'Members that drain at once',
         'y': 'Requests for each of them',
         'series': {service.capitalize(): [
             (size, cost[service]) for size, cost in costs.items()]
             for service in contexts.COUNTED}})


def _cpu(round_, size):
    """Seconds of CPU of Heat's for each member."""
    return figures.per_member(round_.cpu, round_.idle_cpu, round_.seconds,
                              round_.idle_seconds, size)
