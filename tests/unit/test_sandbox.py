# SPDX-License-Identifier: Apache-2.0

"""What the local cloud decides: whom to stop, what to refuse, what to run."""

import email.mime.multipart
import email.mime.text
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import types

import pytest

from sandbox import __main__ as command_line
from sandbox import cloud
from sandbox.guests import init
from sandbox import lifecycle
from sandbox import prerequisites
from sandbox import processes
from sandbox import releases
from sandbox import services
from sandbox.services import aodh
from sandbox.services import mariadb
from sandbox.services import rabbitmq
from tests import started


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """What the tests are run with decides nothing in them."""
    for name in ('SANDBOX_HEAT_ENGINES', 'SANDBOX_PROFILE',
                 'SANDBOX_STATE_DIR'):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def local(tmp_path):
    local = cloud.Cloud(tmp_path / 'state')
    local.make_folders()
    yield local
    if local.run.parent != local.state:
        os.rmdir(local.run)


@pytest.fixture
def procs(local):
    procs = processes.Processes(local)
    yield procs
    for name in procs.names():
        procs.stop(name, 0)


def service(*argv, name='thing'):
    return types.SimpleNamespace(name=name, command=lambda: list(argv),
                                 environment=dict)


def python(code):
    return service(sys.executable, '-c', code)


SLEEP = 'import time; time.sleep(60)'


@pytest.mark.parametrize('killed', [False, True])
def test_cloud_of_killed_tests_is_stopped(local, procs, killed):
    """It would run for ever, and each next run take it for a user's."""
    procs.start(python(SLEEP))
    if killed:
        started._mark(local).touch()

    # More workers were asked for than got a cloud.
    started.stop_all(2, {'SANDBOX_STATE_DIR': str(local.state)})

    assert killed == (procs.pid('thing') is None)
    assert not started._mark(local).exists()


@pytest.mark.parametrize(('was_up', 'mark', 'stopped'), [
    (True, False, False), (True, True, True), (False, False, True)])
def test_cloud_is_left_as_the_tests_found_it(
        local, procs, monkeypatch, was_up, mark, stopped):
    """A user's own cloud would be stopped by the tests."""
    if was_up:
        procs.start(python(SLEEP))
    if mark:
        started._mark(local).touch()
    tested = lifecycle.LocalCloud(local, say=lambda _text: None)
    monkeypatch.setattr(tested, 'is_up', lambda: bool(procs.pid('thing')))
    monkeypatch.setattr(tested, 'up', lambda: procs.start(python(SLEEP)))

    with pytest.raises(KeyboardInterrupt), started.running(tested):
        assert started._mark(local).exists() == stopped
        raise KeyboardInterrupt

    assert stopped == (procs.pid('thing') is None)
    assert not started._mark(local).exists()


def test_started_service_is_found_by_another_process(local, procs):
    """"down" from another terminal would find nothing to stop."""
    procs.start(python(SLEEP))

    assert processes.Processes(local).pid('thing') == procs.pid('thing')
    assert procs.pid('thing') is not None


def test_stop_ends_the_whole_session(procs):
    """A forked worker would be left behind and keep its port."""
    procs.start(python(
        'import subprocess, sys, time\n'
        'subprocess.Popen([sys.executable, "-c", %r])\n'
        'print("ready", flush=True); time.sleep(60)' % SLEEP))
    leader = procs.pid('thing')
    _wait_for(lambda: 'ready' in procs.log('thing').read_text())
    assert 2 == len(procs.signal('thing', 0))

    procs.stop('thing', 5)

    assert not processes._session(leader)
    assert procs.pid('thing') is None


def test_workers_of_a_dead_leader_are_stopped_too(local, procs):
    """What a crash leaves behind would hold the ports for ever."""
    procs.start(python(
        'import subprocess, sys\n'
        'subprocess.Popen([sys.executable, "-c", %r])' % SLEEP))
    leader = procs.pid('thing')
    _wait_for(lambda: procs.pid('thing') is None)
    assert processes._session(leader)

    processes.Processes(local).stop('thing', 5)

    assert not processes._session(leader)


def test_service_that_ignores_sigterm_is_killed(procs):
    """"down" would never end."""
    procs.start(python(
        'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
        'print("ready", flush=True); time.sleep(60)'))
    _wait_for(lambda: 'ready' in procs.log('thing').read_text())

    procs.stop('thing', 0.2)

    assert procs.pid('thing') is None


