# SPDX-License-Identifier: Apache-2.0

"""nginx and HAProxy, as Debian has them, drain under load and cut nobody.

Each test builds two stacks of the same example at the same time: one as it
is, and one without the hook, on which the same load has to be cut.
"""

import asyncio
import copy
import random
import socket
import subprocess
import sys
import threading

import pytest

from tests.agent import test_sessions
from tests.functional import tenant
from tests import programs

EXAMPLES = tenant.EXAMPLES

# As the examples have it.
NGINX_PORT = 8080
HAPROXY_PORT = 7000

# Clients a server at the same time.
CLIENTS = 6

# A download lasts 10 to 19 seconds. What is left of most of them must not fit
# into buffers at any time, or nobody needs nginx to the end.
FILE_SIZE = 12 * 1024 * 1024
CHUNK = 64 * 1024
CHUNK_SECONDS = (0.05, 0.1)
CLIENT_BUFFERS = 8 * CHUNK

# How long the shortest and the longest session last.
SESSION_SECONDS = (4, 15)


client = test_sessions.client
State = client.State


class Download:
    """One download by a slow client; see `client.Session` for the states."""

    port = NGINX_PORT
    chunk_seconds = CHUNK_SECONDS

    def __init__(self, address, content):
        self.address = address
        self.state = State.NEW
        self.received = 0
        self.problem = ''
        self._content = content
        self._pace = random.uniform(*self.chunk_seconds)

    async def run(self):
        writer = None
        try:
            reader, writer = await asyncio.wait_for(
                self._connect(), client.SILENCE)
            writer.write(b'GET /download HTTP/1.1\r\nHost: example\r\n'
                         b'Connection: close\r\n\r\n')
            head = await asyncio.wait_for(
                reader.readuntil(b'\r\n\r\n'), client.SILENCE)
            if not head.startswith(b'HTTP/1.1 200 '):
                raise ValueError(head.decode())
            self.state = State.OPEN
            while True:
                data = await asyncio.wait_for(
                    reader.read(CHUNK), client.SILENCE)
                if not data:
                    break
                end = self.received + len(data)
                if data != self._content[self.received:end]:
                    raise ValueError('wrong bytes before byte %d' % end)
                self.received = end
                # Not to wait for anything: a slow client.
                await asyncio.sleep(self._pace * len(data) / CHUNK)
            if self.received != len(self._content):
                raise ValueError('%d bytes are missing' % self.missing())
            self.state = State.FINISHED
        except (OSError, EOFError, ValueError,
                asyncio.TimeoutError) as error:
            self.problem = str(error) or 'no answer'
            self.state = (State.CUT if self.state is State.OPEN
                          else State.REFUSED)
        finally:
            if writer:
                writer.close()

    def missing(self):
        return len(self._content) - self.received

    async def _connect(self):
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        await asyncio.get_running_loop().sock_connect(
            connection, (self.address, self.port))
        return await asyncio.open_connection(sock=connection, limit=CHUNK)


class Load:
    """Clients of some servers, each of which comes back until refused.

    :param visit: makes the next visit to an address: something to `run` that
        has a `state` and a `problem`.
    """

    def __init__(self, addresses, visit):
        self.visits = []
        self._visit = visit
        self._over = False
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(addresses)), daemon=True)
        self._thread.start()

    async def _run(self, addresses):
        await asyncio.gather(*(self._client(address) for address in addresses
                               for _ in range(CLIENTS)))

    async def _client(self, address):
        state = None
        while not self._over and state is not State.REFUSED:
            visit = self._visit(address)
            self.visits.append(visit)
            await visit.run()
            state = visit.state

    def open(self, address):
        return [visit for visit in tuple(self.visits)
                if visit.address == address and visit.state is State.OPEN]

    def finish(self):
        """Let nobody come back, and wait for the last ones to leave."""
        self._over = True
        self._thread.join(tenant.PATIENCE)
        assert not self._thread.is_alive()

    def count(self, state):
        return sum(visit.state is state for visit in self.visits)

    def problems(self):
        return [visit.problem for visit in self.visits
                if visit.state is State.CUT]


