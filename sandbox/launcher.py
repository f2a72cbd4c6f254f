# SPDX-License-Identifier: Apache-2.0

"""Command line of ``run``: from a fresh clone to a running tox.

Standard library only, in the syntax of Python 3.6: an older Python than we
need gets a sentence.
"""

import collections
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

from sandbox import packages
from sandbox import prerequisites

CLONE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

TOX = 'tox>=4.20,<5'

# Seconds between two signs of life on a terminal.
_TICK = 1

# Of a command that failed; pip says before it what it downloads.
_LINES = 40

# The tests run that many clouds at once, see tox.ini.
_WORKERS = 3
# Both lines at once, see tools/suite.py.
_SUITE_WORKERS = 5


class Verb(collections.namedtuple(
        'Verb', 'environments clouds programs about')):
    """A command.

    :param environments: of tox, None for those that it takes by itself.
    :param clouds: number of local clouds that it starts.
    :param programs: of distributions, without which tests are left out.
    """


VERBS = collections.OrderedDict((
    ('demo', Verb('demo', 1, {}, 'see a server drain; "--help" has more')),
    ('test', Verb('py3,core', _WORKERS, packages.QUICK,
                  'the quick tests; options go to pytest')),
    ('suite', Verb('suite', _SUITE_WORKERS, packages.ALL, 'all tests')),
    ('sandbox', Verb('sandbox', 1, {},
                     'the local cloud: up, down, status, logs, env')),
    ('tox', Verb(None, 0, {}, 'anything else that "run tox list" shows')),
    ('packages', Verb(None, 0, packages.ALL,
                      'install what only Debian packages have, as root')),
))

_USAGE = """usage: run VERB [ARGUMENT ...]

%s
"./run demo" is the first thing to try. Nothing is installed outside the
clone but by "test" and "suite" as root, and by "packages".
"""


def usage():
    return _USAGE % ''.join('  %-9s %s\n' % (name, verb.about)
                            for name, verb in VERBS.items())


# Which clouds, which environments

# Environments of tox that start one; a line may follow, as in "demo-2024.1".
_WITH_CLOUD = {'demo': 1, 'sandbox': 1, 'bench': 1, 'faults': 1,
               'functional': _WORKERS, 'core': _WORKERS}


def count_clouds(name, arguments):
    """Return how many local clouds a command starts."""
    if name == 'sandbox':
        return 1 if 'up' in arguments else 0
    if name != 'tox':
        return 0 if {'-h', '--help'} & set(arguments) else VERBS[name].clouds
    return max([_WITH_CLOUD.get(environment.split('-')[0], 0)
                for environment in _named(arguments)] or [0])


def _named(arguments):
    """Return the environments that arguments of tox name."""
    named = []
    for before, word in zip([''] + arguments, arguments):
        if word == '--':
            break
        if before in ('-e', '--env'):
            named += word.split(',')
        elif word.startswith('-e') and len(word) > 2:
            named += word[2:].lstrip('=').split(',')
    return named


def installs_old_line(name, arguments):
    """Return True if a command installs OpenStack 2024.1."""
    wanted = name == 'suite' or any(
        environment.endswith('-2024.1') for environment in _named(arguments))
    return wanted and not _is_installed('cloud-2024.1')


def tox_arguments(name, arguments):
    """Return the arguments of tox for a verb and what follows it."""
    if name == 'tox':
        return arguments
    # The answer of "sandbox env" is for a shell, so tox has no say.
    quiet = ['-qq'] if name == 'sandbox' else []
    environments = VERBS[name].environments
    return (quiet + ['run'] + (['-e', environments] if environments else [])
            + (['--'] + arguments if arguments else []))


# A Python and tox

def _bootstrap():
    return os.path.join(CLONE, '.tox', 'bootstrap')


def _made_for():
    return {'tox': TOX, 'folder': _bootstrap()}