def test_process_that_has_our_old_id_is_left_alone(local, procs):
    """After a reboot the id may belong to anybody."""
    stranger = subprocess.Popen([sys.executable, '-c', SLEEP],
                                start_new_session=True)
    try:
        record = local.state / 'pids' / 'thing'
        cloud.write_atomically(record, json.dumps(
            {'pid': stranger.pid, 'started': 1}))

        assert procs.pid('thing') is None
        procs.stop('thing', 0)

        assert stranger.poll() is None
        assert not record.exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_torn_record_is_no_record(local, procs):
    """A crash in the middle of a start would break every command after it."""
    cloud.write_atomically(local.state / 'pids' / 'thing', '{"pid": 1')

    assert procs.pid('thing') is None
    procs.stop('thing', 0)


def test_environment_of_services_is_small(procs, monkeypatch):
    """OS_* or PYTHON* of the caller would change what a service does."""
    monkeypatch.setenv('OS_CLOUD', 'production')
    monkeypatch.setenv('PYTHONSTARTUP', '/x')

    names = set(procs.environment({'EXTRA': '1'}))

    assert 'EXTRA' in names
    # By this "run" in another clone tells whose the ports are.
    assert prerequisites.MARK in names
    assert not {'OS_CLOUD', 'PYTHONSTARTUP'} & names


def test_root_runs_postgresql_as_an_account_that_there_is(
        local, monkeypatch):
    """On a new Debian there is no user 1000: "user does not exist"."""
    monkeypatch.setattr(os, 'getuid', lambda: 0)
    monkeypatch.setattr(pwd, 'getpwall', lambda: [
        pwd.struct_passwd(('root', 'x', 0, 0, '', '/root', '/bin/sh')),
        pwd.struct_passwd(('daemon', 'x', 7, 8, '', '/', '/bin/false'))])

    command = services.load(local)['postgres'].command()

    assert ['--uid', '7', '--gid', '8'] == command[2:6]


