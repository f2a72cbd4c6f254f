# SPDX-License-Identifier: Apache-2.0

"""Prerequisites that are not met are told together, each with its fix."""

import errno
import math
import os
import re
import shlex
import socket
import subprocess
import sys
import sysconfig
import time

import pytest

from sandbox import cloud
from sandbox import launcher
from sandbox import ports
from sandbox import prerequisites
from sandbox import services


def fixes(missing):
    return [problem.fix for problem in missing]


@pytest.fixture(autouse=True)
def ordinary_user(monkeypatch):
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)


@pytest.mark.parametrize(('os_release', 'manager'), [
    ('ID=debian\nVERSION_ID="12"\n', 'apt'),
    ('NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n', 'apt'),
    ('ID=fedora\n', 'dnf'),
    ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'dnf'),
    ('ID=arch\n', 'pacman'),
    ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', 'zypper'),
    ('ID=alpine\n', None),
    ('', None),
])
def test_distribution_is_recognized(os_release, manager):
    """A user of Fedora would be told to type apt-get."""
    assert manager == prerequisites.package_manager(os_release)


@pytest.mark.parametrize(('manager', 'command'), [
    ('apt', 'sudo apt-get install python3.13-venv'),
    (None, 'Install what your distribution splits from Python'),
])
def test_missing_venv_names_its_package(manager, command):
    """Debian's Python says so in the middle of an installation."""
    [problem] = prerequisites.check_python(
        prerequisites.Python('/usr/bin/python3', (3, 13), False), manager)

    assert 'venv and ensurepip of Python 3.13' in problem.what
    assert command in problem.fix


def test_root_is_not_told_to_type_sudo(monkeypatch):
    """A minimal system has no sudo."""
    monkeypatch.setattr(os, 'geteuid', lambda: 0)

    assert 'apt-get update' == prerequisites.as_root('apt-get update')


@pytest.mark.parametrize(('found', 'chosen'), [
    ([((3, 11), True), ((3, 14), True)], (3, 11)),
    # The one that runs this is too old, or too new, or incomplete.
    ([((3, 9), True), ((3, 13), True)], (3, 13)),
    ([((3, 15), True), ((3, 14), True)], (3, 14)),
    ([((3, 13), False), ((3, 12), True)], (3, 12)),
    # None will do: the one that lacks least.
    ([((3, 9), True), ((3, 12), False), ((3, 11), False)], (3, 12)),
    ([((3, 6), True), ((3, 9), True)], (3, 9)),
])
def test_first_python_that_fits_is_chosen(found, chosen):
    """A machine that has the right Python would be refused."""
    pythons = [prerequisites.Python('python', *each) for each in found]

    assert chosen == prerequisites.choose_python(iter(pythons)).version


def test_python_that_cannot_be_started_is_passed_over(tmp_path, monkeypatch):
    """A version manager has a program for each version, installed or not."""
    for name, code in (('python3.14', 'exit 127'), ('python3.13', 'echo 2')):
        (tmp_path / name).write_text('#!/bin/sh\n%s\n' % code)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path))

    assert [sys.executable] == [
        python.path for python in prerequisites.pythons()]


@pytest.mark.parametrize(('version', 'package'), [
    # A distribution has none that is older than its own by years.
    ((3, 10), 'python3.12'), ((3, 15), 'python3.14')])
def test_python_that_does_not_fit_is_told_with_the_versions(version, package):
    """The installation would fail in the words of pip."""
    [problem] = prerequisites.check_python(
        prerequisites.Python('python', version, True), 'dnf')

    assert '3.%d here; it has to be one of 3.11 to 3.14' % version[1] in (
        problem.what)
    assert 'sudo dnf install %s ' % package in problem.fix


@pytest.mark.parametrize('answer', [(True, False), (False, True)])
def test_old_line_needs_a_compiler_and_header_files(answer):
    """Its installation would fail after minutes, in the words of gcc."""
    [problem] = prerequisites.check_compiler(answer, 'apt')

    assert 'apt-get install gcc libc6-dev python3.11-dev' in problem.fix
    assert [] == prerequisites.check_compiler((True, True), 'apt')


HEADER_FILES = os.path.exists(os.path.join(
    sysconfig.get_path('include'), 'Python.h'))


