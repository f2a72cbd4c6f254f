# SPDX-License-Identifier: Apache-2.0

"""The drain handlers that drive a manager of services or containers.

The managers are not here, so a stand-in notes what it is asked and plays the
part of the real one. nginx and HAProxy are real, in tests/functional.
"""

import shutil
import subprocess
import time

import pytest

from tests.agent import conftest

EXAMPLES = conftest.REPO / 'examples'

SYSTEMCTL = """\
echo "$@" >>"$FAKE/asked"
case $1 in
    is-failed) [ -e "$FAKE/failed" ] ;;
    reset-failed) rm -f "$FAKE/failed" ;;
    stop) [ ! -e "$FAKE/overruns" ] || touch "$FAKE/failed" ;;
esac
"""

ENGINE = """\
echo "$@" >>"$FAKE/asked"
case $* in
    *Running*) [ ! -e "$FAKE/container" ] || cat "$FAKE/container" ;;
    *ExitCode*) cat "$FAKE/exit-code" ;;
    stop*) echo false >"$FAKE/container" ;;
esac
"""


class Manager:
    """A stand-in for systemctl, podman or docker."""

    def __init__(self, folder, name, script):
        self.folder = folder
        program = folder / name
        program.write_text('#!/bin/sh\n' + script)
        program.chmod(0o755)
        # No real manager of this machine may be found.
        for tool in ('cat', 'date', 'rm', 'touch'):
            (folder / tool).symlink_to(shutil.which(tool))

    def put(self, name, text=''):
        (self.folder / name).write_text(text)

    def drain(self, example, left=60):
        """Run the handler of an example; return its exit status."""
        return subprocess.run(
            ['/bin/sh', str(EXAMPLES / example / 'drain.sh')], timeout=20,
            env={'PATH': str(self.folder), 'FAKE': str(self.folder),
                 'LIFECYCLE_DEADLINE': str(int(time.time()) + left)},
            ).returncode

    def asked(self):
        return (self.folder / 'asked').read_text().splitlines()


@pytest.mark.parametrize('script', sorted(EXAMPLES.glob('*/*.sh')),
                         ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_scripts_are_scripts_to_the_agent_and_the_shell(script):
    """A handler without "#!" is not run, nor is such user data."""
    assert script.read_text().startswith('#!/bin/sh\n')
    subprocess.run(['sh', '-n', str(script)], check=True)


def test_service_that_ended_is_drained(tmp_path):
    """The server of a service that failed last week would never drain."""
    systemctl = Manager(tmp_path, 'systemctl', SYSTEMCTL)
    systemctl.put('failed')

    assert [0, 0] == [systemctl.drain('systemd_service') for _ in range(2)]
    assert 2 == systemctl.asked().count('stop worker.service')


def test_service_that_had_to_be_killed_is_not_drained(tmp_path):
    """Work would be lost, and nobody would read of it."""
    systemctl = Manager(tmp_path, 'systemctl', SYSTEMCTL)
    systemctl.put('overruns')

    assert 1 == systemctl.drain('systemd_service')


@pytest.mark.parametrize('engine', ('podman', 'docker'))
def test_container_gets_the_time_there_is(tmp_path, engine):
    """It would be killed after the ten seconds that engines give."""
    manager = Manager(tmp_path, engine, ENGINE)
    manager.put('container', 'true')
    manager.put('exit-code', '0')

    assert [0, 0] == [manager.drain('container', left=500) for _ in range(2)]

    [stop] = [line.split() for line in manager.asked()
              if line.startswith('stop')]
    assert ['stop', '--time', 'web'] == [*stop[:2], stop[3]]
    # Before the agent stops the handler.
    assert 10 < int(stop[2]) < 500


@pytest.mark.parametrize('left, exit_code, status', (
    (60, '137', 1), (60, '143', 0), (-60, '137', 1)))
def test_container_tells_whether_it_was_killed(tmp_path, left, exit_code,
                                               status):
    """Work would be lost, and nobody would read of it."""
    manager = Manager(tmp_path, 'podman', ENGINE)
    manager.put('container', 'true')
    manager.put('exit-code', exit_code)

    assert status == manager.drain('container', left)

    [stop] = [line for line in manager.asked() if line.startswith('stop')]
    # Less than nothing would be without end.
    assert '-' not in stop.split()[2]


def test_container_that_is_not_there_needs_no_drain(tmp_path):
    """The handler is in the image, the container may not be started yet."""
    manager = Manager(tmp_path, 'podman', ENGINE)

    assert 0 == manager.drain('container')
    assert 'stop' not in ' '.join(manager.asked())
