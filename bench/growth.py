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
    """Return the result, see `bench.figures.result`.

    Beside the table it has "costs": for each size the requests and the seconds
    of CPU that each member costs a service, and those of Zaqar for a poll.
    """
    rows, goals, costs = [], [], {}
    counted = context.scaling.COUNTED
    seconds = context.pick(DRAIN, QUICK_DRAIN)
    sizes = [size for size in context.pick(SIZES, QUICK_SIZES)
             if size <= context.scaling.MOST]
    for size in sizes:
        [hooked] = context.rounds(contexts.HOOK, size, seconds)
        [unhooked] = context.rounds(contexts.NONE, size, 0)
        slowest = max(hooked.spans('runs', 'ends'))
        ratio = figures.growth_ratio(hooked.seconds, slowest,
                                     unhooked.seconds)
        costs[size] = cost = _cost(hooked)
        rows.append([
            size, hooked.seconds, slowest, unhooked.seconds, ratio,
            max(hooked.spans('asked', 'waits')),
            *[round(cost['requests'][name], 1) for name in counted],
            cost['cpu']['heat'], round(hooked.memory[1] / _MEBIBYTE)])
        goals.append(figures.goal(
            '%s: time against drain and deletion' % contexts.members(size),
            ratio, TIME_RATIO))
    few, many = sorted(costs)[min(1, len(costs) - 1)], max(costs)
    for name in counted:
        if costs[few]['requests'][name]:
            goals.append(figures.goal(
                'requests to %s a member, %d against %d members'
                % (name.capitalize(), many, few),
                costs[many]['requests'][name] / costs[few]['requests'][name],
                REQUESTS_RATIO))
    return dict(figures.result(
        ['At once', 'Time', 'Drain', 'No hook', 'Ratio', 'Posted',
         *[name.capitalize() for name in counted], 'CPU', 'MiB'],
        rows, goals,
        {'kind': 'lines', 'title': TITLE, 'x': 'Members that drain at once',
         'y': 'Requests for each of them',
         'series': {name.capitalize(): [
             (size, cost['requests'][name]) for size, cost in costs.items()]
             for name in counted}}), costs=costs)


def _cost(round_):
    """What each member of a round has cost, without what is asked anyhow."""
    def each(during, before):
        return {name: round(figures.per_member(
            during[name], before[name], round_.seconds, round_.idle_seconds,
            len(round_.members)), 4) for name in during}

    counts, cpu, polls = round_.idle
    return {
        'requests': each(round_.counts, counts),
        'cpu': each(round_.cpu, cpu),
        'polls_a_second': polls / round_.idle_seconds,
        'zaqar_cpu_of_a_poll': round(cpu['zaqar'] / polls, 5) if polls
        else None,
    }
