# SPDX-License-Identifier: Apache-2.0

"""The result of a run for people: on the terminal and in the documentation."""

import itertools

from sandbox import cloud
from sandbox import releases
from tools import rst

PAGE = cloud.REPO / 'doc' / 'source' / 'fault_results.txt'

_NOTE = """\
.. Written by "python -m faults --render" from the results of the last run.
"""

# {title: key of a result}
_COLUMNS = {'Sessions': 'sessions', 'Finished': 'finished',
            'Lost': 'lost_by_the_fault', 'Cut': 'cut', 'Drains': 'drains',
            'Gone': 'deleted', 'Late': 'late',
            'Again': 'deletes_repeated'}


def _row(result):
    # An empty first cell would go on with the row above.
    return [str(result.get(key, '?')) for key in _COLUMNS.values()]


def _is_broken(result):
    return 'BROKEN' if result['broken'] else 'kept'


def merged(reports):
    """Return the parts of a run, side by side or not, as one report."""
    # A part has every Nth injection, so they are taken in turns.
    turns = itertools.zip_longest(*(part['injections'] for part in reports))
    return dict(reports[0],
                seconds=max(part['seconds'] for part in reports),
                injections=[result for turn in turns for result in turn
                            if result])


def by_line(reports):
    """Return reports, those of parts put together, one for each line."""
    lines = {}
    for report in reports:
        lines.setdefault(report['release'], []).append(report)
    return [dict(merged(lines[line]), release=line)
            for line in releases.KNOWN if line in lines]


def summary(report):
    """Return the result as a table for people, and why what broke."""
    lines = ['', '%-11s' * (len(_COLUMNS) + 2) % (
        *_COLUMNS, 'Seconds', 'Invariants') + 'Faults']
    for result in report['injections']:
        lines.append('%-11s' * (len(_COLUMNS) + 2) % (
            *_row(result), result['seconds'], _is_broken(result))
            + ', '.join(result['faults']))
        lines += ['    ' + problem for problem in result['broken']]
    return '\n'.join(lines)


def page(reports):
    """Return the results of the lines as a part of the documentation."""
    return rst.page(_NOTE, *(block for report in reports
                             for block in _blocks(report)))


def _blocks(report):
    injections = report['injections']
    machine = report['machine']

    def total(key):
        return sum(result.get(key, 0) for result in injections)

    broken = ['%s: %s' % (', '.join(result['faults']), problem)
              for result in injections for problem in result['broken']]
    yield rst.paragraph(
        '**OpenStack %s**, %s, %d cores, %g GiB of memory, timeout of the '
        'hook %d s, seed %d: %d injections in %d minutes; %d sessions, of '
        'which %d were cut; %d drains.' % (
            report['release'], report['date'], machine['cores'],
            machine['memory_gib'], report['timeout'], report['seed'],
            len(injections), report['seconds'] / 60, total('sessions'),
            total('cut'), total('drains')))
    yield rst.table([*_COLUMNS, 'Faults'], [
        [*_row(result), ', '.join(result['faults'])
         + (' (broken)' if result['broken'] else '')]
        for result in injections])
    yield '\n'.join(line for problem in broken for line in rst.wrapped(
        problem, '* ', '  '))
