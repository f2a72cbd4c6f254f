# SPDX-License-Identifier: Apache-2.0

"""Overhead: a scale-in with a hook that nobody needs, and one without."""

from bench import context as contexts
from bench import figures

NAME = 'overhead'
TITLE = 'What does a hook cost that nobody needs?'

RATIO = 1.15
# Seconds: a member that has just looked, looks again then.
POLL = 1


def _ends(scaling):
    """What whoever scales sees last, and what a tenant pays for until then."""
    return {
        scaling.STEP + ' over': lambda rounds: [
            round_.seconds for round_ in rounds],
        'server gone': lambda rounds: contexts.spans(rounds, 'asked', 'gone'),
    }


def _parts(scaling):
    return {
        'Nova asked to delete it': lambda rounds: contexts.spans(
            rounds, 'asked', 'nova_asked'),
        'of it ' + scaling.LAST: lambda rounds: [
            round_.look for round_ in rounds],
    }


def run(context):
    """Return the result, see `bench.figures.result`."""
    hooked = context.rounds(contexts.HOOK, 1, 0, context.pick(20, 2))
    unhooked = context.rounds(contexts.NONE, 1, 0, context.pick(10, 2))
    rows, goals, series = [], [], {}
    ends = _ends(context.scaling)
    for text, samples in {**ends, **_parts(context.scaling)}.items():
        with_hook, without = samples(hooked), samples(unhooked)
        base, total = figures.median(without), figures.median(with_hook)
        rows.append([text, base, figures.p95(without), total,
                     figures.p95(with_hook)])
        if text in ends:
            series['%s, with the hook' % text] = with_hook
            series['%s, without' % text] = without
            goals.append(figures.goal(
                '%s, median, against %g times %.2f s and a poll'
                % (text, RATIO, base), total, round(RATIO * base + POLL, 3),
                's'))
    return figures.result(
        ['Until', 'Without', '95 %', 'With', '95 %'], rows, goals,
        {'kind': 'steps', 'title': TITLE, 'series': series,
         'x': 'Seconds from the request for a scale-in'})
