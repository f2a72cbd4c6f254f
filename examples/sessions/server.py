# SPDX-License-Identifier: Apache-2.0

"""A TCP server whose state is its connections, and which can drain.

A session is one connection. The server says "READY"; the client sends
"TICK 1", "TICK 2" and so on; the server counts along and answers "OK 1",
"OK 2". "BYE" is answered "OK BYE", and that is a session's only good end.

`server.py serve` runs the server. `server.py drain` makes it accept no new
session, waits for the open ones, and succeeds when the last one has ended.
"""

import argparse
import asyncio
import os
import socket
import sys


class Server:

    async def run(self, address, port, control):
        self._open = 0
        self._drain_asked = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        # First: a second server fails here and leaves the control socket be.
        listener = await asyncio.start_server(self._session, address, port)
        if os.path.exists(control):
            os.unlink(control)
        await asyncio.start_unix_server(self._drain, control)
        print('listening on %s port %d' % (address, port), flush=True)

        await self._drain_asked.wait()
        # Closes the listening socket only; open sessions are not touched.
        listener.close()
        print('draining, open sessions: %d' % self._open, flush=True)
        await self._idle.wait()
        # How the drain command tells a good end from a crash.
        os.unlink(control)
        print('drained', flush=True)

    async def _session(self, reader, writer):
        self._open += 1
        self._idle.clear()
        count = 0
        try:
            # From here on it is a session. A connection that the closing
            # listener drops never gets this far.
            writer.write(b'READY\n')
            while True:
                line = (await reader.readline()).decode('ascii', 'replace')
                if line == 'BYE\n':
                    writer.write(b'OK BYE\n')
                    await writer.drain()
                    break
                count += 1
                if line != 'TICK %d\n' % count:
                    break
                writer.write(b'OK %d\n' % count)
        except (OSError, ValueError):
            pass  # The client has gone, or its line has no end.
        finally:
            writer.close()
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def _drain(self, reader, writer):
        """Tell a drain command how many sessions are open, as they end."""
        self._drain_asked.set()
        told = None
        try:
            while True:
                if self._open != told:
                    told = self._open
                    writer.write(b'open sessions: %d\n' % told)
                    await writer.drain()
                await asyncio.sleep(0.2)
        except OSError:
            pass  # The command was stopped. The drain goes on.


def serve(args):
    address = args.address or socket.gethostbyname(socket.gethostname())
    asyncio.new_event_loop().run_until_complete(
        Server().run(address, args.port, args.control))


def drain(args):
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(args.control)
        except (FileNotFoundError, ConnectionRefusedError):
            print('no server runs, so no session is open')
            return
        # Until the server's process ends.
        for line in connection.makefile():
            print(line, end='', flush=True)
    if os.path.exists(args.control):
        sys.exit('the server died before its last session had ended')
    print('drained')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=('serve', 'drain'))
    parser.add_argument('--address', help="default: the host name's")
    parser.add_argument('--port', type=int, default=7000)
    parser.add_argument('--control', default='/run/sessions.sock')
    args = parser.parse_args()
    {'serve': serve, 'drain': drain}[args.action](args)


if __name__ == '__main__':
    main()
