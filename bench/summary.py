# SPDX-License-Identifier: Apache-2.0

"""The figures that decide, those of all release lines side by side."""

# What it is, of which measurement, first cell of the row, number of the cell.
FIGURES = (
    ('Sessions of 200 that a scale-in cuts', 'sessions_cut', 'without', 3),
    ('... with the hook', 'sessions_cut', 'with the hook', 3),
    ('One server is told, median, s', 'told', 1, 2),
    ('... 95 %', 'told', 1, 3),
    ('Ten at once are told, 95 %', 'told', 10, 3),
    ('Fifty at once are told, 95 %', 'told', 50, 3),
    ('One drained server is gone, median, s', 'gone', 1, 2),
    ('... 95 %', 'gone', 1, 3),
    ('Ten at once are gone, 95 %', 'gone', 10, 3),
    ('Fifty at once are gone, 95 %', 'gone', 50, 3),
    ('A server is scaled in without a hook, s', 'overhead', 'server gone', 1),
    ('... with one that nobody needs', 'overhead', 'server gone', 3),
    ('A group grows, median, s', 'growth_during_drain', 'nothing drains', 2),
    ('... while a member drains', 'growth_during_drain',
     'a member drains for 60 s', 2),
    ('Fifty that drain for 10 s are gone, s', 'growth', 50, 1),
    ('Memory of an agent (PSS), MiB', 'software_deployment',
     'drain agent, 1 s', 5),
    ('A poll, CPU of Zaqar, ms', 'costs', 'zaqar', 1),
    ('A second of waiting, CPU of Heat, ms', 'costs', 'heat', 2),
    ('A signal, CPU of Heat, ms', 'costs', 'heat', 3),
)


def of(results):
    """Return what `rows` needs of the results of a line, {name: [row]}."""
    return {name: result['rows'] for name, result in results.items()
            if 'rows' in result and not result['quick']}


def rows(lines):
    """Return the rows of a table with a column for each line.

    :param lines: {line: what `of` has returned}.
    """
    return [[what, *(_cell(found, *where) for found in lines.values())]
            for what, *where in FIGURES]


def _cell(found, name, first, number):
    for row in found.get(name, ()):
        if row[0] == first:
            return row[number]
    return 'not measured'