@pytest.mark.parametrize(('python', 'answer'), [
    ('exec %s "$@"' % shlex.quote(sys.executable), (False, HEADER_FILES)),
    # tox leaves the line out.
    ('exit 127', (True, True)),
])
def test_compiler_is_asked_for_by_the_python_of_the_line(
        tmp_path, monkeypatch, python, answer):
    """Another Python has other header files."""
    program = tmp_path / 'python3.11'
    program.write_text('#!/bin/sh\n%s\n' % python)
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path))

    assert answer == prerequisites.ask_compiler()


@pytest.mark.parametrize(('check', 'good', 'bad', 'said'), [
    (prerequisites.check_system, 'linux', 'darwin', 'needs Linux'),
    (prerequisites.check_architecture, 'aarch64', 'riscv64', 'x86_64 and'),
    (prerequisites.check_libc, 'glibc 2.28', 'glibc 2.27', 'glibc 2.27;'),
    # Not by the order of words.
    (prerequisites.check_libc, 'glibc 2.100', None, 'not glibc;'),
    (prerequisites.check_path, '/home/me/my clone', '/home/me/a:b',
     '/home/me/a:b'),
    (prerequisites.check_path, '/home/j\u00fcrgen', '/tmp/$x', '/tmp/$x'),
])
def test_machine_that_cannot_be_used_is_told(check, good, bad, said):
    """Hundreds of megabytes later it would fail in other words."""
    assert [] == check(good)
    [problem] = check(bad)
    assert said in problem.what


def test_path_is_too_long_where_heat_has_no_room_for_a_template():
    """The first stack would fail with an error of the database."""
    longest = max(
        len(str(path.relative_to(cloud.REPO)))
        for folder in ('examples', 'templates')
        for path in (cloud.REPO / folder).rglob('*'))
    room = 255 - len('file:///build/demo-without-hook-2024.1/') - longest

    assert [] == prerequisites.check_length('/' + 'x' * 149) and room >= 150
    # A space is three characters there.
    [problem] = prerequisites.check_length('/' + ' ' * 50)
    assert 'has 151 characters' in problem.what


@pytest.mark.parametrize(('settings', 'fix'), [
    ({'user/max_user_namespaces': '0'}, 'user.max_user_namespaces=15000'),
    ({'user/max_user_namespaces': '90000',
      'kernel/unprivileged_userns_clone': '0'},
     'sudo sysctl -w kernel.unprivileged_userns_clone=1 ('),
    ({'kernel/apparmor_restrict_unprivileged_userns': '1'},
     'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 ('),
    ({'user/max_user_namespaces': '90000'}, '--security-opt seccomp'),
])
def test_switch_that_forbids_namespaces_is_named(settings, fix):
    """Every server would end in ERROR, with the reason in no log."""
    [problem] = prerequisites.check_user_namespaces(errno.EPERM, settings)

    assert fix in problem.fix
    assert [] == prerequisites.check_user_namespaces(0, settings)


def test_namespaces_are_tried_and_not_guessed():
    """A switch alone does not say what a kernel or a container permits."""
    code = ('from sandbox import prerequisites as p; print(p.report('
            'p.check_user_namespaces(p.try_namespaces(False), p.sysctls())))')

    def said(*switch):
        return subprocess.run(
            ['unshare', '--user', '--map-root-user', 'sh', '-ec',
             ''.join(switch) + 'exec "$0" -c "$1"', sys.executable, code],
            cwd=cloud.REPO, capture_output=True, text=True,
            check=True).stdout.strip()

    assert '' == said()
    assert 'user.max_user_namespaces=15000' in said(
        'echo 0 > /proc/sys/user/max_user_namespaces; ')


def test_root_needs_user_namespaces_for_its_database():
    """PostgreSQL would not start, with the reason in its log."""
    code = ('from sandbox import prerequisites as p;'
            'print(p.try_namespaces(True))')

    done = subprocess.run(
        ['unshare', '--user', '--map-root-user', 'sh', '-ec',
         'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" -c "$1"',
         sys.executable, code], cwd=cloud.REPO, capture_output=True,
        text=True, check=True)

    assert errno.ENOSPC == int(done.stdout)


def test_memory_is_counted_by_clouds():
    """Three clouds on a small machine would be killed one by one."""
    assert [] == prerequisites.check_memory(1700, 1)
    [problem] = prerequisites.check_memory(1700, 3)

    assert '1700 MiB of memory are available; 3 local clouds take 4800' in (
        problem.what)


