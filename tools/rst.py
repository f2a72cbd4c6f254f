# SPDX-License-Identifier: Apache-2.0

"""reStructuredText that reads well in a terminal, on a forge and in Sphinx."""

import os
import re
import textwrap

WIDTH = 79


def page(note, *blocks):
    return '\n\n'.join([note.rstrip(),
                        *(b.strip('\n') for b in blocks if b)]) + '\n'


def heading(text, underline):
    return f'{text}\n{underline * len(text)}'


def paragraph(text):
    return '\n'.join(wrapped(text, ''))


def entry(name, description, facts):
    """One item of a definition list: what it is, then what holds for it."""
    lines = [literal(name), *wrapped(description, '  ')]
    said = fields(facts, '  ')
    return '\n'.join([*lines, '', said] if said else lines)


def fields(facts, indent=''):
    """A list of fields. A fact with several values has a field for each."""
    lines = []
    for fact, values in facts.items():
        for value in values if isinstance(values, list) else [values]:
            if value:
                lines += wrapped(f':{fact}: {value}', indent,
                                 hang=f'{indent}  ')
    return '\n'.join(lines)


def table(titles, rows):
    """A table whose cells are as wide as they need to be, the last wraps."""
    *others, _last = zip(titles, *rows)
    widths = [max(map(len, column)) for column in others]
    widths.append(WIDTH - sum(widths) - 2 * len(widths))
    border = '  '.join('=' * width for width in widths)
    lines = [border, *_row(titles, widths), border]
    for row in rows:
        lines += _row(row, widths)
    return '\n'.join([*lines, border])


def _row(cells, widths):
    folded = textwrap.wrap(cells[-1], widths[-1], break_long_words=False,
                           break_on_hyphens=False) or ['']
    head = ''.join(cell.ljust(width + 2)
                   for cell, width in zip(cells[:-1], widths))
    # A line whose first cell is empty goes on with the row above.
    blank = ' ' * len(head)
    return [(head + folded[0]).rstrip(),
            *((blank + line).rstrip() for line in folded[1:])]


def image(path, alternative):
    return '\n'.join([f'.. image:: {path}',
                      *wrapped(alternative, '   :alt: ', hang=' ' * 9)])


def link(path, page_path, text=None):
    """A link from one page to another file of the repository."""
    target = relative(path, page_path)
    return f'`{text} <{target}>`__' if text else f'`<{target}>`__'


def relative(path, page_path):
    return os.path.relpath(path, os.path.dirname(page_path) or '.')


def wrapped(text, indent, hang=None):
    return textwrap.wrap(' '.join(str(text).split()), WIDTH,
                         initial_indent=indent,
                         subsequent_indent=hang or indent,
                         break_long_words=False, break_on_hyphens=False)


def literal(value):
    text = (str(value).lower() if isinstance(value, bool) else str(value))
    return f'``{re.sub("`", "", text)}``'
