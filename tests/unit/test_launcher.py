# SPDX-License-Identifier: Apache-2.0

"""The first command in a fresh clone."""

import configparser
import contextlib
import fcntl
import io
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile

import pytest

from demo import __main__ as demo
from sandbox import cloud
from sandbox import launcher
from sandbox import packages
from sandbox import prerequisites
from tools import suite
from tools import suite_results


@pytest.fixture
def clone(tmp_path):
    """What "run" needs of a clone, in a folder with spaces."""
    clone = tmp_path / 'a fresh clone'
    shutil.copytree(cloud.REPO / 'sandbox', clone / 'sandbox',
                    ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(cloud.REPO / 'run', clone)
    return clone


def run(path, *arguments, **options):
    return subprocess.run(
        [path, *arguments], capture_output=True, text=True, check=False,
        **options)


def is_free(path):
    """Return whether nobody holds the lock of a file or a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def environment(**extra):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith('SANDBOX_')}
    return dict(kept, **extra)


def test_usage_is_told_from_anywhere(clone, tmp_path):
    """Only from its own folder it would find what it is made of."""
    link = tmp_path / 'link'
    link.symlink_to(clone / 'run')

    for path in (link, clone / 'run'):
        for arguments in ([], ['--help']):
            done = run(path, *arguments, cwd='/')

            assert not done.returncode and not done.stderr
            for verb in launcher.VERBS:
                assert '  %s ' % verb in done.stdout


def test_unknown_command_is_refused(clone):
    """tox would take it for one of its own."""
    done = run(clone / 'run', 'dmeo')

    assert 2 == done.returncode
    assert 'There is no command "dmeo"' in done.stderr


def test_all_that_is_missing_is_told_before_anything_is_made(clone):
    """A user would install, start again, and learn of the next one."""
    odd = clone.rename(clone.with_name('50% of a clone'))
    with socket.socket() as stranger:
        stranger.bind(('127.211.0.1', 5000))
        stranger.listen()
        done = run(odd / 'run', 'demo', env=environment(
            SANDBOX_NETWORK='127.211.0', PATH=os.environ['PATH']))

    assert 2 == done.returncode
    assert '50% of a clone has a character' in done.stderr
    assert 'Port 5000 of 127.211.0.1, for keystone, is taken' in done.stderr
    assert not (odd / '.tox').exists()


@pytest.mark.parametrize('arguments', [
    ['tox', '-e', 'pep8'], ['tox', '-epy3,docs'], ['sandbox', 'down'],
    ['sandbox', 'env'], ['demo', '--help'],
    ['tox', '-e', 'py3', '--', '-e', 'demo'], ['tox', 'list'],
    ['tox', '-e', 'sandbox-2024.1', '--', 'down'],
    # It asks by itself, of the right cloud.
    ['sandbox', '--state-dir', '/x', 'up'], ['demo', '--release=2024.1'],
])
def test_nothing_is_asked_that_the_command_does_not_need(arguments):
    """A style check would be refused for want of memory."""
    assert [] == launcher.clouds(arguments[0], arguments[1:], {})
    assert [] == launcher.clouds('demo', [], {'SANDBOX_RELEASE': '2024.1'})


@pytest.mark.parametrize(('arguments', 'names'), [
    (['demo', '--keep'], ['sandbox']),
    (['test'], ['sandbox', 'sandbox-1', 'sandbox-2']),
    (['sandbox', 'up', '--heat-engines', '3'], ['sandbox']),
    (['tox', '-e', 'sandbox-2024.1', '--', 'up'], ['sandbox-2024.1']),
    (['tox', '-e', 'functional-2024.1'],
     ['sandbox-2024.1', 'sandbox-2024.1-1', 'sandbox-2024.1-2']),
    (['tox', '-e=pep8,demo'], ['sandbox']),
    (['tox', 'run', '--env', 'bench'], ['sandbox']),
])
def test_clouds_of_a_command_are_known(arguments, names):
    """It would be refused for its own cloud, or told of others too late."""
    assert names == [os.path.basename(cloud.state) for cloud in
                     launcher.clouds(arguments[0], arguments[1:], {})]


@pytest.mark.parametrize('arguments', [['suite'], ['tox', '-e', 'suite']])
def test_clouds_of_all_tests_are_those_of_its_runner(monkeypatch, arguments):
    """Ports would be asked for that no test uses."""
    monkeypatch.setattr(suite, '_is_installed', lambda line: True)
    monkeypatch.setattr(shutil, 'which', lambda program: program)
    started = []
    for lane in suite.plan()[-1]:
        names = lane[0].environment
        started += prerequisites.clouds(
            cloud.REPO, int(lane[0].command[lane[0].command.index('-n') + 1]),
            names)

    assert started == launcher.clouds(arguments[0], arguments[1:], {})

    monkeypatch.setattr(shutil, 'which', lambda program: None)
    assert 2 == len(launcher.clouds(arguments[0], arguments[1:], {}))


@pytest.mark.parametrize(('arguments', 'lines'), [
    (['suite'], ['', '2024.1', '2024.2', '2025.1', '2025.2', '2026.1']),
    (['tox', '-e', 'suite'],
     ['', '2024.1', '2024.2', '2025.1', '2025.2', '2026.1']),
    (['tox', '-e', 'pep8,demo-2024.1'], ['', '2024.1']),
    (['test'], ['']), (['tox', '-e', 'demo'], ['']),
])
def test_lines_are_known_by_their_commands(
        tmp_path, monkeypatch, arguments, lines):
    """A disk would be full, or a compiler missing, after some minutes."""
    monkeypatch.setattr(launcher, 'CLONE', str(tmp_path))
    monkeypatch.setattr(shutil, 'which', lambda program: program)

    assert lines == launcher.lines_to_install(arguments[0], arguments[1:])

    monkeypatch.setattr(shutil, 'which', lambda program: None)
    assert [line for line in lines if line != '2024.1'
            or 'suite' not in arguments] == launcher.lines_to_install(
                arguments[0], arguments[1:])
    monkeypatch.setattr(shutil, 'which', lambda program: program)

    monkeypatch.setattr(launcher, '_is_installed', lambda folder: (
        folder in ('cloud', 'cloud-2024.1', 'py3-2025.1')))
    assert [line for line in lines if line not in ('', '2024.1', '2025.1')
            ] == launcher.lines_to_install(arguments[0], arguments[1:])


def test_lines_of_the_suite_are_those_of_its_runner():
    """One more would be installed without being asked for."""
    assert sorted(launcher.SUITE_ENVIRONMENTS) == sorted(
        map(suite._environment, suite.ALL))


def test_clouds_of_tox_are_those_of_its_workers():
    """Ports and memory of another number of clouds would be asked for."""
    tox = (cloud.REPO / 'tox.ini').read_text()
    workers = re.findall(
        r'^\[testenv:(\w+).*\](?:\n.+)*?\ncommands = .* -n (\d+) .*functional',
        tox, re.MULTILINE)

    assert [(environment, str(launcher._WITH_CLOUDS[environment]))
            for environment in ('functional', 'core')] == workers


@pytest.mark.parametrize(('arguments', 'tox'), [
    (['demo'], ['run', '-e', 'demo']),
    (['demo', '--without-hook', 'a b'],
     ['run', '-e', 'demo', '--', '--without-hook', 'a b']),
    (['test', '-k', 'x'], ['run', '-e', 'py3,core', '--', '-k', 'x']),
    (['suite'], ['run', '-e', 'suite']),
    # What a shell evaluates is the answer, and nothing of tox.
    (['sandbox', 'env'], ['-qq', 'run', '-e', 'sandbox', '--', 'env']),
    (['tox', '-e', 'pep8', '--', 'x'], ['-e', 'pep8', '--', 'x']),
])
def test_later_arguments_are_passed_on(arguments, tox):
    """An option would be read by another program, or by none."""
    assert tox == launcher.tox_arguments(arguments[0], arguments[1:])


def test_environments_of_the_verbs_are_there():
    """tox would say "unknown environment" to the first command."""
    tox = configparser.RawConfigParser()
    tox.read(cloud.REPO / 'tox.ini')
    there = {section.partition('testenv:')[2].partition('{')[0]
             for section in tox.sections()}

    assert set(launcher._WITH_CLOUDS) <= there
    assert {environment for verb in launcher.VERBS.values()
            if verb.environments
            for environment in verb.environments.split(',')} <= there


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A small tox, so that nothing is downloaded."""
    wheel = tmp_path_factory.mktemp('wheel') / 'tox-4-py3-none-any.whl'
    with zipfile.ZipFile(wheel, 'w') as archive:
        for name, text in (
                ('tox/__init__.py', ''),
                ('tox/__main__.py', 'import sys; print(sys.argv[1:])'),
                ('tox-4.dist-info/METADATA',
                 'Metadata-Version: 2.1\nName: tox\nVersion: 4\n'),
                ('tox-4.dist-info/WHEEL',
                 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\n'
                 'Tag: py3-none-any\n'),
                ('tox-4.dist-info/RECORD', '')):
            archive.writestr(name, text)
    return str(wheel)


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """A clone in which tox was installed, and what was printed."""
    clone = tmp_path_factory.mktemp('installed') / 'a clone'
    clone.mkdir()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(
            io.StringIO()) as said:
        patch.setattr(launcher, 'CLONE', str(clone))
        patch.setattr(launcher, 'TOX', wheel)
        assert launcher.bootstrap_python() is None
        launcher.make_bootstrap(sys.executable)
    return clone, said.getvalue()


@pytest.fixture
def bootstrap(installed, wheel, tmp_path, monkeypatch):
    """The environment of tox in a clone that is a test's own."""
    clone = tmp_path / 'a clone'
    shutil.copytree(installed[0], clone, symlinks=True)
    record = clone / '.tox/bootstrap/made-for.json'
    record.write_text(record.read_text().replace(
        str(installed[0]), str(clone)))
    monkeypatch.setattr(launcher, 'CLONE', str(clone))
    monkeypatch.setattr(launcher, 'TOX', wheel)
    assert launcher.bootstrap_python()
    return clone / '.tox/bootstrap'


def test_tox_is_installed_into_the_clone(installed, wheel, monkeypatch):
    """Debian refuses to install it beside its own Python."""
    clone, said = installed
    monkeypatch.setattr(launcher, 'CLONE', str(clone))
    monkeypatch.setattr(launcher, 'TOX', wheel)

    python = launcher.bootstrap_python()

    assert str(clone / '.tox/bootstrap/bin/python') == python
    assert "['-e', 'a b']" == run(
        python, '-I', '-m', 'tox', '-e', 'a b').stdout.strip()
    # One line, and nothing of pip.
    assert 'Installing tox ...\n' == said


def test_another_tox_is_installed_where_another_is_wanted(
        bootstrap, monkeypatch):
    """A new release of this project would run in an old tox."""
    monkeypatch.setattr(launcher, 'TOX', 'tox>=99')

    assert launcher.bootstrap_python() is None


def test_tox_is_installed_again_in_a_moved_clone(bootstrap, monkeypatch):
    """It would start what is in another folder, or what has gone."""
    moved = bootstrap.parents[1].with_name('moved')
    bootstrap.parents[1].rename(moved)
    monkeypatch.setattr(launcher, 'CLONE', str(moved))
    (moved / '.tox/cloud/bin').mkdir(parents=True)

    assert launcher.bootstrap_python() is None
    # The scripts of all environments begin with the path of their Python.
    with pytest.raises(launcher.Failed):
        launcher.make_bootstrap('false')
    assert not (moved / '.tox/cloud').exists()


def test_tox_is_installed_again_for_another_python(bootstrap):
    """After an upgrade of the system its packages are for another one."""
    python = bootstrap / 'bin/python'
    python.unlink()
    python.symlink_to('/usr/bin/gone')

    assert launcher.bootstrap_python() is None


def test_half_an_installation_is_none(bootstrap, tmp_path):
    """The next start would fail, too, and in other words."""
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\n'
                      'case "$*" in\n'
                      '*venv*) mkdir -p "$4/bin" && cp "$0" "$4/bin";;\n'
                      '*) echo "no network"; exit 1;;\n'
                      'esac\n')
    python.chmod(0o755)

    with pytest.raises(launcher.Failed, match='tox failed:\nno network'):
        launcher.make_bootstrap(str(python))

    assert launcher.bootstrap_python() is None
    assert not bootstrap.exists()


