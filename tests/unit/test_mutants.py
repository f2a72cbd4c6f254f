# SPDX-License-Identifier: Apache-2.0

"""The mutation check: what it changes, and what it finds."""

import json
import pathlib
import subprocess
import sys
import textwrap

import pytest

from tools import mutants

REPO = pathlib.Path(__file__).resolve().parents[2]

CODE = '''\
"""A docstring of the module."""
LIMIT = 40
def is_full(number):
    """A docstring."""
    return number >= LIMIT
def never(number):
    return number
'''

TESTS = '''\
import code_of_ours
def test_limit():
    assert code_of_ours.is_full(50)
    assert not code_of_ours.is_full(30)
def test_that_fails_without_a_change():
    assert not code_of_ours.is_full(1000)
'''


def changes(source):
    return [(mutant.line, mutant.was, mutant.now)
            for mutant in mutants.mutants_of('file.py', source)]


@pytest.mark.parametrize(('source', 'was', 'now'), [
    ('x = a < b', 'a < b', 'a <= b'),
    ('x = a not in b', 'a not in b', 'a in b'),
    ('x = a and b', 'a and b', 'a or b'),
    ('x = not a', 'not a', 'a'),
    ('x = a - b', 'a - b', 'a + b'),
    ('x = True', 'True', 'False'),
    ('x = 60', '60', '6'),
    ('x = 0', '0', '1'),
    ('if a:\n    b = c', 'if a:', 'if not a:'),
    ('def f():\n    return a', 'return a', 'return None'),
    ('close(a)', 'close(a)', 'pass'),
    ('self.a = b', 'self.a = b', 'pass'),
    ('raise A', 'raise A', 'pass'),
])
def test_each_change_is_made(source, was, now):
    """Code of this kind would count as tested."""
    assert [(source[:source.index(was[:2])].count('\n') + 1, was, now)
            ] == changes(source)


@pytest.mark.parametrize('source', [
    '"""Text."""', 'x = "text"', 'x = None', 'def f():\n    return',
    'x = "%s" % a'])
def test_texts_are_left_alone(source):
    """Each message would be a survivor."""
    assert [] == changes(source)


def test_a_mutant_is_the_whole_file_with_one_change():
    """Two changes may hide each other."""
    first, second = mutants.mutants_of('file.py', 'x = 1\ny = a < b\n')

    assert 'x = 2\ny = a < b\n' == first.source
    assert 'x = 1\ny = a <= b\n' == second.source


def test_probes_change_nothing_but_the_log(tmp_path, monkeypatch):
    """Tests would fail without a change."""
    log = tmp_path / 'log'
    log.touch()
    monkeypatch.setenv('PYTEST_CURRENT_TEST', 'tests/test_a.py::test_b (call)')
    source = textwrap.dedent('''\
        """The docstring."""
        from __future__ import annotations
        try:
            raise ValueError
        except ValueError:
            found = [1]
        ''')
    namespace = {}

    exec(mutants.with_probes(source, log), namespace)

    assert 'The docstring.' == namespace['__doc__']
    assert [1] == namespace['found']
    assert ['%d tests/test_a.py::test_b (call)' % line
            for line in (3, 4, 6)] == log.read_text().splitlines()


def test_a_constant_is_tested_where_it_is_named():
    """It is read when the file is loaded, which is before any test."""
    lines = mutants.lines_with_names(
        'A = 1\nclass C:\n    B = 2\n    def f(self):\n'
        '        x = A\n        return self.B\n')

    assert {5} == lines[1]
    assert {6} == lines[3]
    assert 5 not in lines


def test_places():
    """A survivor could not be tried again by itself."""
    assert {'a.py': set(), 'b.py': {3, 7}} == mutants.lines_of(
        ['a.py', 'b.py:3', 'b.py:7'])


@pytest.fixture
def check(tmp_path):
    """Run the check on a tree with one module, in a process of its own."""
    root = tmp_path / 'root'
    root.mkdir()
    (root / 'pytest.ini').write_text('[pytest]\npythonpath = .\n')
    (root / 'code_of_ours.py').write_text(CODE)
    (root / 'test_it.py').write_text(TESTS)

    def run(script):
        done = subprocess.run(
            [sys.executable, '-c', 'import pathlib, sys\n'
             'from tools import mutants\n'
             'root = pathlib.Path(sys.argv[1])\n' + script, str(root)],
            cwd=REPO, capture_output=True, text=True)
        assert not done.returncode, done.stderr
        return done
    run.root = root
    return run


def test_survivors_are_told(check):
    """What no test guards would be guarded by nobody."""
    done = check('mutants.main(["code_of_ours.py", "--tests", "test_it.py", '
                 '"--format", "json"], root)')

    found = json.loads(done.stdout)
    assert {'code_of_ours.py': {'tried': 4, 'killed': 2, 'survived': 1,
                                'not executed': 1}} == found['files']
    assert [
        {'file': 'code_of_ours.py', 'line': 5, 'outcome': 'survived',
         'was': 'number >= LIMIT', 'now': 'number > LIMIT'},
        {'file': 'code_of_ours.py', 'line': 7, 'outcome': 'not executed',
         'was': 'return number', 'now': 'return None'}] == found['survivors']
    assert ('left out, as it fails without a change: '
            'test_it.py::test_that_fails_without_a_change') in done.stderr
    # The tree itself is as it was.
    assert CODE == (check.root / 'code_of_ours.py').read_text()


def test_tests_without_an_end_are_stopped_with_all_they_started(check):
    """One mutant would hold up all others, and load the machine for good."""
    (check.root / 'test_it.py').write_text(textwrap.dedent('''\
        import subprocess
        import time
        def test_without_an_end():
            subprocess.Popen(['sleep', '1000'], start_new_session=True)
            time.sleep(1000)
        '''))

    done = check(
        'mutants.adopt_orphans()\n'
        'folder = root.parent / "work"\n'
        'folder.mkdir()\n'
        'print(mutants.Tree(root, folder).run(["test_it.py"], seconds=5))\n'
        'print(mutants.children())\n')

    assert 'None\n[]\n' == done.stdout


def test_the_table_names_what_was_changed():
    """Nobody could look at a survivor."""
    mutant = mutants.Mutant('a.py', 3, 3, 'a < b', 'a <= b', '')

    text = mutants.table(mutants.summary([(mutant, 'survived'),
                                          (mutant, 'killed')]))

    assert ('file  tried  killed  timed out  survived  not executed\n'
            'a.py  2      1       0          1         0\n'
            '\n'
            'a.py:3: survived\n'
            '  - a < b\n'
            '  + a <= b') == text