def test_prerequisites_are_refused_together(local, monkeypatch):
    """Each start would tell one more thing that is missing."""
    monkeypatch.setattr(prerequisites, 'try_namespaces', lambda root: 1)
    with socket.socket() as stranger:
        stranger.bind((local.address, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        monkeypatch.setattr(aodh.Service, 'ports', {'aodh': port})

        with pytest.raises(cloud.SandboxError) as refusal:
            lifecycle.LocalCloud(local).up()

    assert 'namespaces' in str(refusal.value)
    assert 'Port %d of %s, for aodh, is taken' % (port, local.address) in str(
        refusal.value)


def test_variable_without_sense_is_refused(local, monkeypatch):
    """Services would listen where nobody looks for them."""
    monkeypatch.setenv('SANDBOX_NETWORK', '10.0.0')

    with pytest.raises(cloud.SandboxError, match='SANDBOX_NETWORK is "10.0'):
        lifecycle.LocalCloud(local).up()


def test_every_port_is_named_once_and_on_loopback(local):
    """Two services on one port, or one that the network can reach."""
    loaded = services.load(local)
    ports = [port for s in loaded.values() for port in s.ports.values()]

    assert len(ports) == len(set(ports))
    assert cloud.ADDRESS.startswith('127.')
    text = '\n'.join(text for s in loaded.values()
                     for text in s.files().values())
    assert not re.findall(r'(?:bind_host|listen|my_ip) = (?!%s)'
                          % re.escape(cloud.NETWORK), text)


def test_prometheus_is_left_out_where_it_is_missing(local, monkeypatch):
    """Who only wants to see a drain would have to install it first."""
    monkeypatch.setattr(shutil, 'which', lambda program: None)
    without = services.load(local)
    monkeypatch.setattr(shutil, 'which', lambda program: '/bin/' + program)

    assert {'prometheus'} == set(services.load(local)) - set(without)


def test_heat_is_one_process_or_many(local):
    """Nothing would show what happens between the engines of a site."""
    assert 'rabbitmq' not in services.load(local)

    many = services.load(cloud.Cloud(local.state, heat_engines='3'))

    assert ['heat', 'heat-api-cfn', 'heat-engine-1', 'heat-engine-2',
            'heat-engine-3'] == [n for n in many if n.startswith('heat')]
    assert 'rabbitmq' in many
    conf = many['heat'].files()['heat.conf']
    assert 'rabbit://' in conf and 'fake://' not in conf
    # As hosts that differ, or each would get the messages of the others.
    assert 3 == len({text for service in many.values()
                     for text in service.files().values()
                     if 'host = heat-engine-' in text})
    assert services.load(local)['heat'].ports == {
        **many['heat'].ports, **many['heat-api-cfn'].ports}


def test_engines_are_remembered(local, monkeypatch):
    """A test or "status" would look for another Heat than there is."""
    cloud.Cloud(local.state, heat_engines=3).remember_options()

    assert 3 == cloud.Cloud(local.state).heat_engines
    monkeypatch.setenv('SANDBOX_HEAT_ENGINES', '2')
    assert 2 == cloud.Cloud(local.state).heat_engines
    assert 0 == cloud.Cloud(local.state, heat_engines='0').heat_engines


def test_profile_of_a_site(local, monkeypatch):
    """A fault of MariaDB's, or of a fork, would be looked for without them."""
    cloud.Cloud(local.state, profile=cloud.PRODUCTION).remember_options()

    production = cloud.Cloud(local.state)
    many = services.load(production)

    assert {'mariadb', 'rabbitmq', 'heat-engine-1', 'heat-engine-2'} < set(
        many)
    conf = many['heat'].files()['heat.conf']
    assert 'connection = mysql+pymysql://root@localhost/heat?' in conf
    assert 'connection = postgresql://' in (
        many['keystone'].files()['keystone.conf'])
    cloud.Cloud(local.state, heat_engines=3).remember_options()
    assert 3 == cloud.Cloud(local.state).heat_engines
    monkeypatch.setenv('SANDBOX_PROFILE', 'ordinary')
    ordinary = cloud.Cloud(local.state, heat_engines=0)
    assert 'mariadb' not in services.load(ordinary)
    with pytest.raises(cloud.SandboxError, match='no profile "big"; there'):
        cloud.Cloud(local.state, profile='big')


@pytest.mark.parametrize('is_older', [False, True])
def test_another_profile_than_the_first_one_is_refused(local, is_older):
    """Heat would have another database, and none of the stacks."""
    local.remember_options()
    if is_older:
        # The release before had no profiles.
        local._started_with.write_text('{"heat_engines": 0}')
    another = lifecycle.LocalCloud(
        cloud.Cloud(local.state, profile=cloud.PRODUCTION))
    another._remember_versions()

    with pytest.raises(cloud.SandboxError) as refusal:
        another.up()

    assert ('made with the profile "ordinary", not "production": give '
            '"--profile ordinary"') in str(refusal.value)


def test_production_without_mariadb_is_refused(local, monkeypatch):
    """It would end while starting, with the reason in a log."""
    monkeypatch.setattr(mariadb, '_program', lambda name: None)
    another = lifecycle.LocalCloud(
        cloud.Cloud(local.state, profile=cloud.PRODUCTION))

    with pytest.raises(cloud.SandboxError, match='MariaDB is not installed'):
        another.services['mariadb'].refuse()


@pytest.mark.parametrize('number', ['three', '-1', '2.5'])
def test_number_of_engines_that_is_none_is_refused(tmp_path, capsys, number):
    """The cloud would start with another Heat than was asked for."""
    assert 1 == command_line.main(['--state-dir', str(tmp_path), 'up',
                                   '--heat-engines=' + number])
    assert 'number of Heat engines is "%s"' % number in (
        capsys.readouterr().err)


def test_engines_without_rabbitmq_are_refused(local, monkeypatch):
    """Each would say in its log, for ever, that it cannot connect."""
    monkeypatch.setattr(rabbitmq, '_DEBIAN', local.state / 'missing')
    monkeypatch.setattr(shutil, 'which', lambda program: None)

    with pytest.raises(cloud.SandboxError) as refusal:
        lifecycle.LocalCloud(cloud.Cloud(local.state, heat_engines=3)).up()

    # apt-get would start a daemon, which has the port on all addresses.
    assert '"sudo ./run packages" installs it' in str(refusal.value)


def test_another_heat_than_the_running_one_is_refused(local, monkeypatch):
    """Two Heats would work on the same stacks, one of them deaf."""
    another = lifecycle.LocalCloud(cloud.Cloud(local.state, heat_engines=3))
    another.processes.start(service(sys.executable, '-c', SLEEP, name='heat'))
    try:
        with pytest.raises(cloud.SandboxError) as refusal:
            another.up()
    finally:
        another.kill('heat')

    assert '"--heat-engines 0", not 3' in str(refusal.value)


def test_another_network_than_the_first_one_is_refused(local, monkeypatch):
    """Nova would end while starting, by addresses that nobody answers."""
    monkeypatch.setattr(cloud, 'NETWORK', '127.9.9')
    local.make_folders()
    local.remember_options()
    made = lifecycle.LocalCloud(local)
    made._remember_versions()
    monkeypatch.setattr(cloud, 'NETWORK', '127.8.8')

    with pytest.raises(cloud.SandboxError) as refusal:
        made.up()

    assert ('made on the network 127.9.9.0/24, not 127.8.8.0/24: set '
            'SANDBOX_NETWORK=127.9.9') in str(refusal.value)


@pytest.mark.parametrize('called', ['stat', 'lstat'])
def test_folder_of_another_user_is_refused(tmp_path, monkeypatch, called):
    """Passwords would be written where that user reads them."""
    long = cloud.Cloud(tmp_path / ('x' * 100))
    monkeypatch.setattr(cloud.Cloud, 'run', tmp_path / 'link')
    (tmp_path / 'folder').mkdir()
    long.run.symlink_to(tmp_path / 'folder')
    real = getattr(pathlib.Path, called)
    long.make_folders()

    def of_another(path, **options):
        found = list(real(path, **options))
        found[stat.ST_UID] += path == long.run
        return os.stat_result(found)
    monkeypatch.setattr(pathlib.Path, called, of_another)

    with pytest.raises(cloud.SandboxError, match='belongs to another user'):
        long.make_folders()


def test_name_of_heat_stands_for_all_of_it(local):
    """A killed Heat would go on in its engines."""
    many = lifecycle.LocalCloud(cloud.Cloud(local.state, heat_engines=2))
    parts = ('heat', 'heat-api-cfn', 'heat-engine-1', 'heat-engine-2')
    for name in parts:
        many.processes.start(service(sys.executable, '-c', SLEEP, name=name))

    many.kill('heat-engine-2')
    alive = [name for name in parts if many.processes.pid(name)]
    many.kill('heat')

    assert list(parts[:3]) == alive
    assert not [name for name in parts if many.processes.pid(name)]
    assert 4 == len(many.logs('heat'))


def test_secrets_are_made_once_and_kept_from_others(local):
    """A second start would know other passwords than the databases."""
    first = local.secret('heat')

    assert first == cloud.Cloud(local.state).secret('heat')
    assert first != local.secret('nova')
    mode = (local.state / 'secrets.json').stat().st_mode
    assert not mode & 0o077


@pytest.mark.parametrize('folder', ['x' * 100, 'with space', 'per%cent'])
def test_sockets_have_a_short_and_plain_path(tmp_path, monkeypatch, folder):
    """PostgreSQL would not start, or not be found by its URL."""
    monkeypatch.setenv('TMPDIR', '/' + 'y' * 100)
    odd = cloud.Cloud(tmp_path / folder)

    assert len(str(odd.run / '.s.PGSQL.5432')) <= 107
    assert re.fullmatch(r'[\w./-]+', str(odd.run), re.ASCII)
    # Another terminal finds it, too.
    monkeypatch.delenv('TMPDIR')
    assert odd.run == cloud.Cloud(odd.state).run != cloud.Cloud(
        tmp_path / (folder + '2')).run


def test_environment_is_printed_for_a_shell(tmp_path, capsys, monkeypatch):
    """In a folder with a space the shell would run half of its name."""
    monkeypatch.setattr(cloud, 'REPO', tmp_path / 'a clone')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'an environment'))
    local = cloud.Cloud(tmp_path / 'a state')
    local.make_folders()
    local.clouds_yaml.touch()

    command_line.main(['--state-dir', str(local.state), 'env'])
    os.rmdir(local.run)
    seen = subprocess.run(
        ['sh', '-ec', capsys.readouterr().out + 'printf "%s\n" '
         '"$OS_CLIENT_CONFIG_FILE" "$PATH" "$PYTHONPATH"'],
        env={'PATH': '/bin', 'PYTHONPATH': '/old one'}, capture_output=True,
        text=True, check=True).stdout.splitlines()

    assert [str(local.clouds_yaml), '%s/an environment/bin:/bin' % tmp_path,
            '%s/a clone:/old one' % tmp_path] == seen


