# SPDX-License-Identifier: Apache-2.0

"""Mutation check: change the code in one place at a time, expect a red test.

Mutants that no test kills show what the tests do not guard. The work is done
on a copy of the tree. First, the tests run once with a probe in front of each
statement, which tells the tests that execute it; then each mutant has these
tests only, the fastest one first, in a process forked from one that has
imported everything else.

Tools made for this do not fit: Heat loads the plugin under another package
name, and the agent runs as a process of its own ("python -I"), which the tests
kill, so neither names of modules nor data that is saved at exit can be relied
upon.
"""

import argparse
import ast
import collections
import copy
import ctypes
import dataclasses
import importlib
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import time

import pytest

REPO = pathlib.Path(__file__).resolve().parents[1]

# Tests of a file, by the folder that it is in.
_TESTS = {'heat_plugins': ('tests/unit', 'tests/templates'),
          'templates': ('tests/agent',)}

# What a copy of the tree does without.
_LEFT_OUT = shutil.ignore_patterns('.git', '.tox', 'build', 'cover', '.venv',
                                   '__pycache__', '*.egg-info')

# Time limit of a mutant: a multiple of what its tests take without a change.
_LIMIT_FACTOR = 5
_LIMIT_SECONDS = 30

# Seconds for the tests to clean up after a mutant that met its limit.
_GRACE_SECONDS = 10

# A mutant that collects without an end must not take the machine's memory.
_MEMORY_BYTES = 4 << 30

# prctl(2): processes whose parent has died become children of this one.
_PR_SET_CHILD_SUBREAPER = 36

_SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

# Writes "LINE TEST" once, at once: a process may be killed the next moment.
_PROBE = """
import os as _probe_os
_probe_seen = set()
def _probe(line):
    test = _probe_os.environ.get('PYTEST_CURRENT_TEST', '')
    if (line, test) not in _probe_seen:
        _probe_seen.add((line, test))
        log = _probe_os.open(%r, _probe_os.O_WRONLY | _probe_os.O_APPEND)
        _probe_os.write(log, ('%%d %%s\\n' %% (line, test)).encode())
        _probe_os.close(log)
"""


class Unusable(Exception):
    """The check cannot be made; the text says why."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one file.

    :ivar statement: line on which the statement with the change begins.
    :ivar source: the whole file with the change.
    """

    file: str
    line: int
    statement: int
    was: str
    now: str
    source: str = dataclasses.field(repr=False)


def mutants_of(file, source):
    """Yield the mutants of a file in the order of its lines."""
    tree = ast.parse(source)
    found = []
    for statement, holder, key, node in _places(tree):
        for variant in _variants(node):
            holder[key] = variant
            found.append(Mutant(file, node.lineno, statement.lineno,
                                _one_line(node), _one_line(variant),
                                ast.unparse(tree) + '\n'))
        holder[key] = node
    return sorted(found, key=lambda mutant: mutant.line)


def _places(tree, statement=None):
    """Yield (statement, where it can be replaced, under which key, node)."""
    for field, value in ast.iter_fields(tree):
        holder = value if isinstance(value, list) else vars(tree)
        keys = range(len(value)) if isinstance(value, list) else [field]
        for key in keys:
            node = holder[key]
            if not isinstance(node, ast.AST):
                continue
            inner = node if isinstance(node, ast.stmt) else statement
            if isinstance(node, (ast.stmt, ast.expr)):
                yield inner, holder, key, node
            yield from _places(node, inner)


def _variants(node):
    """Yield what a statement or an expression is replaced by."""
    match node:
        case ast.Compare(ops=ops):
            for number, operator in enumerate(ops):
                variant = copy.copy(node)
                variant.ops = list(ops)
                variant.ops[number] = _SWAPS[type(operator)]()
                yield variant
        case ast.BoolOp() | ast.BinOp() if type(node.op) in _SWAPS:
            variant = copy.copy(node)
            variant.op = _SWAPS[type(node.op)]()
            yield variant
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value // 10 if node.value >= 10
                               else node.value + 1)
        case ast.If() | ast.IfExp() | ast.While():
            # Of other tests the variants above are the negation.
            if not isinstance(node.test, (ast.Compare, ast.Constant,
                                          ast.UnaryOp)):
                variant = copy.copy(node)
                variant.test = ast.UnaryOp(ast.Not(), node.test)
                yield variant
        case ast.Return(value=ast.expr()):
            if not isinstance(node.value, ast.Constant):
                yield ast.Return(ast.Constant(None))
        case (ast.Expr(value=ast.Call()) | ast.Raise() | ast.Delete() |
              ast.Continue() |
              ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) |
              ast.AugAssign(target=ast.Attribute() | ast.Subscript())):
            yield ast.Pass()


