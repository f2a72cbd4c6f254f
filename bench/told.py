# SPDX-License-Identifier: Apache-2.0

"""Told: a member begins to be waited for, and its drain handler runs."""

from bench import context as contexts
from bench import figures

NAME = 'told'
TITLE = 'How soon is a server told?'

# Seconds. At the agent's own poll of one second.
LIMIT = 1.0

# Members that drain at once: (rounds, seconds of each drain).
SIZES = {1: (20, 0), 10: (2, 10), 50: (1, 10)}
QUICK_SIZES = {1: (2, 0), 5: (1, 3)}


def run(context):
    """Return the result, see `bench.figures.result`."""
    rows, goals, series = [], [], {}
    who = context.scaling.WHO
    for size, (number, seconds) in context.pick(SIZES, QUICK_SIZES).items():
        rounds = context.rounds(contexts.HOOK, size, seconds, number)
        told = contexts.spans(rounds, 'waits', 'runs')
        rows.append([
            size, len(told), figures.median(told), figures.p95(told),
            *[figures.median(contexts.spans(rounds, start, end))
              for start, end in (('waits', 'posted'),
                                 ('posted', 'agent_told'),
                                 ('agent_told', 'runs'))],
            figures.p95(contexts.spans(rounds, 'posted', 'runs'))])
        goals.append(figures.goal('%s, 95 %%' % contexts.members(size),
                                  figures.p95(told), LIMIT, 's'))
        series['%s at once' % contexts.members(size)] = told
    return figures.result(
        ['At once', 'Drains', 'Median', '95 %', 'of it ' + who, 'the poll',
         'the agent', '95 % without ' + who], rows, goals,
        {'kind': 'steps', 'title': TITLE, 'series': series, 'limit': LIMIT,
         'x': 'Seconds from %s\'s wait to the drain handler' % who})
