# SPDX-License-Identifier: Apache-2.0

"""The suite runner fails on what was not tested, and tells of the rest."""

import ast
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from sandbox import cloud
from tests.unit import base
from tools import render_promises
from tools import suite
from tools import suite_results

LISTED = [suite_results.Skip('no gnu', ['functional 2'], 'It grazes.'),
          suite_results.Skip('no yak', ['*'], 'No wheel.', package='yak')]
LINES = {'functional': ('1', '2')}


def results(**tests):
    """Return the results of two lines: {test: (outcome on 1, on 2)}."""
    return {'functional %s' % line: {
        'functional/test_x.py::test_' + name: suite_results.Result(
            outcomes[number].partition(':')[0], 1,
            outcomes[number].partition(':')[2])
        for name, outcomes in tests.items() if outcomes[number]}
        for number, line in enumerate('12')}


def broken(seen, in_ci=True):
    return suite_results.broken(
        [suite_results.Promise('s', 'p', ['functional/test_x.py::test_a'])],
        seen, LINES, LISTED, in_ci)


@pytest.mark.parametrize('outcomes', [
    ('skipped:no gnu', 'passed'), ('passed', 'skipped:other'),
    ('skipped:no gnu is here', 'passed')])
def test_skip_that_is_not_listed_is_told(outcomes):
    """Tests would vanish from every run, and nobody notice."""
    [line] = suite_results.unlisted(results(a=outcomes), LISTED, True)

    assert 'test_x.py::test_a' in line
    assert 'tests/skips.toml' in line


def test_listed_skip_is_taken():
    """A run without what another line has would fail."""
    seen = results(a=('passed', 'skipped:no gnu, only yaks'))

    assert [] == suite_results.unlisted(seen, LISTED, True)
    assert [] == broken(seen)


def test_missing_package_fails_in_ci_only():
    """A user without root could not run the tests, or CI leave them out."""
    seen = results(a=('skipped:no yak', 'skipped:no yak'))

    assert 2 == len(suite_results.unlisted(seen, LISTED, True))
    assert [] == suite_results.unlisted(seen, LISTED, False)
    assert 1 == len(broken(seen))
    assert [] == broken(seen, in_ci=False)
    assert {'yak': 2} == suite_results.missing_packages(seen, LISTED)


@pytest.mark.parametrize('outcomes, said', [
    (('passed', ''), 'is missing on 2.'),
    (('', ''), 'is missing on 1, 2.'),
    (('skipped:no gnu', 'skipped:no gnu'), 'passed on no release line.')])
def test_promise_without_its_test_is_told(outcomes, said):
    """A promise would stand on a test that runs nowhere."""
    [line] = broken(results(a=outcomes))

    assert said in line


def test_promise_of_a_whole_file():
    """A file that is not collected would be missed by nobody."""
    promise = suite_results.Promise('s', 'p', ['functional/test_x.py'])
    seen = results(**{'a[1]': ('passed', 'passed')})

    assert [] == suite_results.broken([promise], seen, LINES, [], True)
    assert 1 == len(suite_results.broken([promise], {}, LINES, [], True))


def test_results_are_those_of_pytest(tmp_path):
    """The runner would judge tests that it does not know."""
    folder = tmp_path / 'tests' / 'unit'
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / '__init__.py').touch()
    (folder / 'test_y.py').write_text(
        'import unittest, pytest\n'
        '@pytest.mark.parametrize("one", ["a[b].c"])\n'
        'def test_passes(one): pass\n'
        'def test_fails(): assert False\n'
        '@pytest.mark.skipif(True, reason="no gnu")\n'
        'def test_skipped(): pass\n'
        'class Case(unittest.TestCase):\n'
        '    @unittest.skip("no yak")\n'
        '    def test_other(self): pass\n')
    junit = tmp_path / 'junit.xml'
    subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '--rootdir', tmp_path,
         '--override-ini=junit_family=xunit1', '-p', 'no:cacheprovider',
         '--junitxml', junit, folder],
        cwd=tmp_path, capture_output=True, check=False,
        env={name: os.environ[name] for name in ('PATH', 'HOME')
             if name in os.environ})

    seen = {name: (result.outcome, result.reason) for name, result in
            suite_results.read(junit).items()}
    assert {'unit/test_y.py::test_passes[a[b].c]': ('passed', ''),
            'unit/test_y.py::test_fails': ('failed', 'assert False'),
            'unit/test_y.py::test_skipped': ('skipped', 'no gnu'),
            'unit/test_y.py::Case::test_other': ('skipped', 'no yak'),
            } == seen
    assert {} == suite_results.read(tmp_path / 'missing.xml')