def test_memory_of_a_container_is_that_of_its_group(tmp_path):
    """Its host has enough, and the kernel kills the cloud."""
    membership = tmp_path / 'cgroup'
    membership.write_text('4:memory:/v1\n0::/a/b\n')

    def group(name, limit, used, cache):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / 'memory.max').write_text('%s\n' % limit)
        (folder / 'memory.current').write_text('%d\n' % (used << 20))
        (folder / 'memory.stat').write_text(
            'file 1\nactive_file %d\ninactive_file %d\n' % (
                24 << 20, cache << 20))

    assert [] == prerequisites._left_by_groups(str(tmp_path), str(membership))
    group('a', 2048 << 20, 1000, 200)
    group('a/b', 'max', 500, 0)
    assert [1272] == prerequisites._left_by_groups(str(tmp_path),
                                                   str(membership))
    # In a namespace of its own a group is at the root.
    group('.', 64 << 20, 10, 0)
    membership.write_text('0::/\n')
    assert [78] == prerequisites._left_by_groups(str(tmp_path),
                                                 str(membership))


def test_memory_is_the_least_of_all_limits(monkeypatch):
    """The limit of a container would be read and not used."""
    monkeypatch.setattr(prerequisites, '_left_by_groups',
                        lambda root, membership: [7])

    assert 7 == prerequisites._available_memory_mib()


def test_readme_has_the_figures_that_are_asked_for():
    """A machine that has what the README asks for would be refused."""
    readme = ' '.join((cloud.REPO / 'README.rst').read_text().split())
    [figures] = re.findall(
        r'demo needs ([\d.]+) GiB of disk and ([\d.]+) GiB of free memory, '
        r'the tests need ([\d.]+) GiB and ([\d.]+) GiB', readme)

    demo, tests = (len(launcher.clouds(verb, [], {}))
                   for verb in ('demo', 'test'))
    assert [math.ceil(10 * mib / 1024) / 10 for count in (demo, tests)
            for mib in (prerequisites._INSTALLED_MIB
                        + count * prerequisites._CLOUD_DISK_MIB,
                        count * prerequisites._CLOUD_MEMORY_MIB)
            ] == [float(figure) for figure in figures]


@pytest.mark.parametrize(('facts', 'said'), [
    (('Read-only file system', False, 100, 50), 'Read-only file system'),
    (('', True, 100, 50), 'mounted "noexec"'),
    (('', False, 40, 50), '40 MiB are free on the file system of /c'),
])
def test_folder_that_cannot_be_used_is_told(facts, said):
    """An installation would end in a traceback, half done."""
    [problem] = prerequisites.check_folder('/c', *facts)

    assert said in problem.what
    assert [] == prerequisites.check_folder('/c', '', False, 50, 50)


def test_folder_of_root_in_the_clone_is_told(tmp_path):
    """A first run by root would leave a traceback to each later one."""
    assert '' == prerequisites._write_problem(str(tmp_path))

    # Nobody, not even root, can make a file there.
    (tmp_path / '.tox').symlink_to('/proc')
    assert prerequisites._write_problem(str(tmp_path)).startswith('.tox: ')


@pytest.mark.parametrize(('name', 'value'), [
    ('SANDBOX_NETWORK', '10.0.0'), ('SANDBOX_NETWORK', '127.77.0.1'),
    ('SANDBOX_NETWORK', '127.300.0'), ('SANDBOX_NETWORK', '127.0.0'),
    ('SANDBOX_HEAT_ENGINES', '-1'), ('SANDBOX_HEAT_ENGINES', 'three'),
])
def test_variable_without_sense_is_told(name, value):
    """Services would listen for the network, or not at all."""
    [problem] = prerequisites.check_variables({name: value})

    assert '%s is "%s"' % (name, value) in problem.what
    assert [] == prerequisites.check_variables(
        {'SANDBOX_NETWORK': '127.78.0', 'SANDBOX_HEAT_ENGINES': '3'})


def test_clouds_of_workers_have_networks_and_folders_of_their_own():
    """The check would look at other ports than the tests use."""
    first, second = prerequisites.clouds(
        '/c', 2, {'SANDBOX_NETWORK': '127.90.0'})

    assert ('127.90.0.1', '/c/build/sandbox') == (first.address, first.state)
    assert ('127.91.0.1', '/c/build/sandbox-1') == (
        second.address, second.state)