def _one_line(node):
    """Return the source of a node, of a compound statement its first line."""
    return ast.unparse(node).splitlines()[0]


def with_probes(source, log):
    """Return a file that logs which of its statements which test executes."""
    tree = ast.parse(source)
    probe = ast.parse(_PROBE % str(log)).body

    for node in list(ast.walk(tree)):
        for field in ('body', 'orelse', 'finalbody'):
            block = getattr(node, field, None)
            # A lambda and an "if" expression have no list there.
            if not isinstance(block, list):
                continue
            setattr(node, field, [
                new for statement in block for new in
                ([statement] if _is_first_only(statement) else
                 [ast.parse('_probe(%d)' % statement.lineno).body[0],
                  statement])])
    start = next((number for number, statement in enumerate(tree.body)
                  if not _is_first_only(statement)), len(tree.body))
    tree.body[start:start] = probe
    return ast.unparse(tree) + '\n'


def _is_first_only(statement):
    """Return True for a docstring and for an import from __future__."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.ImportFrom(module='__future__'):
            return True
    return False


def lines_with_names(source):
    """Return {line of a statement outside functions: lines that need it}.

    These statements run when the file is loaded, before any test. Tests of
    what they define are the tests of the statements that name it.
    """
    tree = ast.parse(source)
    uses = collections.defaultdict(set)
    defined = {}

    def visit(node, statement, is_global):
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, ast.stmt) else statement
            if isinstance(child, ast.Name):
                uses[child.id].add(inner.lineno)
            elif isinstance(child, ast.Attribute):
                uses[child.attr].add(inner.lineno)
            if is_global and isinstance(child, ast.stmt):
                defined[child.lineno] = _names_of(child)
            visit(child, inner, is_global and not isinstance(
                child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))
    visit(tree, None, True)
    return {line: set().union(*(uses[name] for name in names)) - {line}
            for line, names in defined.items()}


def _names_of(statement):
    if isinstance(statement, ast.FunctionDef):
        return {statement.name}
    return {node.id for target in getattr(statement, 'targets', ())
            for node in ast.walk(target) if isinstance(node, ast.Name)}


class Recorder:
    """A plugin of pytest that notes how long each test took, if it passed."""

    def __init__(self):
        self.seconds = collections.Counter()
        self.failed = set()

    def pytest_collection_finish(self):
        # Later, what the plugin does when Heat loads it would count for the
        # first test only.
        if 'heat.engine.resources' in sys.modules:
            sys.modules['heat.engine.resources'].global_env()

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)


class Tree:
    """A copy of the tree, and runs of its tests in forked processes."""

    def __init__(self, root, folder):
        self.root = folder / 'tree'
        self.log = folder / 'output'
        shutil.copytree(root, self.root, ignore=_LEFT_OUT)

    def run(self, arguments, seconds=None, report=None):
        """Run pytest in a process of its own.

        :param seconds: time limit.
        :param report: where to write what has been seen, as JSON.
        :returns: its exit code, None for one that met the limit.
        """
        child = os.fork()
        if not child:
            # Whatever happens, the child must not go on as the parent.
            try:
                os._exit(self._in_child(arguments, report))
            finally:
                os._exit(70)
        try:
            return _end_of(child, seconds)
        finally:
            _end_children()

    def _in_child(self, arguments, report):
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES,) * 2)
        # A mutant that was compiled in the same second would be run again.
        sys.dont_write_bytecode = True
        os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
        os.chdir(self.root)
        sys.path[0] = str(self.root)
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        # This module is one of the copy from now on, like its package.
        for name in [name for name in sys.modules
                     if name.partition('.')[0] in ('tools', 'tests')]:
            del sys.modules[name]
        recorder = Recorder()
        code = pytest.main(['-q', '-p', 'no:cacheprovider', *arguments],
                           plugins=[recorder])
        if report:
            report.write_text(json.dumps({
                'seconds': recorder.seconds,
                'failed': sorted(recorder.failed),
                'modules': [
                    name for name, module in list(sys.modules.items())
                    if self._is_of_heat(name, module)]}))
        return int(code)

    def _is_of_heat(self, name, module):
        """Return True for a module of Heat's that is no plugin."""
        file = getattr(module, '__file__', None)
        return (name.startswith('heat.') and bool(file) and
                self.root not in pathlib.Path(file).parents)

    def output(self):
        return self.log.read_text(errors='replace')


