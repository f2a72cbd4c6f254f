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


class Verb(collections.namedtuple('Verb', 'environments programs about')):
    """A command.

    :param environments: of tox, None for those that it takes by itself.
    :param programs: of distributions, without which tests are left out.
    """


VERBS = collections.OrderedDict((
    ('demo', Verb('demo', {}, 'see a server drain; "--help" has more')),
    ('test', Verb('py3,core', packages.QUICK,
                  'the quick tests; options go to pytest')),
    ('suite', Verb('suite', packages.ALL, 'all tests')),
    ('sandbox', Verb('sandbox', {},
                     'the local cloud: up, down, status, logs, env')),
    ('tox', Verb(None, {}, 'anything else that "run tox list" shows')),
    ('packages', Verb(None, packages.ALL,
                      'install what only Debian packages have, as root')),
))

_USAGE = """usage: run VERB [ARGUMENT ...]

%s
"./run demo" is the first thing to try. Nothing is installed outside the
clone but by "packages", and by "test" and "suite" as root or with CI=true.
"""


def usage():
    return _USAGE % ''.join('  %-9s %s\n' % (name, verb.about)
                            for name, verb in VERBS.items())


# Which clouds, which environments

# Environments of tox that start some, and how many; a line may follow, as in
# "demo-2024.1".
_WITH_CLOUDS = {'demo': 1, 'sandbox': 1, 'bench': 1, 'faults': 1,
                'functional': 3, 'core': 3}

# {line: (network of its first cloud, number of clouds)} of the tests that
# "suite" runs at once, on the processes of tools/suite.py. A cloud keeps about
# half a core busy, and 2024.1 has half as many tests again, for Senlin. The
# clouds that people use are on networks below.
SUITE = {'2026.2': ('127.101.0', 2), '2024.1': ('127.111.0', 3)}
OLD_LINE = '2024.1'
# Which environments of tox "suite" installs.
SUITE_ENVIRONMENTS = ('py3', 'py3-2024.1', 'py3-2024.2', 'py3-2025.1',
                      'py3-2025.2', 'py3-2026.1')

# Options that name another cloud, which checks the same as it starts.
_OF_ANOTHER = ('--release', '--state-dir')


def clouds(name, arguments, environ):
    """Return the local clouds that a command starts.

    :param environ: with the variables that ``check_variables`` accepts.
    """
    environments = _environments(name, arguments)
    if ({'-h', '--help'} & set(arguments) or environ.get('SANDBOX_RELEASE')
            or any(word.startswith(_OF_ANOTHER) for word in arguments)):
        return []
    if 'suite' in environments:
        return suite_clouds()
    if 'up' not in arguments:
        environments = [environment for environment in environments
                        if not environment.startswith('sandbox')]
    count, environment = max(
        ((_WITH_CLOUDS.get(environment.split('-')[0], 0), environment)
         for environment in environments), default=(0, ''))
    line = environment.partition('-')[2]
    return prerequisites.clouds(CLONE, count, environ,
                                'sandbox-' + line if line else 'sandbox')


def suite_clouds():
    """Return the local clouds of all tests, of the lines that can be here."""
    found = []
    for line, (network, count) in SUITE.items():
        if line != OLD_LINE or shutil.which('python3.11'):
            found += prerequisites.clouds(
                CLONE, count, {'SANDBOX_NETWORK': network},
                'functional-' + line)
    return found


def _environments(name, arguments):
    """Return the environments of tox that a command runs in."""
    if name == 'tox':
        return _named(arguments)
    return VERBS[name].environments.split(',')


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


def lines_to_install(name, arguments):
    """Return the release lines that a command installs, '' for the default.

    :param name: of a verb; each installs the default line.
    """
    environments = _environments(name, arguments)
    if 'suite' in environments:
        # It leaves out what there is no Python for.
        environments = [environment for environment in SUITE_ENVIRONMENTS
                        if not environment.endswith(OLD_LINE)
                        or shutil.which('python3.11')]
    lines = {environment.partition('-')[2] for environment in environments}
    return sorted(line for line in lines | {''} if not any(
        _is_installed(folder + ('-' + line if line else ''))
        for folder in ('cloud', 'py3')))


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

_RECORD = 'made-for.json'


def _bootstrap():
    return os.path.join(CLONE, '.tox', 'bootstrap')


def _made_for():
    return {'tox': TOX, 'folder': _bootstrap()}


