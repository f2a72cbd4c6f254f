# SPDX-License-Identifier: Apache-2.0

"""A drain agent as a process, and the fake cloud that it talks to."""

import contextlib
import importlib.util
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import uuid

import pytest

from tests.agent import fake_cloud

REPO = pathlib.Path(__file__).resolve().parents[2]
AGENT = REPO / 'templates' / 'agent' / 'drain_agent.py'
# Minor versions of Python 3 that an image may have.
SUPPORTED_MINORS = range(6, 15)


def load_agent():
    """Return the agent as a module, for what needs no process."""
    spec = importlib.util.spec_from_file_location('agent', AGENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wait_for(condition, what, seconds=60):
    """Wait until something is true, and return it; fail after a bound."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            pytest.fail('waited %d s in vain for %s' % (seconds, what))
        time.sleep(0.01)


@contextlib.contextmanager
def limit(process, seconds=60):
    """Kill a process that takes too long, so that reading from it ends."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Guest:
    """The files of one server, and the agent that runs in it."""

    def __init__(self, root, cloud):
        self.cloud = cloud
        self.root = root
        self.config = dict(cloud.config, interval=0.02, timeout=60)
        self.message = fake_cloud.contract('hook_message')
        # The agent stops every process that has the token of its drain in
        # its environment: two runs of the tests must not meet.
        self.message['lifecycle_action_token'] = str(uuid.uuid4())
        self.config['server_id'] = self.message['resource_id']
        self.token = self.message['lifecycle_action_token']
        self.state_dir = root / 'state'
        self.state_file = self.state_dir / 'state.json'
        self.run_dir = root / 'run'
        # What the application's own user data configures.
        self.settings = {}
        self.handlers = root / 'drain.d'
        self.handlers.mkdir()
        self.log_file = root / 'agent.log'
        self.log_file.touch()
        self._runs = root / 'runs'
        self._runs.touch()
        self._processes = []

    def handler(self, name, script='', mode=0o755):
        """Add a handler that notes its run and then does as told."""
        path = self.handlers / name
        path.write_text('#!/bin/sh\necho %s $$ >>%s\n%s\n'
                        % (name, self._runs, script))
        path.chmod(mode)

    def runs(self):
        """The names of the handlers that were run, in that order."""
        return [line.split()[0] for line in self._lines()]

    def handler_pids(self):
        return [int(line.split()[-1]) for line in self._lines()]

    def _lines(self):
        return self._runs.read_text().splitlines()

    def write_config(self):
        """Write what the agent is configured with; return its path."""
        config = self.root / 'agent.json'
        config.write_text(json.dumps(self.config))
        if self.settings:
            (self.root / 'agent.d').mkdir(exist_ok=True)
            (self.root / 'agent.d/50-app.json').write_text(
                json.dumps(self.settings))
        return str(config)

    def _argv(self, python, *words):
        # What a release deprecates, a later one does without.
        return [str(python), '-I', '-W', 'error', str(AGENT), *words,
                '--config', self.write_config(),
                '--state-dir', str(self.state_dir),
                '--run-dir', str(self.run_dir),
                '--handlers', self.handlers.name]

    def load(self, module):
        """Return the agent as an object, for what needs no process."""
        config = self.write_config()
        return module.Agent(
            module.configure(config), module.State(str(self.state_file)),
            types.SimpleNamespace(config=config, run_dir=str(self.run_dir),
                                  handlers=str(self.handlers)))

    def start(self, python=sys.executable, words=(), shell='exec "$@"',
              **variables):
        """Start the agent.

        :param shell: what a shell does to become the agent.
        """
        with open(self.log_file, 'ab') as log:
            process = subprocess.Popen(
                ['/bin/sh', '-c', shell, 'sh', *self._argv(python, *words)],
                stdout=log, stderr=subprocess.STDOUT, cwd=str(self.root),
                env=dict(os.environ, **variables))
        self._processes.append(process)
        return process

    def kill(self):
        """Kill the agent that was started last, as a crash would."""
        self._processes[-1].kill()
        self._processes[-1].wait(10)

    def kill_in_handler(self, script):
        """Kill an agent while its only handler is at work."""
        self.handler('50-app', script)
        self.cloud.post(self.message)
        self.start()
        self.wait_for_runs('50-app')
        self.kill()

    def ask(self, *words):
        """Run another command of the agent; return (status, what it says)."""
        done = subprocess.run(
            self._argv(sys.executable, *words), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=str(self.root), text=True,
            timeout=60, check=False)
        return done.returncode, done.stdout

    def log(self):
        return self.log_file.read_text()

    def state(self):
        return json.loads(self.state_file.read_text())

    def drain(self):
        """The drain that is at work, from the state."""
        return self.state()['drains'][0]

    def change_clock(self, **changes):
        """Change the clock of the drain in the state, while no agent runs.

        :param changes: seconds to add to an entry, or its new text.
        """
        state = self.state()
        clock = state['drains'][0]['clock']
        for name, value in changes.items():
            clock[name] = (value if isinstance(value, str)
                           else clock[name] + value)
        self.state_file.write_text(json.dumps(state))

    def wait_for_log(self, text, times=1):
        wait_for(lambda: self.log().count(text) >= times,
                 '%r in the log:\n%s' % (text, self.log()))

    def wait_for_runs(self, *names):
        wait_for(lambda: self.runs() == list(names),
                 'runs %s, there are %s' % (names, self.runs()))

    def wait_for_signal(self, number=1):
        wait_for(lambda: len(self.cloud.signals) >= number,
                 'signal %d; the log:\n%s' % (number, self.log()))
        return self.cloud.signals[number - 1]

    def wait_for_polls(self, number=3):
        """Wait for polls that begin from now on."""
        target = len(self.cloud.polls) + number
        wait_for(lambda: len(self.cloud.polls) >= target,
                 '%d polls; the log:\n%s' % (number, self.log()))

    def wait_until_completed(self):
        wait_for(lambda: self.state_file.exists()
                 and self.token in self.state()['completed'],
                 'a drain completed in the state')

    def clean_up(self):
        for process in self._processes:
            process.kill()
            process.wait()
        for pid in self.handler_pids():
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                continue


@pytest.fixture
def cloud():
    server = fake_cloud.FakeCloud()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def guest(cloud, tmp_path):
    guest = Guest(tmp_path, cloud)
    yield guest
    guest.clean_up()


@pytest.fixture
def neighbour(cloud, tmp_path):
    """Another member of the same cluster."""
    root = tmp_path / 'neighbour'
    root.mkdir()
    guest = Guest(root, cloud)
    guest.config['server_id'] = str(uuid.uuid4())
    guest.message['resource_id'] = guest.config['server_id']
    yield guest
    guest.clean_up()


def interpreters():
    """Return {(3, minor): path} of the supported Pythons on this machine."""
    # A shim of pyenv fails unless somebody has chosen that version.
    folders = [folder for folder in os.environ['PATH'].split(os.pathsep)
               if 'shims' not in pathlib.Path(folder).parts]
    folders += map(str, sorted(
        pathlib.Path.home().glob('.pyenv/versions/*/bin'), reverse=True))
    found = {}
    for minor in SUPPORTED_MINORS:
        path = shutil.which('python3.%d' % minor,
                            path=os.pathsep.join(folders))
        if path:
            found[3, minor] = path
    # It runs, whatever is on PATH.
    found[sys.version_info[:2]] = sys.executable
    return found


def each_python():
    """Return a parameter for each supported Python, skipped if missing."""
    found = interpreters()
    return [
        pytest.param(found.get((3, minor)), id='3.%d' % minor, marks=(
            () if (3, minor) in found else pytest.mark.skip(
                reason='Python 3.%d is not on PATH' % minor)))
        for minor in SUPPORTED_MINORS]


def pytest_report_header():
    """Show which Pythons of a server's image are tested."""
    found = interpreters()
    return 'drain agent: tested with Python %s; not on PATH: %s' % (
        ', '.join('%d.%d' % version for version in sorted(found)),
        ', '.join('3.%d' % minor for minor in SUPPORTED_MINORS
                  if (3, minor) not in found) or 'none')


@pytest.fixture
def listener():
    """A server that has not noticed its connections yet."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.%d' % random.randint(2, 250), 0))
        listener.listen()
        yield listener
