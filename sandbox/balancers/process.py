# SPDX-License-Identifier: Apache-2.0

"""One HAProxy process, the data plane of one load balancer."""

import os
import shutil
import signal
import socket
import subprocess
import time

from sandbox.balancers import configuration

# Seconds until a worker that does not come up is given up.
_TIMEOUT = 10

# A file of server states that knows no server: the version of its format.
NO_STATES = '1\n'


class Failed(Exception):
    """HAProxy did not take a configuration; the text says why."""


def program():
    """Path of HAProxy, None if it is not installed."""
    return shutil.which('haproxy', path=os.pathsep.join(
        (os.environ.get('PATH', ''), '/usr/sbin', '/sbin')))


class Haproxy:
    """A master process; its workers change with the configuration.

    :param folder: where its files are.
    :param control: path of its socket, short enough for one.
    """

    def __init__(self, folder, control):
        self._folder = folder
        self._config = folder / 'haproxy.cfg'
        self.states = folder / 'server-states'
        self.control = control
        self._process = None

    def running(self):
        return self._process is not None and self._process.poll() is None

    def apply(self, text):
        """Serve by this configuration; open connections go on as they are.

        :param text: None to serve nothing.
        :raises Failed: if it is refused; then everything is as before.
        """
        if text is None:
            return self.stop()
        if self.running() and self._config.read_text() == text:
            return
        self._check(text)
        self._config.write_text(text)
        if self.running():
            # Or every server would count as healthy until its next checks.
            self.states.write_text(self.ask('show servers state'))
            self._process.send_signal(signal.SIGUSR2)
        else:
            self.states.write_text(NO_STATES)
            # It stays in our session, so that it ends with Octavia.
            self._process = subprocess.Popen(
                [program(), '-W', '-f', str(self._config)],
                stdin=subprocess.DEVNULL)
        self._wait_for(configuration.described(text))

    def _check(self, text):
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._config.with_suffix('.new')
        new.write_text(text)
        done = subprocess.run(
            [program(), '-c', '-q', '-f', str(new)], capture_output=True,
            text=True, check=False)
        if done.returncode:
            raise Failed('HAProxy refuses %s: %s' % (new, done.stderr))

    def _wait_for(self, generation):
        end = time.monotonic() + _TIMEOUT
        while generation not in self._description():
            if not self.running():
                raise Failed('HAProxy ended with status %s: see the log of '
                             'Octavia.' % self._process.returncode)
            if time.monotonic() > end:
                raise Failed('HAProxy does not serve by %s after %d s: see '
                             'the log of Octavia.' % (self._config, _TIMEOUT))
            time.sleep(0.02)

    def _description(self):
        try:
            return self.ask('show info desc')
        except OSError:
            return ''

    def ask(self, command):
        """Return the answer of the newest worker to a command.

        :raises OSError: if there is none.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(str(self.control))
            connection.sendall(command.encode() + b'\n')
            with connection.makefile() as answer:
                return answer.read()

    def stop(self):
        """End it and all its workers, with the connections that are open."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.control.unlink(missing_ok=True)