def _end_of(child, seconds):
    """Return the exit code of a process, None if it had to be stopped."""
    ends = [(signal.SIGINT, seconds), (signal.SIGKILL, _GRACE_SECONDS)]
    for number, patience in ends if seconds else ():
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return (os.waitstatus_to_exitcode(status)
                        if number == signal.SIGINT else None)
            time.sleep(0.01)
        # The first one lets fixtures end what they have started.
        os.killpg(child, number)
    status = os.waitpid(child, 0)[1]
    return None if seconds else os.waitstatus_to_exitcode(status)


def adopt_orphans():
    """Become the parent of each descendant whose own parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children():
    """Return the IDs of the processes of which this one is the parent."""
    path = pathlib.Path('/proc/self/task/%d/children' % os.getpid())
    return [int(child) for child in path.read_text().split()]


def _end_children():
    """Kill what the tests of a mutant have left behind."""
    while left := children():
        for child in left:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class Check:
    """The mutation check of some files of a tree."""

    def __init__(self, tree, tests, say):
        self._tree = tree
        self._tests = tests
        self._say = say
        # {(file, line of a statement): tests that execute it}
        self._executed_by = collections.defaultdict(set)

    def prepare(self, files):
        """Learn which tests execute what, and import what they need."""
        probes = self._tree.log.with_name('probes')
        report = self._tree.log.with_name('report')
        self._sources, logs = {}, {}
        for number, file in enumerate(files):
            path = self._tree.root / file
            self._sources[file] = path.read_text()
            logs[file] = probes.with_name('probes-%d' % number)
            logs[file].touch()
            path.write_text(with_probes(self._sources[file], logs[file]))
        self._say('running the tests without a change: %s'
                  % ' '.join(self._tests))
        code = self._tree.run(self._tests, report=report)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise Unusable('the tests do not run, exit code %s:\n%s'
                           % (code, self._tree.output()))
        seen = json.loads(report.read_text())
        self._seconds = seen['seconds']
        for test in seen['failed']:
            self._say('left out, as it fails without a change: %s' % test)
        for file, log in logs.items():
            (self._tree.root / file).write_text(self._sources[file])
            self._read_probes(file, log, set(seen['failed']))
        # The first one chooses between threads and eventlet for all others.
        for name in sorted(seen['modules'], key='heat.tests.common'.__ne__):
            importlib.import_module(name)

    def _read_probes(self, file, log, failed):
        executed_by = collections.defaultdict(set)
        at_load = set()
        for entry in log.read_text().splitlines():
            line, _blank, test = entry.partition(' ')
            # "tests/unit/test_retry.py::test_end (call)"
            test = test.rpartition(' (')[0]
            if not test:
                at_load.add(int(line))
            elif test in self._seconds and test not in failed:
                executed_by[int(line)].add(test)
        everything = set().union(*executed_by.values())
        for line, users in lines_with_names(self._sources[file]).items():
            tests = set().union(*(executed_by.get(user, ())
                                  for user in users))
            self._executed_by[file, line] = tests or everything
        for line in executed_by.keys() | at_load:
            self._executed_by.setdefault(
                (file, line),
                everything if line in at_load else executed_by[line])

    def mutants(self, lines):
        """Return the mutants of all files.

        :param lines: {file: lines to change, empty for all of them}.
        """
        return [mutant for file, source in self._sources.items()
                for mutant in mutants_of(file, source)
                if not lines[file] or mutant.line in lines[file]]

    def outcome(self, mutant):
        """Return "killed", "timed out", "survived" or "not executed"."""
        tests = sorted(self._executed_by[mutant.file, mutant.statement],
                       key=self._seconds.get)
        if not tests:
            return 'not executed'
        limit = _LIMIT_SECONDS + _LIMIT_FACTOR * sum(
            self._seconds[test] for test in tests)
        path = self._tree.root / mutant.file
        path.write_text(mutant.source)
        try:
            code = self._tree.run(['-x', *tests], seconds=limit)
        finally:
            path.write_text(self._sources[mutant.file])
        if code is None:
            return 'timed out'
        if code in (pytest.ExitCode.USAGE_ERROR,
                    pytest.ExitCode.NO_TESTS_COLLECTED) and (
                        'ImportError while loading' not in
                        self._tree.output()):
            raise Unusable('pytest cannot run %s:\n%s'
                           % (' '.join(tests), self._tree.output()))
        return 'killed' if code else 'survived'


def summary(outcomes):
    """Return what is shown as JSON.

    :param outcomes: [(mutant, outcome)].
    """
    files = collections.defaultdict(collections.Counter)
    for mutant, outcome in outcomes:
        files[mutant.file].update(['tried', outcome])
    return {
        'files': files,
        'survivors': [
            {'file': mutant.file, 'line': mutant.line, 'outcome': outcome,
             'was': mutant.was, 'now': mutant.now}
            for mutant, outcome in outcomes
            if outcome in ('survived', 'not executed')]}


def table(result):
    """Return the same as text."""
    columns = ('tried', 'killed', 'timed out', 'survived', 'not executed')
    rows = [('file', *columns)] + [
        (file, *(str(counts[column]) for column in columns))
        for file, counts in result['files'].items()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for survivor in result['survivors']:
        lines += ['', '{file}:{line}: {outcome}'.format(**survivor),
                  '  - ' + survivor['was'], '  + ' + survivor['now']]
    return '\n'.join(lines)


def tests_of(files):
    """Return the folders with the tests of files."""
    tops = {pathlib.PurePath(file).parts[0] for file in files}
    if tops - set(_TESTS):
        raise Unusable('no tests are known for a file in %s; give a file in '
                       '%s, or the tests with --tests'
                       % (', '.join(sorted(tops - set(_TESTS))),
                          ' or '.join(_TESTS)))
    return [folder for top in sorted(tops) for folder in _TESTS[top]]


def lines_of(places):
    """Return {file: lines} of places that are FILE or FILE:LINE."""
    found = collections.defaultdict(set)
    for place in places:
        file, _colon, line = place.partition(':')
        found[file].update([int(line)] if line else [])
    return found


def say(text):
    """Show progress, where it does not mix with the result."""
    print(text, file=sys.stderr, flush=True)


def main(argv=None, root=REPO):
    parser = argparse.ArgumentParser(
        prog='mutants', description=__doc__.splitlines()[0])
    parser.add_argument(
        'places', nargs='+', metavar='FILE[:LINE]',
        help='what to change, such as heat_plugins/_signal.py, or one line '
             'of it')
    parser.add_argument(
        '--tests', nargs='+', metavar='PATH',
        help='tests to choose from; all that belong to the files if left out')
    parser.add_argument('--format', choices=('table', 'json'),
                        default='table')
    args = parser.parse_args(argv)
    os.nice(10)
    adopt_orphans()
    # As by an interrupt, what runs is ended and the copy removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lines = lines_of(args.places)
    try:
        with tempfile.TemporaryDirectory(prefix='mutants-') as folder:
            check = Check(Tree(root, pathlib.Path(folder)),
                          args.tests or tests_of(lines), say)
            check.prepare(lines)
            mutants = check.mutants(lines)
            outcomes = []
            for number, mutant in enumerate(mutants, 1):
                outcome = check.outcome(mutant)
                outcomes.append((mutant, outcome))
                say('%d of %d, %s:%d: %s'
                    % (number, len(mutants), mutant.file, mutant.line,
                       outcome))
    except Unusable as error:
        sys.exit('mutants: %s' % error)
    result = summary(outcomes)
    print(json.dumps(result, indent=2) if args.format == 'json'
          else table(result))


if __name__ == '__main__':
    main()
