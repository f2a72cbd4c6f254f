# SPDX-License-Identifier: Apache-2.0

"""The README's two commands, in Debian roots that have nothing of ours.

As root, with git: ``tox -e fresh -- --suite trixie``. A root is made once and
kept; each run takes a copy of it, clones what is committed here into the copy
as an ordinary user, and types there what the README says.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from sandbox import packages

REPO = pathlib.Path(__file__).resolve().parents[1]

SUITES = ('bookworm', 'trixie', 'testing')
# What the README asks for; certificates are for whoever clones by https.
_INCLUDE = 'git,python3,python3-venv,ca-certificates'

_CLONE = 'heat-lifecycle-hooks'
_CERTIFICATES = 'etc/ssl/certs/ca-certificates.crt'

# How this machine reaches PyPI, and not what else it has for pip: a root is
# to be as a stranger's machine.
_PIP = ('cert', 'default-timeout', 'index-url', 'proxy', 'retries', 'timeout',
        'trusted-host')
_PASSED = re.compile(r'(https?|no|ftp|all)_proxy|SANDBOX_\w+|TERM', re.I)
_CERTIFICATE_VARIABLES = ('PIP_CERT', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE')

# The mounts end with the last process. In a chroot Linux gives nobody a user
# namespace, so the root becomes the root of the whole mount namespace, unless
# that is what is to be seen.
_MOUNT = """
mount --rbind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --rbind /dev dev
"""
_PIVOT = _MOUNT + """
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
exec "$@"
"""
_CHROOT = _MOUNT + 'exec chroot . "$@"\n'


class Failed(Exception):
    """The root cannot be made; the text says why."""


def commands(readme):
    """Return the commands of the README that start in a fresh clone.

    :returns: {verb of run: the line as it is written}.
    """
    return {verb: line for line, verb in re.findall(
        r'^ {4}(\./run (demo|test)\b.*)$', readme, re.MULTILINE)}


def environment(environ, pip_settings):
    """Return what a root is told of the network of this machine.

    :param pip_settings: as "pip config list" prints them.
    """
    told = {name: value for name, value in environ.items()
            if _PASSED.fullmatch(name)}
    for name, value in re.findall(r"^[^=]*\.([\w-]+)='(.*)'$", pip_settings,
                                  re.MULTILINE):
        if name in _PIP:
            told['PIP_' + name.upper().replace('-', '_')] = value
    return told


def certificates(environ):
    """Return the path of this machine's own certificates, or None."""
    for name in _CERTIFICATE_VARIABLES:
        if os.path.isfile(environ.get(name, '')):
            return environ[name]
    return None


class Root:
    """A copy of a fresh Debian, in which commands are typed.

    :param folder: of the copy.
    :param told: variables of its environment.
    """

    def __init__(self, folder, user, told):
        self.folder = folder
        self._user = user
        self._home = '/root' if user == 'root' else '/home/' + user
        self._told = told

    def prepare(self):
        """Make the user, the clone, and the way to the network."""
        for name in ('resolv.conf', 'hosts'):
            shutil.copy(os.path.join('/etc', name), self.folder / 'etc')
        found = certificates(dict(os.environ, **self._told))
        if found:
            shutil.copy(found, self.folder / _CERTIFICATES)
            self._told.update(
                dict.fromkeys(_CERTIFICATE_VARIABLES, '/' + _CERTIFICATES))
        if self._user != 'root':
            _call('chroot', self.folder, 'useradd', '--create-home',
                  '--shell', '/bin/bash', self._user)
        _call('git', '-C', REPO, 'bundle', 'create', '--quiet',
              self.folder / 'clone.bundle', 'HEAD')
        if self.type('git -c init.defaultBranch=main -c advice.detachedHead='
                     'false clone --quiet /clone.bundle ' + _CLONE, ''):
            raise Failed('"git clone" failed in %s.' % self.folder)

    def type(self, line, folder=_CLONE, namespaces=True):
        """Type a line in a folder below home; return its exit status.

        :param namespaces: False: as on a machine that forbids them.
        """
        words = ['unshare', '--mount', '--pid', '--fork', '--kill-child',
                 '--propagation', 'private',
                 'sh', '-ec', _PIVOT if namespaces else _CHROOT,
                 self.folder, 'setpriv', '--reuid', self._user,
                 '--regid', self._user, '--init-groups',
                 'env', '-i', 'HOME=' + self._home, 'LANG=C.UTF-8',
                 'PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
                 *('%s=%s' % item for item in sorted(self._told.items())),
                 'sh', '-c', 'cd "$0" && ' + line,
                 os.path.join(self._home, folder)]
        return subprocess.run(words, stdin=subprocess.DEVNULL,
                              check=False).returncode