class Scene:
    """A stack of an example under load, with its hook or without."""

    def __init__(self, project, example, with_hook, **parameters):
        self._project = project
        self._stack = project.create_example(
            example, with_hook, [tenant.DEMO, tenant.MANUAL], wait=False,
            **parameters)

    def wait(self, port):
        """Wait until every server of the stack serves."""
        self._port = port
        self._stack.wait('CREATE_COMPLETE')
        self.addresses = self._stack.addresses()
        for address in self.addresses.values():
            tenant.wait_for('%s to serve' % address,
                            lambda: not refuses(address, port))

    def open(self, visit):
        """Put the servers under load."""
        self.load = Load(self.addresses.values(), visit)
        for address in self.addresses.values():
            tenant.wait_for('the load on ' + address, lambda: (
                len(self.load.open(address)) == CLIENTS))

    def scale_in(self):
        self._stack.scale_in()

    def wait_for_drain(self):
        """Return the server that takes no connection any more."""
        return tenant.wait_for('the drain', lambda: [
            server for server, address in self.addresses.items()
            if refuses(address, self._port)])[0]

    def wait_for_deletion(self):
        """Return the server that has gone."""
        return tenant.wait_for('the deletion', lambda: list(
            set(self.addresses) - set(self._project.servers())))[0]


def refuses(address, port=NGINX_PORT):
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) != 0


def both(project, example, port, **parameters):
    """The same example with its hook and without, serving."""
    scenes = [Scene(project, example, with_hook, **parameters)
              for with_hook in (True, False)]
    for scene in scenes:
        scene.wait(port)
    return scenes


def scale_in(project, hooked, unhooked, visit):
    """Scale both in under load, and return what the hook has guarded.

    That is the visits that were open in the server with the hook when it
    closed its door, and those that still were when Nova had deleted it.
    """
    for scene in (hooked, unhooked):
        scene.open(visit)
    for scene in (hooked, unhooked):
        scene.scale_in()
    victim = hooked.wait_for_drain()
    at_the_drain = hooked.load.open(hooked.addresses[victim])
    assert 'ACTIVE' == project.servers()[victim]
    assert victim == hooked.wait_for_deletion()
    # As they are now; they go on.
    at_the_deletion = [copy.copy(visit) for visit in
                       hooked.load.open(hooked.addresses[victim])]
    unhooked.wait_for_deletion()
    for scene in (hooked, unhooked):
        scene.load.finish()

    # Cut by the deletion: without that, the rest proves nothing.
    assert unhooked.load.problems()
    return at_the_drain, at_the_deletion


def test_nginx_finishes_every_download(project):
    """A scale-in would truncate the files that people are downloading."""
    programs.needs('nginx')
    content = random.randbytes(FILE_SIZE)
    scenes = hooked, _unhooked = both(project, 'nginx', NGINX_PORT)
    for scene in scenes:
        for server in scene.addresses:
            (project.guest(server) / 'var/www/html/download').write_bytes(
                content)

    at_the_drain, at_the_deletion = scale_in(
        project, *scenes, lambda address: Download(address, content))

    assert at_the_drain
    assert {State.FINISHED} == {visit.state for visit in at_the_drain}
    assert [] == hooked.load.problems()
    # The kernel of a deleted server sends nothing any more; the one that all
    # guests share does, so look at what it had left to send.
    assert all(visit.missing() < CLIENT_BUFFERS for visit in at_the_deletion)


@pytest.fixture
def backend(local, tmp_path):
    """A session server; return its port."""
    with socket.create_server((local.cloud.address, 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / 'sessions' / 'server.py'),
         '--address', local.cloud.address, '--port', str(port),
         '--marker', str(tmp_path / 'draining')],
        stdout=subprocess.PIPE, text=True)
    assert 'listening' in process.stdout.readline()
    yield port
    process.kill()
    process.communicate()


def test_haproxy_finishes_every_session(local, project, backend):
    """A smaller tier of load balancers would cut what goes through it."""
    programs.needs('haproxy')
    hooked, unhooked = both(
        project, 'haproxy', HAPROXY_PORT,
        backend_address=local.cloud.address, backend_port=backend)

    at_the_drain, at_the_deletion = scale_in(
        project, hooked, unhooked, lambda address: client.Session(
            address, random.uniform(*SESSION_SECONDS), HAPROXY_PORT))

    assert at_the_drain
    assert {State.FINISHED} == {visit.state for visit in at_the_drain}
    assert [] == hooked.load.problems()
    assert [] == at_the_deletion