def test_environment_is_installed_once_tox_has_noted_it(tmp_path, monkeypatch):
    """After a run that was killed, packages would be missing."""
    monkeypatch.setattr(launcher, 'CLONE', str(tmp_path))
    environment = tmp_path / '.tox/cloud'
    (environment / 'bin').mkdir(parents=True)
    (environment / 'bin/python').touch()
    notes = environment / '.tox-info.json'

    assert not launcher._is_installed()
    notes.write_text('{"Python": {}}')
    assert not launcher._is_installed()
    notes.write_text('{"Python": {}, "PythonRun": {"deps": {}}}')
    assert launcher._is_installed()


@pytest.fixture
def start(wheel, tmp_path):
    """Start a command in a clone that has nothing yet."""
    code = ('import sys; from sandbox import launcher, prerequisites;'
            'launcher.CLONE, launcher.TOX = %r, %r;'
            'prerequisites._INSTALLED_MIB = 0;'
            'sys.exit(launcher.main(sys.argv[1:]))' % (str(tmp_path), wheel))

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, '-c', code, *arguments], cwd=cloud.REPO,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return start


def test_two_commands_install_once(start):
    """One would remove what the other has just made."""
    both = [start('tox', name) for name in ('one', 'two')]
    said = [process.communicate() for process in both]

    assert [0, 0] == [process.returncode for process in both], said
    assert ["['one']\n", "['two']\n"] == [out for out, _err in said]
    assert 1 == sum(err.count('Installing tox') for _out, err in said)


