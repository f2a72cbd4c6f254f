# SPDX-License-Identifier: Apache-2.0

"""Programs that only the distribution has, installed without their daemons.

Guests and the local cloud start them by themselves: a daemon that Debian
starts with the installation would hold their ports on all addresses. Standard
library only, in the syntax of Python 3.6, for ``run``.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys

from sandbox import prerequisites

# {program: Debian package}. RabbitMQ's command on the path gives itself to
# another user, so the program is another.
QUICK = {'nginx': 'nginx', 'haproxy': 'haproxy', 'prometheus': 'prometheus',
         'systemd-analyze': 'systemd'}
ALL = dict(QUICK, **{
    '/usr/lib/rabbitmq/bin/rabbitmq-server': 'rabbitmq-server',
    # Without an account and a unit for a daemon.
    'mariadbd': 'mariadb-server-core',
    'my_print_defaults': 'mariadb-client-core'})

# Debian asks this program before it starts a daemon, and 101 is no.
_POLICY = '/usr/sbin/policy-rc.d'
_REFUSE = '#!/bin/sh\nexit 101\n'

_FOLDERS = ('/usr/local/sbin', '/usr/sbin', '/sbin')


class Failed(Exception):
    """The packages cannot be installed; the text says why."""


def missing(programs):
    """Return the packages of the programs that are not there, sorted.

    :param programs: as ``ALL``.
    """
    path = os.pathsep.join((os.environ.get('PATH', os.defpath),) + _FOLDERS)
    return sorted(package for program, package in programs.items()
                  if not shutil.which(program, path=path))


@contextlib.contextmanager
def no_daemons(policy=_POLICY):
    """Keep installations from starting a daemon while the block runs.

    A policy that is there already stays as it is, as in a container. Ours
    goes at SIGTERM as well; otherwise no daemon could be installed later.
    """
    with _one_at_a_time(os.path.dirname(policy)):
        with _refusing(policy):
            yield


@contextlib.contextmanager
def _one_at_a_time(folder):
    """Hold a lock, since apt-get fails while another one is at work.

    The next installation would also rely on a policy that goes with this one.
    """
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _refusing(policy):
    try:
        fd = os.open(policy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with open(fd, 'w') as stream:
            stream.write(_REFUSE)
        yield
    finally:
        os.unlink(policy)
        signal.signal(signal.SIGTERM, before)


def install(packages):
    """Install Debian packages, as root.

    :raises Failed: on another distribution, or if apt-get fails.
    """
    if prerequisites.this_package_manager() != 'apt':
        raise Failed('Only Debian and its relatives are known here: install '
                     '%s by other means, stopped.' % ', '.join(packages))
    if os.geteuid():
        raise Failed('Only root can install %s: type "sudo %s packages".' % (
            ', '.join(packages), shlex.quote(sys.argv[0])))
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    with no_daemons():
        for command in (['update'], ['install', '--yes',
                                     '--no-install-recommends'] + packages):
            done = subprocess.run(
                ['apt-get', '-qq', '-o', 'Dpkg::Use-Pty=0',
                 # Of a daemon that upgrades the machine, for example.
                 '-o', 'DPkg::Lock::Timeout=300'] + command,
                env=environment, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, universal_newlines=True)
            if done.returncode:
                raise Failed('"apt-get %s" failed:\n%s' % (
                    ' '.join(command), done.stdout))