def test_start_ends_with_a_command_for_a_shell(tmp_path, capsys, monkeypatch):
    """The first thing to copy would fail in a folder with a space."""
    monkeypatch.setattr(cloud, 'REPO', tmp_path / 'a clone')
    monkeypatch.setattr(lifecycle.LocalCloud, 'up', lambda self: None)

    command_line.main(['--state-dir', str(tmp_path / 'a state'), 'up'])
    [words] = re.findall(r'eval "\$\((.*)\)"', capsys.readouterr().out)

    words = shlex.split(words)
    assert str(tmp_path / 'a clone/run') == words[0]
    assert ['--state-dir', str(tmp_path / 'a state'), 'env'] == words[-3:]


@pytest.mark.parametrize(('line', 'words'), [
    (releases.DEFAULT, ['sandbox']),
    ('2024.1', ['tox', '-qq', 'run', '-e', 'sandbox-2024.1', '--'])])
def test_start_ends_with_a_command_for_its_line(local, monkeypatch, line,
                                                words):
    """The command would install another OpenStack before it answers."""
    monkeypatch.setattr(releases, 'current', lambda: line)
    monkeypatch.setattr(cloud, 'DEFAULT_STATE', local.state)

    assert [str(cloud.REPO / 'run'), *words, 'env'] == (
        command_line._env_command(lifecycle.LocalCloud(local)))


