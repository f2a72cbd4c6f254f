# SPDX-License-Identifier: Apache-2.0

"""Overhead: a scale-in with a hook that nobody needs, and one without."""

from bench import context as contexts
from bench import figures

NAME = 'overhead'
TITLE = 'What does a hook cost that nobody needs?'

RATIO = 1.15
# Seconds: a member that has just looked, looks again then.
POLL = 1

_ENDS = (('nova_asked', 'Nova asked to delete'), ('gone', 'server gone'),
         (None, "Senlin's action over"))


def run(context):
    """Return the result, see `bench.figures.result`."""
    hooked = context.rounds(contexts.HOOK, 1, 0, context.pick(20, 2))
    unhooked = context.rounds(contexts.NONE, 1, 0, context.pick(10, 2))
    rows, series = [], {}
    for event, text in _ENDS:
        with_hook, without = (
            contexts.spans(rounds, 'asked', event) if event
            else [round_.seconds for round_ in rounds]
            for rounds in (hooked, unhooked))
        rows.append([text, figures.median(without), figures.p95(without),
                     figures.median(with_hook), figures.p95(with_hook)])
        if event != 'nova_asked':
            series['%s, with the hook' % text] = with_hook
            series['%s, without' % text] = without
    total, base = figures.median(with_hook), figures.median(without)
    return figures.result(
        ['Until', 'Without', '95 %', 'With', '95 %'], rows,
        [figures.goal('median with the hook against %.2f times %.2f s plus '
                      'one poll' % (RATIO, base), total,
                      round(RATIO * base + POLL, 3), 's')],
        {'kind': 'steps', 'title': TITLE, 'series': series,
         'x': 'Seconds from the request for a scale-in'})
