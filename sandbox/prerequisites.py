# SPDX-License-Identifier: Apache-2.0

"""Prerequisites of the clone and of the local cloud, checked together.

``run`` asks before anything is installed, whatever Python starts it: standard
library only, in the syntax of Python 3.6. ``python -m sandbox up`` asks, too.
"""

import collections
import contextlib
import ctypes
import errno
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse

from sandbox import ports as all_ports

# What Heat 27 and everything that it needs is released for.
OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 14)

NETWORK = '127.77.0'

# Variable in the environment of every service: the folder of its cloud.
MARK = 'SANDBOX_SERVICE_OF'

# In the folder of a cloud, from its first start on.
OPTIONS = 'options.json'

# Of what the wheels are released for, as uname(2) and as glibc call it.
_MACHINES = ('x86_64', 'aarch64')
_OLDEST_GLIBC = (2, 28)

# Measured, with some room: one release line installed, and one cloud.
_INSTALLED_MIB = 1600
_CLOUD_DISK_MIB = 400
_CLOUD_MEMORY_MIB = 1600

# A colon ends a folder in PATH, a dollar or a percent sign begins a reference
# in configuration files, and quotes end words in shells.
_PLAIN_PATH = re.compile(r'[\w./ +@,=~()-]+')

# Of the clone, as a URL has it. The rest of the 255 is for "file://", a folder
# of the demo and a template in it.
LONGEST_PATH = 150

_LOOPBACK = re.compile(r'127\.(\d{1,3})\.(\d{1,3})')

# {file of /proc/sys: (value that forbids user namespaces, one that does not)}
_SYSCTLS = {
    'user/max_user_namespaces': ('0', '15000'),
    'kernel/unprivileged_userns_clone': ('0', '1'),
    # Ubuntu 23.10 and later.
    'kernel/apparmor_restrict_unprivileged_userns': ('1', '0'),
}

_CGROUPS = '/sys/fs/cgroup'

# sched.h and sys/mount.h; the module "os" knows them from Python 3.12 on.
_CLONE_NEWNS = 0x20000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWUSER = 0x10000000
_MS_PRIVATE_REC = 0x40000 | 0x4000


class Missing(collections.namedtuple('Missing', 'what fix')):
    """A prerequisite that is not met: a sentence each, and how to meet it."""


class Cloud(collections.namedtuple('Cloud', 'network state ports')):
    """A local cloud that is to be started.

    :param network: its first three octets.
    :param state: its folder; a cloud that runs from there is no obstacle.
        None: any listener is one.
    :param ports: {name for people: port}.
    """

    @property
    def address(self):
        return self.network + '.1'


def report(missing):
    """Return all sentences as one list."""
    return '\n'.join('  * %s\n    %s' % problem for problem in missing)


# How software is installed here

_INSTALL = {
    'apt': 'apt-get install', 'dnf': 'dnf install', 'pacman': 'pacman -S',
    'zypper': 'zypper install',
}
_FAMILIES = (
    ('apt', ('debian', 'ubuntu')),
    ('dnf', ('fedora', 'rhel', 'centos')),
    ('pacman', ('arch',)),
    ('zypper', ('suse', 'opensuse')),
)


def package_manager(os_release):
    """Return the package manager that belongs to an os-release(5), or None."""
    fields = dict(re.findall(r'^(ID|ID_LIKE)=["\']?([^"\'\n]*)', os_release,
                             re.MULTILINE))
    names = (fields.get('ID', '') + ' ' + fields.get('ID_LIKE', '')).split()
    for manager, family in _FAMILIES:
        if any(name.startswith(family) for name in names):
            return manager
    return None


def this_package_manager():
    for path in ('/etc/os-release', '/usr/lib/os-release'):
        with contextlib.suppress(OSError):
            return package_manager(_read(path))
    return None


def as_root(command):
    """Return a command that this user can type."""
    return command if os.geteuid() == 0 else 'sudo ' + command


def install(manager, packages, otherwise):
    """Return the command that installs packages.

    :param packages: {package manager: packages}.
    :param otherwise: what to do with another package manager.
    """
    if manager not in packages:
        return otherwise
    return 'Install it: %s' % as_root(
        '%s %s' % (_INSTALL[manager], packages[manager]))


def _read(path):
    with open(path, encoding='utf-8', errors='replace') as stream:
        return stream.read()


# Python

Python = collections.namedtuple('Python', 'path version has_venv')

_ASK = ('import sys; print(sys.version_info[0], sys.version_info[1])\n'
        'try: import ensurepip, venv\n'
        'except ImportError: print("no")\n')