def test_command_waits_for_what_a_killed_one_has_started(
        tmp_path, monkeypatch):
    """Two installations would write to the same folder."""
    monkeypatch.setattr(launcher, 'CLONE', str(tmp_path))
    code = ('from sandbox import launcher; launcher.CLONE = %r\n'
            'with launcher._alone() as lock:\n'
            '    launcher._watched("x", [["sh", "-c", "echo $$ > %s; '
            'exec sleep 1000"]], lock)' % (str(tmp_path), tmp_path / 'pid'))
    with subprocess.Popen([sys.executable, '-c', code],
                          cwd=cloud.REPO, stderr=subprocess.PIPE,
                          text=True) as killed:
        assert 'x ...\n' == killed.stderr.readline()
        while not (tmp_path / 'pid').exists() or not (
                tmp_path / 'pid').read_text():
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        orphan = int((tmp_path / 'pid').read_text())

        lock = tmp_path / '.tox/run.lock'
        assert not is_free(lock)
        os.kill(orphan, signal.SIGKILL)
        with launcher._alone():
            assert not is_free(lock)


def test_what_is_left_out_is_told_with_its_command(monkeypatch):
    """A green run would be taken for a whole one."""
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    monkeypatch.setattr(launcher, 'CLONE', '/a clone')
    monkeypatch.setattr(prerequisites, 'this_package_manager', lambda: 'apt')

    assert ('Left out: the tests that need haproxy, nginx. To have them run, '
            "type once: sudo '/a clone/run' packages") == launcher.left_out(
                ['haproxy', 'nginx'])