def bootstrap_python():
    """Return the Python that has tox, None if there is none that works."""
    python = os.path.join(_bootstrap(), 'bin', 'python')
    try:
        with open(os.path.join(_bootstrap(), 'made-for.json')) as stream:
            if json.load(stream) != _made_for():
                return None
        # The one that it was made with may have gone, or be another by now.
        subprocess.run(
            [python, '-I', '-c', 'import importlib.util as util, sys;'
             'sys.exit(util.find_spec("tox") is None)'], check=True,
            timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return python


def make_bootstrap(python):
    """Make the virtual environment of tox, complete or not at all.

    :param python: path of the Python to make it with.
    :returns: path of its own Python.
    """
    new = _bootstrap() + '.new'
    for folder in (new, _bootstrap()):
        shutil.rmtree(folder, ignore_errors=True)
    _watched('Installing tox', [
        [python, '-I', '-m', 'venv', new],
        [os.path.join(new, 'bin', 'python'), '-I', '-m', 'pip', 'install',
         '--quiet', '--disable-pip-version-check', '--no-input', TOX]])
    with open(os.path.join(new, 'made-for.json'), 'w') as stream:
        json.dump(_made_for(), stream)
    # Its scripts name the old folder; "python -m tox" does not need them.
    os.rename(new, _bootstrap())
    return bootstrap_python()


class Failed(Exception):
    """A step failed; the text says which, and what it said."""


def _watched(what, commands):
    """Run commands without their output, with seconds on a terminal.

    :raises Failed: with the end of the output of the one that fails.
    """
    print('%s ...' % what, file=sys.stderr)
    over = threading.Event()
    ticker = threading.Thread(target=_tick, args=(what, over), daemon=True)
    if sys.stderr.isatty():
        ticker.start()
    try:
        for command in commands:
            done = subprocess.run(command, cwd=CLONE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT,
                                  universal_newlines=True)
            if done.returncode:
                raise Failed('%s failed:\n%s' % (what, '\n'.join(
                    done.stdout.strip().splitlines()[-_LINES:])))
    finally:
        over.set()
        if ticker.is_alive():
            ticker.join()


def _tick(what, over):
    began = time.monotonic()
    while not over.wait(_TICK):
        sys.stderr.write('\r%d s ' % (time.monotonic() - began))
        sys.stderr.flush()
    sys.stderr.write('\r')


@contextlib.contextmanager
def _alone():
    """Let two commands of one clone install one after the other."""
    folder = os.path.join(CLONE, '.tox')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'run.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_installed(name='cloud'):
    return os.path.exists(os.path.join(CLONE, '.tox', name, 'bin', 'python'))


# The command

def find_missing(name, arguments, python, environ):
    """Return all that a command lacks.

    :param python: of the ``Python`` that is to make the environment of tox,
        None if that is there.
    """
    manager = prerequisites.this_package_manager()
    count = count_clouds(name, arguments)
    missing = prerequisites.check_system(sys.platform)
    if missing:
        return missing
    if python:
        missing += prerequisites.check_python(python, manager)
    missing += prerequisites.of_installation(CLONE, _is_installed(), count)
    if installs_old_line(name, arguments):
        missing += prerequisites.check_compiler(
            prerequisites.ask_compiler(), manager)
    wrong = prerequisites.check_variables(environ)
    if count:
        missing += prerequisites.check_length(CLONE) + wrong
        missing += prerequisites.of_clouds(prerequisites.clouds(
            CLONE, count, {} if wrong else environ))
    return missing


def main(argv):
    """Run a command; return its exit status."""
    if not argv or argv[0] in ('-h', '--help', 'help'):
        print(usage(), end='')
        return 0
    name, arguments = argv[0], argv[1:]
    if name not in VERBS:
        return _refuse('There is no command "%s".\n\n%s' % (name, usage()))
    try:
        if name == 'packages':
            return _add_packages()
        return _run(name, arguments)
    except (Failed, packages.Failed) as error:
        print('run: %s' % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('run: interrupted.', file=sys.stderr)
        return 130


def _refuse(text):
    print('run: %s' % text, file=sys.stderr)
    return 2


def _run(name, arguments):
    python = bootstrap_python()
    chosen = None if python else prerequisites.choose_python(
        prerequisites.pythons())
    missing = find_missing(name, arguments, chosen, os.environ)
    if missing:
        return _refuse('"%s" cannot start here yet:\n%s' % (
            name, prerequisites.report(missing)))
    if not python:
        with _alone():
            # Another command may have been first.
            python = bootstrap_python() or make_bootstrap(chosen.path)
    absent = packages.missing(VERBS[name].programs)
    if absent and (os.geteuid() == 0 or os.environ.get('CI')):
        absent = _install(absent)
    tox = [python, '-I', '-m', 'tox']
    if name != 'tox':
        with _alone():
            if not _is_installed():
                _watched('Installing OpenStack into .tox/cloud, which takes '
                         'some minutes',
                         [tox + ['run', '--notest', '-e', 'demo']])
    command = tox + tox_arguments(name, arguments)
    os.chdir(CLONE)
    if not absent:
        sys.stderr.flush()
        os.execv(python, command)
    status = _wait_for(command)
    print(left_out(absent))
    return status


def _wait_for(command):
    """Run a command to its end; whoever interrupts us interrupts it."""
    with subprocess.Popen(command) as child:
        # A terminal tells both; tox has to end its tests first.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        signal.signal(signal.SIGTERM,
                      lambda number, frame: child.send_signal(number))
        return child.wait()


def _install(absent):
    """Install packages; return those that are to be done without.

    :raises packages.Failed: in CI, where nothing may be left out.
    """
    print('Installing the packages %s ...' % ', '.join(absent),
          file=sys.stderr)
    try:
        if os.geteuid() and subprocess.call(
                ['sudo', sys.executable, os.path.join(CLONE, 'run'),
                 'packages']):
            raise packages.Failed('"sudo run packages" failed.')
        if not os.geteuid():
            packages.install(absent)
    except packages.Failed as error:
        if os.environ.get('CI'):
            raise
        print('run: %s' % error, file=sys.stderr)
        return absent
    return []


def _add_packages():
    absent = packages.missing(packages.ALL)
    if absent:
        packages.install(absent)
    return 0


def left_out(absent):
    """Return what to say at the end of tests without some packages."""
    names = ', '.join(absent)
    if prerequisites.this_package_manager() == 'apt':
        return ('Left out: the tests that need %s. To have them run, type '
                'once: %s' % (names, prerequisites.as_root('%s packages' % (
                    shlex.quote(os.path.join(CLONE, 'run'))))))
    return ('Left out: the tests that need %s. To have them run, install '
            'these, stopped.' % names)
