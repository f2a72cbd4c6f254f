# SPDX-License-Identifier: Apache-2.0

"""The example application drains, and its client notices when it does not."""

import asyncio
import importlib.util
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.agent import conftest

PYTHONS = conftest.interpreters()
SESSIONS = conftest.REPO / 'examples' / 'sessions'


def _load_client():
    spec = importlib.util.spec_from_file_location(
        'sessions_client', SESSIONS / 'client.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


client = _load_client()
State = client.State


class Server:
    """The session server as a process, and sessions with it."""

    def __init__(self, root, python=sys.executable):
        self.marker = root / 'draining'
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [str(python), str(SESSIONS / 'server.py'), '--address',
             '127.0.0.1', '--port', str(self.port),
             '--marker', str(self.marker)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._threads = []
        assert 'listening' in self._read_line()

    def drain(self):
        """Do what the agent does, and return what the server says."""
        self.marker.touch()
        return self._read_line()

    def _read_line(self):
        with conftest.limit(self.process):
            return self.process.stdout.readline()

    def open(self, number, seconds):
        """Open sessions in the background, and wait until they are."""
        sessions = [client.Session('127.0.0.1', seconds, self.port, tick=0.02)
                    for _ in range(number)]
        thread = threading.Thread(
            target=lambda: asyncio.run(client.run_sessions(sessions)))
        thread.start()
        self._threads.append(thread)
        conftest.wait_for(lambda: all(s.count > 1 for s in sessions),
                          'the sessions to be open')
        return sessions

    def wait_for_sessions(self):
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def clean_up(self):
        self.process.kill()
        self.process.communicate()
        self.wait_for_sessions()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.clean_up()


def _states(sessions):
    return {session.state for session in sessions}


@pytest.mark.parametrize(
    'python', (PYTHONS[min(PYTHONS)], PYTHONS[max(PYTHONS)]))
def test_session_is_served(python, tmp_path):
    """An example that does not start on an image's Python proves nothing."""
    server = Server(tmp_path, python)
    try:
        session = client.Session('127.0.0.1', 0.1, server.port)
        asyncio.run(session.run())

        assert State.FINISHED == session.state
    finally:
        server.clean_up()


def test_open_sessions_finish_and_new_ones_are_refused(server):
    """This is what the whole project is for."""
    sessions = server.open(60, seconds=3600)

    assert 'draining, open sessions: 60\n' == server.drain()
    conftest.wait_for(lambda: _refuses(server.port), 'refused connections')
    counts = [session.count for session in sessions]
    conftest.wait_for(
        lambda: all(session.count > count + 10
                    for session, count in zip(sessions, counts)),
        'the sessions to go on')
    assert not any(session.ended for session in sessions)
    late = client.Session('127.0.0.1', 1, server.port)
    asyncio.run(late.run())

    assert State.REFUSED == late.state
    for session in sessions:
        session.seconds = 0
    server.wait_for_sessions()
    assert {State.FINISHED} == _states(sessions)


def test_server_that_stays_takes_sessions_again(server):
    """A server that was kept would be idle for the rest of its life."""
    server.drain()

    server.marker.unlink()

    assert 'listening' in server.process.stdout.readline()
    server.open(1, seconds=0.1)
    server.wait_for_sessions()


def _refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) != 0


def test_killed_server_is_a_cut(server):
    """If the client could not tell, the demo could not fail."""
    sessions = server.open(5, seconds=20)
    server.drain()

    server.process.send_signal(signal.SIGKILL)

    server.wait_for_sessions()
    assert {State.CUT} == _states(sessions)
    assert all(session.problem for session in sessions)


@pytest.mark.parametrize('asked, answer', (
    ('TICK 2', 'OK 1'), ('TICK 2', ''), ('BYE', 'OK BYE?'), ('BYE', '')))
def test_one_wrong_answer_is_a_cut(asked, answer):
    """A server that forgot its counter has lost the session's state."""
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        connection = listener.accept()[0]
        connection.sendall(b'READY\n')
        for line in connection.makefile():
            line = line.rstrip()
            reply = 'OK ' + line.rpartition(' ')[2]
            if line == asked:
                reply = answer
            if not reply:
                break
            connection.sendall(reply.encode() + b'\n')
        connection.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=serve, daemon=True).start()
    session = client.Session('127.0.0.1', 0.1, listener.getsockname()[1],
                             tick=0.01)

    asyncio.run(session.run())

    listener.close()
    assert State.CUT == session.state
    assert answer in session.problem


def test_silence_is_a_cut(monkeypatch):
    """A deleted server sends no reset, it just is not there any more."""
    monkeypatch.setattr(client, 'SILENCE', 0.3)
    listener = socket.create_server(('127.0.0.1', 0))
    accepted = []

    def serve():
        accepted.append(listener.accept()[0])
        accepted[0].sendall(b'READY\n')

    threading.Thread(target=serve, daemon=True).start()
    session = client.Session('127.0.0.1', 5, listener.getsockname()[1])

    asyncio.run(session.run())

    listener.close()
    assert State.CUT is session.state
    assert 'no answer for 0.3 s' == session.problem


def test_events_come_as_they_happen(server):
    """The demo prints its timeline from them."""
    events = []
    plan = [('127.0.0.1', 0.1), ('127.0.0.1', 0.4)]

    client.run(plan, server.port, lambda *event: events.append(event))
    asyncio.run(client.run_sessions(
        [client.Session('127.0.0.1', 0.1, server.port)],
        lambda session: events.append(session.state)))

    assert [('127.0.0.1', True, '')] * 2 + [
        State.OPEN, State.FINISHED] == events


def test_command_line_says_what_became_of_them(server):
    """People try an example before they read it."""
    result = subprocess.run(
        [sys.executable, str(SESSIONS / 'client.py'), '127.0.0.1',
         '--port', str(server.port), '--sessions', '3', '--shortest', '0.1',
         '--longest', '0.3'], stdout=subprocess.PIPE, text=True, timeout=20)

    assert 0 == result.returncode
    assert result.stdout.endswith('\nfinished 3\n')