def pythons():
    """Yield each Python 3 that can be started here, this one first."""
    names = ['python3.%d' % minor for minor in range(
        NEWEST_PYTHON[1], OLDEST_PYTHON[1] - 1, -1)] + ['python3']
    for path in [sys.executable] + names:
        # A shim of a version manager is there and may still fail.
        with contextlib.suppress(OSError, ValueError,
                                 subprocess.SubprocessError):
            answer = subprocess.run(
                [path, '-I', '-c', _ASK], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, timeout=10, check=True,
                universal_newlines=True).stdout.split()
            major, minor = map(int, answer[:2])
            yield Python(path, (major, minor), answer[2:] != ['no'])


# Of distributions whose own Python is older, and newer, than we need.
_NEW_PYTHONS = {'apt': 'python3.11 python3.11-venv', 'dnf': 'python3.12',
                'pacman': 'python', 'zypper': 'python312'}
_OLD_PYTHONS = {'apt': 'python3.14 python3.14-venv', 'dnf': 'python3.14',
                'zypper': 'python314'}


def is_supported(version):
    return OLDEST_PYTHON <= version <= NEWEST_PYTHON


def choose_python(found):
    """Return the first Python that fits, or the best of those that do not."""
    best = None
    for python in found:
        if is_supported(python.version):
            if python.has_venv:
                return python
            if best is None or not is_supported(best.version):
                best = python
        elif best is None or (python.version > best.version
                              and not is_supported(best.version)):
            best = python
    return best


def check_python(python, manager):
    """Return what a chosen Python lacks.

    :param python: as ``choose_python`` returns it.
    """
    version = '%d.%d' % python.version
    if not is_supported(python.version):
        return [Missing(
            'Python is %s here; it has to be one of 3.%d to 3.%d.' % (
                version, OLDEST_PYTHON[1], NEWEST_PYTHON[1]),
            install(manager, _OLD_PYTHONS if python.version > NEWEST_PYTHON
                    else _NEW_PYTHONS, 'Install it beside the one there is.')
            + ' (If there is no such package: another release of the '
            'distribution has one, or pyenv makes one.)')]
    if not python.has_venv:
        return [Missing(
            'The modules venv and ensurepip of Python %s are missing.'
            % version,
            install(manager, {'apt': 'python%s-venv' % version},
                    'Install what your distribution splits from Python for '
                    'them.'))]
    return []


# OpenStack 2024.1 needs netifaces, of which there is no wheel.
_ASK_COMPILER = (
    'import os, shutil, sysconfig as s; print(bool(shutil.which("cc")),'
    'os.path.exists(os.path.join(s.get_path("include"), "Python.h")))')


def check_compiler(answer, manager):
    """Return what is missing to compile a module of OpenStack 2024.1.

    :param answer: whether there is a compiler, and Python's header files.
    """
    if all(answer):
        return []
    return [Missing('A C compiler or the header files of Python 3.11 are '
                    'missing, with which OpenStack 2024.1 is installed.',
                    install(manager, {
                        'apt': 'gcc libc6-dev python3.11-dev',
                        'dnf': 'gcc python3.11-devel',
                        'pacman': 'gcc', 'zypper': 'gcc python311-devel',
                    }, 'Install both.'))]


