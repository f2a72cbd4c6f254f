# SPDX-License-Identifier: Apache-2.0

"""The arithmetic of the benchmark, and the form of a result."""

import math
import statistics


def percentile(samples, percent):
    """Return the smallest sample that so many percent do not exceed.

    No sample is invented between two: of 20 samples the 95th percentile is
    the second largest.

    :raises ValueError: when there is no sample.
    """
    if not samples:
        raise ValueError('There is no sample, so there is no percentile.')
    ordered = sorted(samples)
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def p95(samples):
    return percentile(samples, 95)


def median(samples):
    return statistics.median(samples)


def per_member(requests, idle_requests, seconds, idle_seconds, members):
    """Return the requests that each drained member has cost.

    :param requests: number within the drain, which lasted `seconds`.
    :param idle_requests: number within `idle_seconds` of the same cloud
        without a drain; what is asked then is asked during a drain as well.
    """
    usual = idle_requests * seconds / idle_seconds if idle_seconds else 0
    return max(requests - usual, 0) / members


def growth_ratio(total, slowest_drain, deletion):
    """Return total time against what no implementation could go below.

    :param deletion: seconds that Senlin takes for the same without a hook.
    """
    return total / (slowest_drain + deletion)


def goal(what, value, limit, unit=''):
    """Return one goal of a result.

    :param what: a few words.
    :param limit: the largest good value.
    :param unit: of both, such as "s".
    """
    return {'what': what, 'value': round(value, 3), 'limit': limit,
            'unit': unit, 'met': round(value, 3) <= limit}


def result(columns, rows, goals, plot):
    """Return what a measurement returns.

    :param columns: titles of a table for people.
    :param rows: lists of as many values: text, integers, floats.
    :param goals: list of what `goal` returns.
    :param plot: what `bench.render` draws: a dict with "kind" ("steps",
        "lines" or "bars"), "title", "x", "y" and "series", {label: list}. Its
        list has samples for steps, pairs for lines, and pairs of name and
        number for bars. "limit" is a line to draw for a goal.
    """
    return {'columns': columns, 'rows': rows, 'goals': goals, 'plot': plot}