@pytest.mark.parametrize('user', [0, 1000])
def test_packages_that_fail_are_done_without_but_in_ci(
        monkeypatch, tmp_path, user):
    """CI would be green without the tests that need them."""
    (tmp_path / 'sudo').write_text('#!/bin/sh\nexit 1\n')
    (tmp_path / 'sudo').chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(os, 'geteuid', lambda: user)
    monkeypatch.setattr(prerequisites, 'this_package_manager', lambda: None)
    monkeypatch.delenv('CI', raising=False)

    assert ['nginx'] == launcher._install(['nginx'])

    monkeypatch.setenv('CI', 'true')
    with pytest.raises(packages.Failed):
        launcher._install(['nginx'])
    # Without sudo it ends in a sentence, too.
    (tmp_path / 'sudo').unlink()
    with pytest.raises(packages.Failed):
        launcher._install(['nginx'])


def test_every_package_of_the_tests_is_installed():
    """CI would fail for want of one, and nobody be told how to add it."""
    assert {entry.package for entry in suite_results.skips()
            if entry.package} == set(packages.ALL.values())


def test_interrupted_tests_are_waited_for(tmp_path):
    """Clouds would stay up, and nobody be there to stop them."""
    command = tmp_path / 'command.py'
    command.write_text(
        'import signal, sys, time\n'
        'def end(number, frame):\n'
        '    print("cleaned up", flush=True)\n'
        '    sys.exit(7)\n'
        'signal.signal(signal.SIGINT, end)\n'
        'print("ready", flush=True)\n'
        # A signal just before signal.pause() would be waited for for ever.
        'while True: time.sleep(0.1)\n')
    # A service has a session of its own, and is stopped by what started it.
    service = tmp_path / 'service.py'
    service.write_text(
        'import time\n'
        'try: time.sleep(1)\n'
        'except KeyboardInterrupt: print("service interrupted")\n')
    # They wait for what they run, as pytest does for its workers.
    waiting = ('import signal, subprocess, sys\n'
               'signal.signal(signal.SIGINT, lambda number, frame: None)\n'
               'subprocess.Popen([sys.executable, %r],\n'
               '                 start_new_session=True)\n'
               'sys.exit(subprocess.Popen([sys.executable, %%r]).wait())\n'
               % str(service))
    runner = tmp_path / 'runner.py'
    runner.write_text(waiting % str(command))
    tox = tmp_path / 'tox.py'
    tox.write_text(waiting % str(runner))
    code = ('import sys; from sandbox import launcher; '
            'sys.exit(launcher._wait_for([sys.executable, %r]))' % str(tox))
    for number, to in ((signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)):
        with subprocess.Popen(
                [sys.executable, '-c', code], cwd=cloud.REPO, text=True,
                stdout=subprocess.PIPE, start_new_session=True) as process:
            assert 'ready\n' == process.stdout.readline()
            to(process.pid, number)

            assert 'cleaned up\n' == process.stdout.read()
            assert 7 == process.wait()