def test_ports_are_those_of_the_services(tmp_path):
    """A port would be probed that nothing takes, or the reverse."""
    used = {name: port for service in services.load(
        cloud.Cloud(tmp_path, heat_engines=0)).values()
        for name, port in service.ports.items()
        if name not in ('senlin', 'prometheus')}

    assert ports.ALWAYS == used


def local_cloud(network, number, state=None):
    port = number or free_port(network + '.1')
    return prerequisites.Cloud(network, state, {'keystone': port})


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def test_taken_port_is_told_with_its_process_and_free_addresses():
    """The service would fail later, in its log, in its own words."""
    with socket.socket() as stranger:
        stranger.bind(('127.77.0.1', 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        [problem] = prerequisites.check_ports([local_cloud('127.77.0', port)])

    assert 'Port %d of 127.77.0.1, for keystone, is taken by process %d' % (
        port, os.getpid()) in problem.what
    network = re.search(r'SANDBOX_NETWORK=([\d.]+)$', problem.fix).group(1)
    assert [] == prerequisites.check_variables({'SANDBOX_NETWORK': network})


def test_no_addresses_are_offered_where_a_listener_has_all_of_them():
    """Debian's Prometheus has; the user would move from one to the next."""
    with socket.socket() as stranger:
        stranger.bind(('0.0.0.0', 0))
        stranger.listen()
        [problem] = prerequisites.check_ports([
            local_cloud('127.77.0', stranger.getsockname()[1])])

    assert 'Stop it.' == problem.fix


def test_ports_of_a_second_clone_are_told_with_its_command(tmp_path):
    """Both would be called "the local cloud", and neither found."""
    mine = local_cloud('127.77.0', None, str(tmp_path / 'mine'))
    code = ('import socket, sys; s = socket.socket(); '
            's.bind(("127.77.0.1", %d)); s.listen(); '
            'print("ready", flush=True); sys.stdin.read()'
            % mine.ports['keystone'])
    with subprocess.Popen(
            [sys.executable, '-c', code], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            env={prerequisites.MARK: '/other clone/build/sandbox',
                 'PYTHONPATH': '/other clone:/x'}) as listener:
        listener.stdout.readline()
        [problem] = prerequisites.check_ports([mine], lambda _: '127.9.0')
        theirs = mine._replace(state='/other clone/build/sandbox')

        # From its own folder it is no obstacle.
        assert [] == prerequisites.check_ports([theirs])
        listener.stdin.close()

    assert 'taken by the local cloud in /other clone/build/sandbox.' in (
        problem.what)
    assert ("Stop it: '/other clone/run' sandbox --state-dir "
            "'/other clone/build/sandbox' down. Or use other addresses: "
            'export SANDBOX_NETWORK=127.9.0') == problem.fix


@pytest.mark.parametrize('is_cloud', [True, False])
def test_service_is_known_without_its_environment(tmp_path, is_cloud):
    """A cloud that is up would be in its own way: Neutron hides its own."""
    (tmp_path / 'log').mkdir()
    if is_cloud:
        (tmp_path / prerequisites.OPTIONS).touch()
    mine = prerequisites.Cloud('127.253.0', str(tmp_path), {'neutron': 9696})
    code = ('import socket, sys\n'
            'with socket.create_server(("127.253.0.1", 9696)):\n'
            '    print("listens", flush=True); sys.stdin.read()\n')
    with open(tmp_path / 'log/neutron.log', 'w') as log, subprocess.Popen(
            [sys.executable, '-c', code], stdin=subprocess.PIPE,
            stdout=log, text=True, env={}) as listener:
        while not (tmp_path / 'log/neutron.log').read_text():
            assert listener.poll() is None
            time.sleep(0.01)

        assert is_cloud == ([] == prerequisites.check_ports([mine]))
        [problem] = prerequisites.check_ports(
            [mine._replace(state='/another')])
        listener.stdin.close()

    assert is_cloud == ('taken by the local cloud in %s.' % tmp_path in
                        problem.what)


def test_report_has_a_sentence_and_a_fix_for_each():
    """Each run of the command would tell one more thing that is missing."""
    text = prerequisites.report([prerequisites.Missing('A.', 'Do a.'),
                                 prerequisites.Missing('B.', 'Do b.')])

    assert '  * A.\n    Do a.\n  * B.\n    Do b.' == text
