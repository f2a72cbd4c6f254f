# SPDX-License-Identifier: Apache-2.0

"""The drain handlers of nginx and HAProxy, run as an agent may run them.

No cloud: one guest boots with the user data of an example.
"""

import random
import shutil
import socket
import time

import pytest

from tests.agent import test_install
from tests.functional import tenant
from tests.functional import test_real_servers as real
from tests import programs

# Nothing of OpenStack runs here.
pytestmark = tenant.newest_line

# Where Debian has its daemons.
PATH = 'export PATH=$PATH:/usr/sbin\n'

# Runs the handler whenever it is asked to, with what the request says before.
AGENT = """
while sleep 0.05; do
    [ -e /tmp/request ] || continue
    mv /tmp/request /tmp/command
    $(cat /tmp/command) /etc/lifecycle/drain.d/50-%s >>/tmp/said 2>&1
    echo $? >/tmp/status.new
    mv /tmp/status.new /tmp/status
done
"""

# With a group of its own, so what the handler has started dies as well.
KILLED_AFTER_A_SECOND = 'timeout --signal=KILL 1'


class Guest:
    """A guest of an example, and the handler in it."""

    def __init__(self, box, example, **files):
        self._box = box
        self.address = box.address
        for name in ('passwd', 'group'):
            shutil.copy('/etc/' + name, box.root / 'etc')
        shutil.copytree('/etc/' + example, box.root / 'etc' / example,
                        symlinks=True)
        user_data = test_install.fill(
            real.EXAMPLES / example / 'user_data.sh', **files)
        box.run(PATH + user_data, PATH + AGENT % example)

    def offer(self, content):
        folder = self._box.root / 'var/www/html'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'download').write_bytes(content)

    def start_handler(self, prefix=''):
        (self._box.root / 'tmp/status').unlink(missing_ok=True)
        new = self._box.root / 'tmp/request.new'
        new.write_text(prefix)
        new.rename(new.with_name('request'))

    def status(self):
        return self._box.read('tmp/status')

    def handler_waits(self):
        """Return True if a handler that was started waits for somebody."""
        tenant.wait_for('the handler', lambda: not (
            self._box.root / 'tmp/request').exists())
        # It looks five times a second: it has looked.
        time.sleep(1)
        return not self.status()

    def wait_for_handler(self):
        """Return its exit status, and what all handlers have said so far."""
        status = tenant.wait_for('the end of the handler', self.status)
        return int(status), self._box.read('tmp/said')

    def runs(self, pid_file):
        return (self._box.root / pid_file).exists()

    def connect(self, port, **options):
        def connected():
            try:
                return open_connection(self.address, port, **options)
            except ConnectionRefusedError:
                return None
        return tenant.wait_for('port %d' % port, connected)


def open_connection(address, port, buffer=None):
    connection = socket.socket()
    connection.settimeout(tenant.PATIENCE)
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    try:
        connection.connect((address, port))
    except OSError:
        connection.close()
        raise
    return connection


def read(name):
    return (real.EXAMPLES / name).read_text()


def nginx_guest(box):
    return Guest(box, 'nginx', SITE=read('nginx/site.conf'),
                 HEALTH_CHECK=read('nginx/health_check.sh'),
                 DRAIN=read('nginx/drain.sh'))


@pytest.fixture
def box(tmp_path):
    root = tmp_path / 'box'
    root.mkdir()
    box = test_install.Box(root)
    yield box
    box.clean_up()


def test_nginx_handler_waits_for_what_the_kernel_still_sends(box):
    """The ends of downloads would be lost to everybody with a slow line."""
    programs.needs('nginx')
    guest = nginx_guest(box)
    # Too much for the client's buffer, and not for the kernel's.
    content = random.randbytes(512 * 1024)
    guest.offer(content)

    with guest.connect(real.NGINX_PORT, buffer=16 * 1024) as client:
        client.sendall(b'GET /download HTTP/1.0\r\n\r\n')
        answer = client.recv(1024)
        guest.start_handler(KILLED_AFTER_A_SECOND)
        guest.wait_for_handler()
        tenant.wait_for('nginx to end',
                        lambda: not guest.runs('run/nginx.pid'))
        guest.start_handler()
        assert guest.handler_waits()
        for data in iter(lambda: client.recv(64 * 1024), b''):
            answer += data

    assert answer.endswith(b'\r\n\r\n' + content)
    assert 0 == guest.wait_for_handler()[0]


def test_nginx_handler_runs_twice_and_dies_in_between(box):
    """A restarted agent would end a drain that has not ended."""
    programs.needs('nginx')
    guest = nginx_guest(box)
    # More than all buffers on the way.
    content = random.randbytes(32 * 1024 * 1024)
    guest.offer(content)

    with guest.connect(real.NGINX_PORT) as client:
        client.sendall(b'GET /download HTTP/1.0\r\n\r\n')
        answer = client.recv(1024)
        guest.start_handler(KILLED_AFTER_A_SECOND)
        assert 137 == guest.wait_for_handler()[0]
        guest.start_handler()
        with pytest.raises(ConnectionRefusedError):
            open_connection(guest.address, real.NGINX_PORT)
        assert guest.handler_waits()
        for data in iter(lambda: client.recv(1024 * 1024), b''):
            answer += data

    assert answer.endswith(b'\r\n\r\n' + content)
    assert 0 == guest.wait_for_handler()[0]
    guest.start_handler()
    assert 0 == guest.wait_for_handler()[0]


def test_haproxy_handler_runs_twice_and_dies_in_between(box):
    """A restarted agent would end a drain that has not ended."""
    programs.needs('haproxy')
    with socket.create_server((box.address, 0)) as listener:
        config = read('haproxy/haproxy.cfg').replace(
            '__BACKEND_ADDRESS__:__BACKEND_PORT__',
            '%s:%d' % listener.getsockname())
        guest = Guest(box, 'haproxy', CONFIG=config,
                      RESTART=read('haproxy/restart.conf'),
                      DRAIN=read('haproxy/drain.sh'))
        client = guest.connect(real.HAPROXY_PORT)
        server = listener.accept()[0]
    with client, server:
        guest.start_handler(KILLED_AFTER_A_SECOND)
        assert 137 == guest.wait_for_handler()[0]
        guest.start_handler()
        with pytest.raises(ConnectionRefusedError):
            open_connection(guest.address, real.HAPROXY_PORT)
        client.sendall(b'still there?')
        assert b'still there?' == server.recv(100)
        server.sendall(b'yes')
        assert b'yes' == client.recv(100)
        assert guest.handler_waits()

    assert 0 == guest.wait_for_handler()[0]
    guest.start_handler()
    status, said = guest.wait_for_handler()
    assert 0 == status
    assert said.endswith('HAProxy does not run, so no session is open\n')
