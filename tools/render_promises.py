# SPDX-License-Identifier: Apache-2.0

"""Write the tables of tests/README.rst, from tests/promises.toml.

    python -m tools.render_promises           writes them
    python -m tools.render_promises --check   fails if they are stale
"""

import ast
import functools
import itertools
import pathlib
import sys

from tools import generated
from tools import rst
from tools import suite
from tools import suite_results

PAGE = 'tests/README.rst'
MARK = '.. From here on "tox -e genref" writes, from promises.toml.\n'

# The marks of tests/functional/tenant.py, and where they let a test run.
_MARKS = {'needs_senlin': (suite.OLD,), 'needs_none': (suite.NEW,),
          'newest_line': (suite.NEW,)}


def lines_of(test):
    """Return the release lines on which CI runs a test, or all of a file.

    :raises KeyError: if there is no such test.
    """
    file, _, name = test.partition('::')
    marks = _marks(suite_results.TESTS / file)
    lines = set(suite.LINES[file.partition('/')[0]])
    return set().union(*(
        lines.intersection(*(_MARKS[mark] for mark in marks[test]
                             if mark in _MARKS))
        for test in ([name] if name else marks)))


@functools.lru_cache
def _marks(path):
    """Return {test: names of its marks, those of the file included}."""
    body = ast.parse(path.read_text()).body
    common = [_names(node.value) for node in body
              if isinstance(node, ast.Assign)
              and ast.unparse(node.targets[0]) == 'pytestmark']
    found = {}
    for node in itertools.chain(body, *(node.body for node in body
                                        if isinstance(node, ast.ClassDef))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith('test'):
            found[node.name] = set().union(
                *common, *map(_names, node.decorator_list))
    return found


def _names(expression):
    return {node.attr for node in ast.walk(expression)
            if isinstance(node, ast.Attribute)}


def _row(promise):
    files = sorted({test.partition('::')[0] for test in promise.tests})
    lines = set().union(*map(lines_of, promise.tests))
    return (' '.join(sorted(lines)), ', '.join(
        '%s %s' % (pathlib.Path(file).parent.name,
                   pathlib.Path(file).stem.removeprefix('test_'))
        for file in files), promise.text)


def render(head):
    """Return the page with its tables written anew."""
    blocks = []
    for section, promises in itertools.groupby(
            suite_results.promises(), lambda promise: promise.section):
        blocks += [rst.heading(section, '-'), rst.table(
            ('Release lines', 'Promise, and files of its tests'),
            [(lines, '%s (%s)' % (text, files))
             for lines, files, text in map(_row, promises)])]
    return rst.page(head.partition(MARK)[0] + MARK, *blocks)


def main():
    def produce():
        return {PAGE: render((generated.REPO / PAGE).read_text())}
    return generated.main(__doc__.splitlines()[0], produce, 'tests',
                          'README.rst', 'Stale tables')


if __name__ == '__main__':
    sys.exit(main())