def test_tox_leaves_its_command_the_time_to_clean_up():
    """tox would interrupt it again at once, and kill it."""
    tox = configparser.RawConfigParser()
    tox.read(cloud.REPO / 'tox.ini')

    assert demo.PATIENCE <= tox.getint('testenv', 'suicide_timeout')


def test_missing_packages_are_found_by_their_programs(tmp_path, monkeypatch):
    """Debian has some of them where an ordinary user's PATH does not look."""
    program = tmp_path / 'nginx'
    program.touch(mode=0o755)
    monkeypatch.setattr(packages, '_FOLDERS', (str(tmp_path),))
    monkeypatch.setenv('PATH', '/nowhere')

    assert ['one', 'two'] == packages.missing(
        {'nginx': 'nginx', '2': 'two', '/missing/1': 'one'})


def test_no_daemon_is_started_by_an_installation(tmp_path):
    """It would hold the port of the guests on all addresses."""
    policy = tmp_path / 'policy-rc.d'

    with packages.no_daemons(str(policy)):
        assert 101 == run(policy).returncode
    assert not policy.exists()

    # A container has one, which stays.
    policy.write_text('theirs')
    with packages.no_daemons(str(policy)):
        pass
    assert 'theirs' == policy.read_text()


def test_installations_follow_each_other(tmp_path):
    """The second would fail, or start daemons once the first has ended."""
    with packages.no_daemons(str(tmp_path / 'policy-rc.d')):
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_policy_goes_when_the_installation_is_ended(tmp_path):
    """No daemon of this machine could be installed ever after."""
    policy = tmp_path / 'policy-rc.d'
    with subprocess.Popen(
            [sys.executable, '-c', 'import sys, time\n'
             'from sandbox import packages\n'
             'with packages.no_daemons(sys.argv[1]):\n'
             '    print("ready", flush=True)\n'
             # One long sleep may begin after the signal has come.
             '    while True: time.sleep(0.1)\n', policy],
            cwd=cloud.REPO, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert 'ready\n' == process.stdout.readline()
        process.terminate()

    assert not policy.exists()


def test_policy_goes_when_the_installation_fails(tmp_path):
    """No daemon of this machine could be installed ever after."""
    policy = tmp_path / 'policy-rc.d'

    with pytest.raises(packages.Failed):
        with packages.no_daemons(str(policy)):
            raise packages.Failed
    assert not policy.exists()


@pytest.mark.parametrize(('manager', 'user', 'said'), [
    ('apt', 1000, 'Only root can install nginx: type "sudo '),
    ('dnf', 0, 'Only Debian and its relatives are known here'),
])
def test_packages_that_cannot_be_installed_are_refused(
        monkeypatch, manager, user, said):
    """apt-get would say so, or would not be there."""
    monkeypatch.setattr(os, 'geteuid', lambda: user)
    monkeypatch.setattr(prerequisites, 'this_package_manager',
                        lambda: manager)

    with pytest.raises(packages.Failed, match=said):
        packages.install(['nginx'])


def test_script_is_executable_and_small():
    """Everything else is in modules that tests import."""
    script = pathlib.Path(cloud.REPO, 'run')

    assert os.access(script, os.X_OK)
    assert script.read_text().startswith('#!/usr/bin/env python3\n')