def _call(*words):
    try:
        subprocess.run(words, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(str(error)) from None


def made(roots, suite):
    """Return the folder of a fresh Debian, made at the first use."""
    root = roots / suite
    if not root.exists():
        new = roots / (suite + '.new')
        shutil.rmtree(new, ignore_errors=True)
        roots.mkdir(parents=True, exist_ok=True)
        if not shutil.which('debootstrap'):
            packages.install(['debootstrap'])
        _call('debootstrap', '--variant=minbase', '--include=' + _INCLUDE,
              suite, new)
        new.rename(root)
    return root


def _try(args, suite, lines):
    """Return [(line, status, seconds)] of lines typed in a copy of a suite."""
    settings = subprocess.run(
        [sys.executable, '-m', 'pip', 'config', 'list'], capture_output=True,
        text=True, check=False).stdout
    root = made(args.roots, suite)
    work = pathlib.Path(tempfile.mkdtemp(prefix=suite + '.', dir=args.roots))
    try:
        _call('cp', '-a', '--reflink=auto', root, work / 'root')
        copy = Root(work / 'root', args.user,
                    environment(os.environ, settings))
        copy.prepare()
        results = []
        for line in lines:
            print('\n[%s] %s' % (suite, line), flush=True)
            began = time.monotonic()
            status = copy.type(line,
                               namespaces=not args.without_namespaces)
            results.append((line, status, time.monotonic() - began))
        return results
    finally:
        if args.keep:
            print('Kept: %s' % work)
        else:
            shutil.rmtree(work)


def _parser(verbs):
    parser = argparse.ArgumentParser(
        prog='fresh', description=__doc__.partition('\n')[0])
    parser.add_argument('--suite', action='append', choices=SUITES,
                        help='of Debian (default: each of them)')
    parser.add_argument('--command', action='append', choices=verbs,
                        help='of the README (default: each of them)')
    parser.add_argument('--user', default='visitor',
                        help='who types them (default: an ordinary user)')
    parser.add_argument('--roots', metavar='DIR', type=pathlib.Path,
                        default=REPO / 'build' / 'fresh',
                        help='where fresh roots are kept by their suite '
                             '(default: build/fresh)')
    parser.add_argument('--keep', action='store_true',
                        help='keep the copy in which it was tried')
    parser.add_argument('--without-namespaces', action='store_true',
                        help='as where they are switched off: a command has '
                             'to say so, with exit status 2')
    return parser


def main(argv=None):
    """Try every command; return 0 if all went well."""
    lines = commands((REPO / 'README.rst').read_text())
    args = _parser(sorted(lines)).parse_args(argv)
    args.roots = args.roots.resolve()
    # What is typed ends with us, and its copy goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    right = 2 if args.without_namespaces else 0
    table = []
    try:
        for suite in args.suite or SUITES:
            for result in _try(args, suite, [
                    lines[verb] for verb in args.command or lines]):
                table.append((suite, *result))
    except (Failed, packages.Failed) as error:
        print('fresh: %s' % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('fresh: interrupted.', file=sys.stderr)
        return 130
    print()
    for suite, line, status, seconds in table:
        print('%-9s %-8s %-12s %6.1f s  exit status %d'
              % (suite, args.user, line, seconds, status))
    return int(any(status != right for _s, _l, status, _seconds in table))


if __name__ == '__main__':
    sys.exit(main())