def test_folder_that_cannot_be_made_is_refused(tmp_path, capsys):
    """A read-only checkout would end in a traceback."""
    (tmp_path / 'file').touch()

    assert 1 == command_line.main(['--state-dir', str(tmp_path / 'file/state'),
                                   'up'])
    assert 'cannot be made (Not a directory)' in capsys.readouterr().err


def test_known_failures_end_in_one_sentence(tmp_path, capsys):
    """A traceback would be all that a new user gets."""
    status = command_line.main(['--state-dir', str(tmp_path), 'env'])

    assert 1 == status
    error = capsys.readouterr().err
    assert 1 == error.count('\n')
    assert 'start it with "up"' in error


def test_down_without_up_stops_nothing(tmp_path, capsys):
    """Clean-up scripts call it blindly."""
    assert not command_line.main(['--state-dir', str(tmp_path), 'down'])
    assert 'Nothing was running' in capsys.readouterr().out


def _parts(*parts):
    message = email.mime.multipart.MIMEMultipart()
    for body, subtype in parts:
        message.attach(email.mime.text.MIMEText(body, subtype))
    return message.as_bytes()


@pytest.mark.parametrize(('user_data', 'scripts'), [
    (b'#!/bin/sh\ntrue\n', [b'#!/bin/sh\ntrue\n']),
    (b'', []),
    (b'#cloud-config\npackages: [x]\n', []),
    (_parts(('#!/bin/sh\none', 'x-shellscript'),
            ('#cloud-config\n{}', 'cloud-config'),
            ('#!/bin/sh\ntwo', 'plain')),
     [b'#!/bin/sh\none', b'#!/bin/sh\ntwo']),
    # Other characters than ASCII come as base64.
    (_parts(('#!/bin/sh\necho \u00e9', 'x-shellscript')),
     ['#!/bin/sh\necho \u00e9'.encode()]),
], ids=['script', 'nothing', 'cloud-config', 'parts', 'base64'])
def test_guest_runs_what_cloud_init_would_run(user_data, scripts):
    """A template would work here and not on a cloud, or the reverse."""
    assert scripts == [s for _name, s in init.shell_scripts(user_data)]


def test_sigterm_is_like_ctrl_c(monkeypatch, tmp_path):
    """"up" stopped by a supervisor would leave everything running."""
    monkeypatch.setattr(lifecycle.LocalCloud, 'up',
                        lambda self: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert 130 == command_line.main(['--state-dir', str(tmp_path), 'up'])
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for(condition):
    for _attempt in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError('waited in vain')
