# SPDX-License-Identifier: Apache-2.0

"""Gone: a drain handler ends, and Nova is asked to delete the server."""

from bench import context as contexts
from bench import figures
from bench import told

NAME = 'gone'
TITLE = 'How soon is a drained server deleted?'

# Seconds on top of what whoever scales takes itself.
LIMIT = 1.0

# Rounds in which nobody else takes any time.
BASELINES = {1: 10, 10: 1, 50: 1}


def run(context):
    """Return the result, see `bench.figures.result`."""
    rows, goals, series = [], [], {}
    mode, start = context.scaling.OWN
    whose = context.scaling.WHO + "'s own"
    for size, (number, seconds) in context.pick(
            told.SIZES, told.QUICK_SIZES).items():
        rounds = context.rounds(contexts.HOOK, size, seconds, number)
        gone = contexts.spans(rounds, 'ends', 'nova_asked')
        own = contexts.spans(
            context.rounds(mode, size,
                           seconds if mode == contexts.DIRECT else 0,
                           min(number, BASELINES.get(size, 1))),
            start, 'nova_asked')
        above = figures.p95(gone) - figures.p95(own)
        rows.append([size, len(gone), figures.median(gone), figures.p95(gone),
                     len(own), figures.median(own), figures.p95(own), above])
        goals.append(figures.goal(
            '%s, 95 %% above %s' % (contexts.members(size), whose), above,
            LIMIT, 's'))
        series['%s at once' % contexts.members(size)] = gone
        series['%s, %d' % (whose, size)] = own
    return figures.result(
        ['At once', 'Drains', 'Median', '95 %', 'Own', 'Median', '95 %',
         'Above'], rows, goals,
        {'kind': 'steps', 'title': TITLE, 'series': series,
         'x': 'Seconds from the end of the handler to Nova\'s DELETE'})