def ask_compiler():
    """Return what ``check_compiler`` judges; Python 3.11 may not be there."""
    try:
        words = subprocess.run(
            ['python3.11', '-I', '-c', _ASK_COMPILER], check=True, timeout=10,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            universal_newlines=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        # tox leaves that line out.
        return (True, True)
    return tuple(word == 'True' for word in words)


# The machine

def check_system(system):
    if system.startswith('linux'):
        return []
    return [Missing('This is "%s"; the local cloud needs Linux: its servers '
                    'are made of Linux namespaces.' % system,
                    'Use Linux, in a virtual machine for example.')]


def check_architecture(machine):
    if machine in _MACHINES:
        return []
    return [Missing('The processor is "%s"; PostgreSQL and others are '
                    'released for %s.' % (machine, ' and '.join(_MACHINES)),
                    'Use a machine with one of these.')]


def check_libc(libc):
    """Return what is wrong with the C library.

    :param libc: as confstr(3) has it, "glibc 2.36", or None.
    """
    numbers = re.match(r'glibc (\d+)\.(\d+)', libc or '')
    if numbers and tuple(map(int, numbers.groups())) >= _OLDEST_GLIBC:
        return []
    return [Missing('The C library is %s; the packages on PyPI that hold '
                    'programs need glibc %d.%d or later.' % (
                        (libc or 'not glibc',) + _OLDEST_GLIBC),
                    'Use a distribution with it, Debian 12 for example: musl, '
                    'as in Alpine, will not do.')]


def _libc_version():
    try:
        return os.confstr('CS_GNU_LIBC_VERSION')
    except (OSError, ValueError):
        return None


def check_user_namespaces(failure, settings):
    """Return why no server can be started, and how to change it.

    :param failure: an errno, 0 if all went well.
    :param settings: {file of /proc/sys: its value}, of those there are.
    """
    if not failure:
        return []
    wrong = ['%s=%s' % (name.replace('/', '.'), right)
             for name, (forbids, right) in _SYSCTLS.items()
             if settings.get(name) == forbids]
    if wrong:
        fix = 'Permit them: %s (until the next boot; /etc/sysctl.d keeps it).'
        return [Missing('Unprivileged user namespaces are switched off, of '
                        'which the servers are made.',
                        fix % as_root('sysctl -w ' + ' '.join(wrong)))]
    return [Missing('Linux namespaces cannot be used here (%s), of which the '
                    'servers are made.' % os.strerror(failure),
                    'In a container, start it with "--security-opt seccomp='
                    'unconfined --security-opt systempaths=unconfined", as '
                    'root with "--privileged"; in a chroot, use pivot_root.')]


def try_namespaces(privileged):
    """Return the errno with which a server of ours would fail, else 0.

    :param privileged: whether it is started by root, with root's rights.
    """
    # PostgreSQL is another user than root, in a user namespace.
    return (privileged and _errno_of(_unshare, _CLONE_NEWNS | _CLONE_NEWUSER)
            or _errno_of(_enter_namespaces, privileged))


def _errno_of(function, argument):
    """Return the errno that a function returns or raises in a child."""
    child = os.fork()
    if not child:
        try:
            os._exit(function(argument))
        except OSError as error:
            os._exit(error.errno)
        finally:
            os._exit(errno.ENOSYS)
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _unshare(flags):
    return ctypes.get_errno() if _libc().unshare(flags) else 0


def _enter_namespaces(privileged):
    """Do what bubblewrap does; AppArmor fails the second or third step."""
    user = os.getuid()
    failure = _unshare(_CLONE_NEWNS | _CLONE_NEWPID
                       | (0 if privileged else _CLONE_NEWUSER))
    if failure:
        return failure
    if not privileged:
        with open('/proc/self/uid_map', 'w') as stream:
            stream.write('0 %d 1' % user)
    # The first process of the new PID namespace, which /proc then shows.
    return _errno_of(_mount, (
        (b'none', b'/', None, _MS_PRIVATE_REC, None),
        (b'proc', b'/proc', b'proc', 0, None)))


def _mount(mounts):
    libc = _libc()
    failed = any(libc.mount(*mount) for mount in mounts)
    return ctypes.get_errno() if failed else 0


def sysctls():
    """Return {file of /proc/sys: value} of what decides on namespaces."""
    found = {}
    for name in _SYSCTLS:
        with contextlib.suppress(OSError):
            found[name] = _read('/proc/sys/' + name).strip()
    return found


def check_memory(available_mib, count):
    needed = count * _CLOUD_MEMORY_MIB
    if available_mib >= needed:
        return []
    return [Missing('%d MiB of memory are available; %s %d MiB.' % (
        available_mib, 'a local cloud takes' if count == 1
        else '%d local clouds take' % count, needed),
        'End other programs, or add memory or swap.')]


def _available_memory_mib():
    """Return what can be had without swapping, and the free swap."""
    kib = dict(re.findall(r'^(\w+):\s+(\d+) kB$', _read('/proc/meminfo'),
                          re.MULTILINE))
    available = (int(kib['MemAvailable']) + int(kib.get('SwapFree', 0))) >> 10
    return min([available] + _left_by_groups(_CGROUPS, '/proc/self/cgroup'))


def _left_by_groups(root, membership):
    """Return the MiB that each control group of this process has left.

    A container may have less than its host. See "Memory" in the kernel's
    cgroup-v2.rst; a group without a limit, and cgroup v1, count for nothing.

    :param root: where cgroup2 is mounted.
    :param membership: path of a file as /proc/self/cgroup.
    """
    left = []
    with contextlib.suppress(OSError):
        [path] = re.findall('^0::/(.*)$', _read(membership),
                            re.MULTILINE) or ['']
        parts = [part for part in path.split('/') if part]
        for depth in range(len(parts) + 1):
            folder = os.path.join(root, *parts[:depth])
            with contextlib.suppress(OSError, ValueError):
                # "max" is no number.
                limit = int(_read(os.path.join(folder, 'memory.max')))
                used = int(_read(os.path.join(folder, 'memory.current')))
                # What the kernel takes back, as MemAvailable has it.
                cache = sum(map(int, re.findall(
                    r'^(?:active_file|inactive_file|slab_reclaimable) (\d+)$',
                    _read(os.path.join(folder, 'memory.stat')),
                    re.MULTILINE)))
                left.append((limit - used + cache) >> 20)
    return left


# The clone

def check_path(clone):
    if _PLAIN_PATH.fullmatch(clone):
        return []
    return [Missing('The path %s has a character that shells, PATH or '
                    'configuration files take for another.' % clone,
                    'Move the clone to a path of letters, digits, spaces and '
                    '. _ - + @ , = ~ ( ) only.')]


def check_length(clone):
    """Return whether Heat can keep the URLs of the templates in the clone."""
    length = len(urllib.parse.quote(clone))
    if length <= LONGEST_PATH:
        return []
    return [Missing('The path %s has %d characters, as a URL; it can have %d, '
                    'since Heat keeps the URL of a nested template in 255.' % (
                        clone, length, LONGEST_PATH),
                    'Move the clone to a shorter path.')]


def check_folder(clone, problem, noexec, free_mib, needed_mib):
    """Return what is wrong with the file system of the clone.

    :param problem: why nothing can be written there, '' if it can.
    :param noexec: whether programs cannot be started there.
    """
    missing = []
    if problem:
        missing.append(Missing(
            'Nothing can be written to %s (%s).' % (clone, problem),
            'Make it yours: %s, or clone to a folder of your own.' % as_root(
                'chown -R %s %s' % (os.getuid(), shlex.quote(clone)))))
    if noexec:
        missing.append(Missing(
            '%s is on a file system that is mounted "noexec".' % clone,
            'Clone to another one, or mount it with "-o remount,exec".'))
    if free_mib < needed_mib:
        missing.append(Missing(
            '%d MiB are free on the file system of %s; it takes %d MiB.'
            % (free_mib, clone, needed_mib),
            'Make room, or clone to another file system.'))
    return missing


def _write_problem(clone):
    """Return why nothing can be written, as after a first run by root."""
    for name in ('', '.tox', 'build'):
        folder = os.path.join(clone, name)
        try:
            if os.path.isdir(folder):
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError as error:
            return (name and name + ': ') + os.strerror(error.errno)
    return ''


# Addresses

def check_variables(environ):
    """Return the variables of the local cloud that have no sense."""
    missing = []
    network = environ.get('SANDBOX_NETWORK')
    octets = _LOOPBACK.fullmatch(network) if network else None
    if network and not (octets and all(int(o) < 255 for o in octets.groups())
                        and network != '127.0.0'):
        missing.append(Missing(
            'SANDBOX_NETWORK is "%s": three numbers of a loopback network are '
            'expected, other than 127.0.0.' % network,
            'Write SANDBOX_NETWORK=%s, or unset it.' % NETWORK))
    engines = environ.get('SANDBOX_HEAT_ENGINES')
    if engines and not engines.isdigit():
        missing.append(Missing(
            'SANDBOX_HEAT_ENGINES is "%s": a number is expected.' % engines,
            'Write 0, for Heat in one process, or more; or unset it.'))
    return missing


def nth_network(network, number):
    """Return the network that is so many after a first one."""
    first, second, third = network.split('.')
    return '%s.%d.%s' % (first, int(second) + number, third)


def clouds(clone, count, environ, name='sandbox'):
    """Return the local clouds that a command starts, as tests number them.

    :param environ: with the variables that ``check_variables`` accepts.
    :param name: of the folder below "build", unless a variable says another.
    """
    network = environ.get('SANDBOX_NETWORK') or NETWORK
    state = os.path.realpath(os.path.join(
        clone, environ.get('SANDBOX_STATE_DIR') or 'build/' + name))
    ports = dict(all_ports.ALWAYS)
    if shutil.which('prometheus'):
        # Its package starts a daemon, which takes the port on all addresses.
        ports['prometheus'] = all_ports.PROMETHEUS
    return [Cloud(nth_network(network, number),
                  '%s-%d' % (state, number) if number else state, ports)
            for number in range(count)]


def check_ports(wanted, find_free=None):
    """Return the ports that a process of somebody else listens on.

    :param find_free: given the clouds, returns the first of as many networks
        in which none of their ports is taken, None if there are none.
    """
    taken = [(cloud, owner, names) for cloud in wanted
             for owner, names in sorted(_taken(cloud).items())]
    free = (find_free or _free_network)(wanted) if taken else None
    otherwise = (' Or use other addresses: export SANDBOX_NETWORK=%s' % free
                 if free else '')
    return [Missing('Port %s of %s, for %s, is taken by %s.' % (
        ', '.join(str(port) for _name, port in names), cloud.address,
        ', '.join(name for name, _port in names), owner.what),
        owner.stop + otherwise) for cloud, owner, names in taken]


Owner = collections.namedtuple('Owner', 'what stop')


def _taken(cloud):
    """Return {Owner: [(name, port)]} of what others listen on."""
    taken = {}
    for name, port in sorted(cloud.ports.items(), key=lambda item: item[1]):
        if _is_taken(cloud.address, port):
            environ, command = _listener(cloud.address, port)
            if cloud.state is None or environ.get(MARK) != cloud.state:
                taken.setdefault(_owner(environ, command), []).append(
                    (name, port))
    return taken


def _owner(environ, command):
    state = environ.get(MARK)
    if state:
        # By its folder any clone stops it.
        clone = environ.get('PYTHONPATH', '').split(':')[0] or (
            os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        return Owner('the local cloud in %s' % state, 'Stop it: %s.' % (
            '%s sandbox --state-dir %s down' % (
                shlex.quote(os.path.join(clone, 'run')), shlex.quote(state))))
    return Owner(command or 'a process of another user', 'Stop it.')


def _is_taken(address, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def _free_network(wanted):
    """Return a network to use instead of those of clouds, or None.

    A daemon of the distribution has its port on the addresses of all.
    """
    for second in range(80, 250 - len(wanted)):
        network = '127.%d.0' % second
        if not any(_is_taken(nth_network(network, number) + '.1', port)
                   for number, cloud in enumerate(wanted)
                   for port in cloud.ports.values()):
            return network
    return None


def _listener(address, port):
    """Return environment and command of whoever listens on a port.

    They are empty if it is a process of another user.
    """
    sockets = {'socket:[%s]' % inode for inode in _inodes(address, port)}
    for entry in os.listdir('/proc'):
        folder = '/proc/' + entry
        with contextlib.suppress(OSError):
            if entry.isdigit() and any(
                    os.readlink('%s/fd/%s' % (folder, fd)) in sockets
                    for fd in os.listdir(folder + '/fd')):
                environ = dict(word.split('=', 1) for word in _read(
                    folder + '/environ').split('\0') if '=' in word)
                return dict(_marked(folder), **environ), (
                    'process %s, "%s"' % (entry, _read(
                        folder + '/cmdline').replace('\0', ' ').strip()))
    return {}, ''


def _marked(folder):
    """Return the mark of a service, by the log that it writes.

    Some services write their title where the environment of a process is.
    """
    with contextlib.suppress(OSError):
        log = re.match(r'(/.+)/log/[\w-]+\.log\Z',
                       os.readlink(folder + '/fd/1'))
        if log and os.path.exists(os.path.join(log.group(1), OPTIONS)):
            return {MARK: log.group(1)}
    return {}


def _inodes(address, port):
    """Return the inodes of the sockets that listen there, as proc(5) says."""
    wanted = ''.join('%02X' % byte for byte in
                     reversed(socket.inet_aton(address)))
    found = set()
    for name in ('tcp', 'tcp6'):
        with contextlib.suppress(OSError):
            for line in _read('/proc/net/' + name).splitlines()[1:]:
                fields = line.split()
                local, _colon, local_port = fields[1].partition(':')
                if (fields[3] == '0A' and int(local_port, 16) == port
                        and (local == wanted or not local.strip('0'))):
                    found.add(fields[9])
    return found


# All together

def of_installation(clone, lines, count=0):
    """Return what is missing to install anything into the clone.

    :param lines: number of the release lines that are not there yet.
    :param count: of the local clouds that will write into it.
    """
    status = os.statvfs(clone)
    return (check_path(clone)
            + check_architecture(platform.machine())
            + check_libc(_libc_version())
            + check_folder(clone, _write_problem(clone),
                           bool(status.f_flag & os.ST_NOEXEC),
                           status.f_bavail * status.f_frsize >> 20,
                           lines * _INSTALLED_MIB + count * _CLOUD_DISK_MIB))


def of_clouds(wanted):
    """Return what is missing to start local clouds."""
    missing = check_system(sys.platform)
    if missing:
        return missing
    idle = [cloud for cloud in wanted
            if not _is_taken(cloud.address, all_ports.KEYSTONE)]
    return (check_user_namespaces(try_namespaces(os.getuid() == 0), sysctls())
            + check_memory(_available_memory_mib(), len(idle))
            + check_ports(wanted))
