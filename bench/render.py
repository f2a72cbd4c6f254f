# SPDX-License-Identifier: Apache-2.0

"""Figures for people: on the terminal, as pictures, in the documentation."""

import json

import matplotlib
from matplotlib import figure

from bench import summary
from sandbox import cloud
from tools import rst

PAGES = cloud.REPO / 'doc' / 'source' / 'benchmark_figures'
PICTURES = cloud.REPO / 'doc' / 'source' / 'images' / 'bench'

_NOTE = """\
.. Written by "python -m bench --render" from the last run of the benchmark.
"""

# The same input gives the same file, with letters that can be searched.
matplotlib.rcParams.update({
    'svg.hashsalt': 'bench', 'svg.fonttype': 'none', 'font.size': 9})


def _cell(value):
    return '%.2f' % value if isinstance(value, float) else str(value)


def _goals(result):
    return [['met' if goal['met'] else 'MISSED',
             ('%g %s' % (goal['value'], goal['unit'])).strip(),
             ('%g %s' % (goal['limit'], goal['unit'])).strip(),
             goal['what']] for goal in result['goals']]


def _table(titles, rows):
    """A table in the manner of reStructuredText, each cell on one line."""
    columns = list(zip(titles, *rows))
    widths = [max(map(len, column)) for column in columns]
    border = '  '.join('=' * width for width in widths)

    def line(cells):
        return '  '.join(cell.ljust(width) for cell, width
                         in zip(cells, widths)).rstrip()
    return '\n'.join([border, line(titles), border, *map(line, rows),
                      border])


def _figures(result):
    # An empty first cell would go on with the row above.
    return _table(result['columns'],
                  [[_cell(value) or '-' for value in row]
                   for row in result['rows']])


def _when(result):
    machine = result['machine']
    return '%s%s, %d cores (%s), %d GiB of memory, %s, Python %s%s' % (
        'OpenStack %s, ' % result['release'] if 'release' in result else '',
        result['date'], machine['cores'], machine['processor'],
        machine['memory_gib'], machine['system'], machine['python'],
        ', in small sizes' if result['quick'] else '')


def text(results):
    """All figures of a run, for the terminal.

    :param results: {name: result}.
    """
    blocks = []
    for result in results.values():
        blocks += [result['title'], 'Measured on %s, in %d s.' % (
            _when(result), result['seconds'])]
        if 'error' in result:
            blocks.append('Not measured: ' + result['error'])
            continue
        blocks.append(_figures(result))
        blocks.append('\n'.join(
            '%-6s %s (at most %s): %s' % tuple(row)
            for row in _goals(result)))
    return '\n\n'.join(blocks) + '\n'


def pictures(results, folder, suffix, line):
    """Draw what each measurement of a line has to show; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, result in results.items():
        if not result.get('plot'):
            continue
        path = folder / ('%s-%s.%s' % (name, line, suffix))
        _draw(result['plot']).savefig(
            path, bbox_inches='tight', dpi=120,
            metadata={'Date': None} if suffix == 'svg' else None)
        paths.append(path)
    return paths


def documentation(lines):
    """Write tables and pictures for doc/source; return the paths.

    What is there of a line that was not measured on this machine stays: each
    file has the name of its line.

    :param lines: {line: {name: result}}.
    """
    PAGES.mkdir(parents=True, exist_ok=True)
    paths = []
    for line, results in lines.items():
        if results:
            paths += pictures(results, PICTURES, 'svg', line)
            paths += [_page(name, result, line)
                      for name, result in results.items()]
            paths.append(_write_decisive(results, line))
    return [*paths, _write('summary.inc', rst.page(_NOTE, _summary()))]


def _page(name, result, line):
    blocks = [rst.paragraph('Measured on %s.' % _when(result))]
    if 'error' in result:
        blocks.append(rst.paragraph('Not measured: ' + result['error']))
    else:
        blocks.append(_figures(result))
        if result['goals']:
            blocks.append(_table(['Goal', 'Measured', 'At most', 'Of'],
                                 _goals(result)))
        if result.get('plot'):
            blocks.append(rst.image(
                'images/bench/%s-%s.svg' % (name, line),
                'The same as a picture: %s' % result['title']))
    # Not a page of its own: the page about it includes it.
    return _write('%s-%s.inc' % (name, line), rst.page(_NOTE, *blocks))


def _write_decisive(results, line):
    """Keep what the summary needs once the results are elsewhere."""
    return _write(line + '.json',
                  json.dumps(summary.of(results), indent=1) + '\n')


def _summary():
    lines = {path.stem: json.loads(path.read_text())
             for path in sorted(PAGES.glob('*.json'))}
    return _table(['Figure', *lines],
                  [[_cell(value) for value in row]
                   for row in summary.rows(lines)])


def _write(name, text_):
    path = PAGES / name
    path.write_text(text_)
    return path


def _draw(plot):
    drawn = figure.Figure(figsize=(7, 3.5))
    axes = drawn.subplots()
    _KINDS[plot['kind']](axes, plot)
    axes.set_title(plot['title'])
    axes.set_xlabel(plot.get('x', ''))
    axes.set_ylabel(plot.get('y', ''))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return drawn


def _steps(axes, plot):
    """Part of the samples that are not above a value."""
    for label, samples in plot['series'].items():
        ordered = sorted(samples)
        axes.step([0, *ordered], [100 * i / len(ordered)
                                  for i in range(len(ordered) + 1)],
                  where='post', label='%s (%d)' % (label, len(ordered)))
    if 'limit' in plot:
        axes.axvline(plot['limit'], color='black', linestyle=':')
    axes.axhline(95, color='grey', linewidth=0.5)
    axes.set_xlim(left=0)
    plot.setdefault('y', 'Per cent of the drains')


def _lines(axes, plot):
    for label, points in plot['series'].items():
        axes.plot(*zip(*points), marker='o', label=label)
    ticks = sorted({x for points in plot['series'].values()
                    for x, _y in points})
    axes.set_xticks(ticks, ['%g' % x for x in ticks])
    axes.set_ylim(bottom=0)
    if 'limit' in plot:
        axes.axhline(plot['limit'], color='black', linestyle=':')


def _bars(axes, plot):
    """Bars one upon the other, one for each series."""
    names = list(dict.fromkeys(name for bars in plot['series'].values()
                               for name, _value in bars))
    labels = list(plot['series'])
    below = [0] * len(labels)
    for name in names:
        values = [dict(plot['series'][label]).get(name, 0)
                  for label in labels]
        axes.bar(labels, values, 0.5, bottom=below, label=name)
        below = [low + value for low, value in zip(below, values)]


_KINDS = {'steps': _steps, 'lines': _lines, 'bars': _bars}