def bootstrap_python():
    """Return the Python that has tox, None if there is none that works."""
    python = os.path.join(_bootstrap(), 'bin', 'python')
    try:
        if _read_json(_bootstrap(), _RECORD) != _made_for():
            return None
        # The one that it was made with may have gone, or be another by now.
        subprocess.run(
            [python, '-I', '-c', 'import importlib.util as util, sys;'
             'sys.exit(util.find_spec("tox") is None)'], check=True,
            timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return python


def make_bootstrap(python, lock=None):
    """Make the virtual environment of tox, complete or not at all.

    :param python: path of the Python to make it with.
    :param lock: see ``_watched``.
    :returns: path of its own Python.
    """
    new = _bootstrap() + '.new'
    for folder in [new, _bootstrap()] + _made_elsewhere():
        shutil.rmtree(folder, ignore_errors=True)
    _watched('Installing tox', [
        [python, '-I', '-m', 'venv', new],
        [os.path.join(new, 'bin', 'python'), '-I', '-m', 'pip', 'install',
         '--quiet', '--disable-pip-version-check', '--no-input', TOX]], lock)
    with open(os.path.join(new, _RECORD), 'w') as stream:
        json.dump(_made_for(), stream)
    # Its scripts name the old folder; "python -m tox" does not need them.
    os.rename(new, _bootstrap())
    return bootstrap_python()


def _made_elsewhere():
    """Return the environments of a clone that was moved or copied here.

    Their scripts begin with the whole path of their Python.
    """
    try:
        if _read_json(_bootstrap(), _RECORD)['folder'] == _bootstrap():
            return []
    except (OSError, ValueError):
        return []
    with os.scandir(os.path.join(CLONE, '.tox')) as entries:
        return [entry.path for entry in entries if entry.is_dir()]


def _read_json(*parts):
    with open(os.path.join(*parts)) as stream:
        return json.load(stream)


class Failed(Exception):
    """A step failed; the text says which, and what it said."""


def _watched(what, commands, lock=None):
    """Run commands without their output, with seconds on a terminal.

    :param lock: of ``_alone``, which a command holds though we are killed.
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
                                  universal_newlines=True,
                                  pass_fds=[lock] if lock else [])
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
    """Let two commands of one clone install one after the other.

    Yields the descriptor of the lock.
    """
    folder = os.path.join(CLONE, '.tox')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'run.lock'), 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Waiting for another command that installs into this '
                  'clone ...', file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _is_installed(name='cloud'):
    """Return True if all of an environment of tox is there."""
    folder = os.path.join(CLONE, '.tox', name)
    try:
        # tox notes there what it has installed, at the end.
        return (os.path.exists(os.path.join(folder, 'bin', 'python'))
                and 'deps' in _read_json(folder, '.tox-info.json').get(
                    'PythonRun', {}))
    except (OSError, ValueError):
        return False


# The command

def find_missing(name, arguments, python, environ):
    """Return all that a command lacks.

    :param python: of the ``Python`` that is to make the environment of tox,
        None if that is there.
    """
    manager = prerequisites.this_package_manager()
    missing = prerequisites.check_system(sys.platform)
    if missing:
        return missing
    if python:
        missing += prerequisites.check_python(python, manager)
    wrong = prerequisites.check_variables(environ)
    wanted = clouds(name, arguments, {} if wrong else environ)
    lines = lines_to_install(name, arguments)
    missing += prerequisites.of_installation(CLONE, len(lines), len(wanted))
    if OLD_LINE in lines:
        missing += prerequisites.check_compiler(
            prerequisites.ask_compiler(), manager)
    if wanted:
        missing += prerequisites.check_length(CLONE) + wrong
        missing += prerequisites.of_clouds(wanted)
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
        with _alone() as lock:
            # Another command may have been first.
            python = bootstrap_python() or make_bootstrap(chosen.path, lock)
    absent = _add_missing(VERBS[name].programs)
    tox = [python, '-I', '-m', 'tox']
    if name != 'tox':
        with _alone() as lock:
            if not _is_installed():
                _watched('Installing OpenStack into .tox/cloud, which takes '
                         'some minutes',
                         [tox + ['run', '--notest', '-e', 'demo']], lock)
    os.chdir(CLONE)
    status = _wait_for(tox + tox_arguments(name, arguments))
    if absent:
        print(left_out(absent))
    return status


def _wait_for(command):
    """Run tox to its end; whoever interrupts us interrupts it."""
    sys.stderr.flush()
    # A terminal tells all of them; tox has to end its command first.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    with subprocess.Popen(command) as child:
        signal.signal(signal.SIGTERM,
                      lambda number, frame: _interrupt(child.pid))
        status = child.wait()
    # As shells have it: 128 and the signal.
    return status if status >= 0 else 128 - status


def _interrupt(pid):
    """Interrupt tox and what it runs, as a terminal would.

    By SIGTERM tox ends at once, and what it runs goes on without it.
    """
    for process in [pid] + _descendants(pid):
        # Services of a local cloud have process groups of their own.
        with contextlib.suppress(OSError):
            if os.getpgid(process) == os.getpgid(0):
                os.kill(process, signal.SIGINT)


def _descendants(pid):
    """Return the children of a process, and theirs."""
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir('/proc/%d/task' % pid):
            with open('/proc/%d/task/%s/children' % (pid, thread)) as stream:
                for child in map(int, stream.read().split()):
                    found += [child] + _descendants(child)
    return found


def _add_missing(programs):
    """Install packages if that is ours to do; return those left out.

    :param programs: as ``packages.ALL``.
    """
    absent = packages.missing(programs)
    if absent and (os.geteuid() == 0 or os.environ.get('CI')):
        return _install(absent)
    return absent


def _install(absent):
    """Install packages; return those that are to be done without.

    :raises packages.Failed: in CI, where nothing may be left out.
    """
    print('Installing the packages %s ...' % ', '.join(absent),
          file=sys.stderr)
    try:
        if os.geteuid():
            _install_by_sudo()
        else:
            packages.install(absent)
    except packages.Failed as error:
        if os.environ.get('CI'):
            raise
        print('run: %s' % error, file=sys.stderr)
        return absent
    return []


def _install_by_sudo():
    try:
        # In CI nobody could type a password.
        subprocess.run(['sudo', '-n', sys.executable,
                        os.path.join(CLONE, 'run'), 'packages'], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise packages.Failed('"sudo run packages" failed: %s' % error)


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