def test_runner_needs_nothing_of_openstack():
    """It could not start where it has yet to install the release lines."""
    done = subprocess.run(
        [sys.executable, '-I', '-S', '-c',
         'import sys; sys.path.insert(0, %r); from tools import suite'
         % str(base.REPO)], capture_output=True, text=True, check=False)

    assert '' == done.stderr


def test_engines_have_the_database_of_a_site():
    """A deadlock of MariaDB's would be met by a site first."""
    [engines] = [engines for _functional, engines in suite.plan()[-1]
                 if engines.name.endswith(suite.NEW)]

    assert cloud.PRODUCTION == engines.environment['SANDBOX_PROFILE']


def test_failures_are_the_last_words():
    """Of hours of tests the end of a log is what is seen of them in CI."""
    error = suite_results.Result('failed', 1, 'Error: one\ntwo' + 'x' * 500)
    seen = {'functional 1': {'functional/test_x.py::a': error,
                             'functional/test_x.py::b': error._replace(
                                 outcome='passed')}}

    [line] = suite_results.failed(seen)

    assert line.startswith(
        'functional 1: functional/test_x.py::a failed: Error: one twoxx')
    assert len(line) < 400


def test_stages_follow_each_other_and_lanes_do_not(tmp_path, monkeypatch):
    """Tests on the clock would run beside six clouds."""
    monkeypatch.setattr(suite, 'FOLDER', tmp_path)
    monkeypatch.setattr(suite, 'REPO', tmp_path)

    def command(name, script):
        return suite.Suite(name, [sys.executable, '-c', script])

    # Each of the two waits for the file of the other.
    def meet(own, other):
        return ('import pathlib, time; pathlib.Path("%s").touch()\n'
                'while not pathlib.Path("%s").exists(): time.sleep(0.01)'
                % (own, other))
    done = suite.run_all([
        [[command('a', meet('a', 'b'))], [command('b', meet('b', 'a'))]],
        [[command('c', 'import pathlib; assert pathlib.Path("a").exists()'),
          command('d', 'raise SystemExit(3)')]],
    ], lambda _text: None)

    assert {'a': 0, 'b': 0, 'c': 0, 'd': 3} == {
        ended.suite.name: ended.status for ended in done}
    assert ['c', 'd'] == [ended.suite.name for ended in done[2:]]


def test_nothing_is_begun_after_an_interrupt(tmp_path):
    """Whoever pressed Ctrl-C would have another cloud a moment later."""
    code = ('import pathlib, sys\n'
            'from tools import suite\n'
            'suite.FOLDER = suite.REPO = pathlib.Path(sys.argv[1])\n'
            'def command(name, script):\n'
            '    return suite.Suite(name, [sys.executable, "-c", script])\n'
            'suite.run_all([[[\n'
            '    command("a", "import pathlib, time;"\n'
            '            "pathlib.Path(\'a\').touch();"\n'
            '            "[time.sleep(0.1) for _second in range(600)]"),\n'
            '    command("b", "import pathlib; pathlib.Path(\'b\').touch()")'
            ']]], print)\n')
    with subprocess.Popen(
            [sys.executable, '-c', code, tmp_path], cwd=base.REPO,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True) as process:
        while not (tmp_path / 'a').exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)

    assert process.returncode
    assert not (tmp_path / 'b').exists()


def reasons():
    """Return {reason: path} of all skips that the tests are written with."""
    found = {}
    for path in sorted(suite_results.TESTS.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ('.skip', '.skipif', '.skipIf', '.skipUnless',
                     '.skipTest')):
                said = [argument for argument in (
                    *node.args, *(word.value for word in node.keywords))
                    if isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)]
                found.update({text.value: path for text in said})
    return found


def test_every_skip_is_listed():
    """The whole suite would run for an hour before it says so."""
    listed = [entry.reason for entry in suite_results.skips()]

    assert reasons()
    assert [] == [(reason, path.name) for reason, path in reasons().items()
                  if not reason.startswith(tuple(listed))]


def test_every_promise_has_its_tests():
    """A table that names no test promises what nothing shows."""
    for promise in suite_results.promises():
        assert promise.tests, promise
        for test in promise.tests:
            assert render_promises.lines_of(test), test


def test_table_of_promises_is_up_to_date():
    """A reader would look for a test that has another name by now."""
    page = pathlib.Path(base.REPO, render_promises.PAGE).read_text()

    assert render_promises.render(page) == page
