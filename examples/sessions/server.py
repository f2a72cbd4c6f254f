# SPDX-License-Identifier: Apache-2.0

"""A TCP server whose state is its connections, and which can drain.

A session is one connection. The server says "READY"; the client sends
"TICK 1", "TICK 2" and so on; the server counts along and answers "OK 1",
"OK 2". "BYE" is answered "OK BYE", and that is a session's only good end.

While the drain agent's marker file is there, it accepts no new session. Open
ones are not touched: the agent waits for them.
"""

import argparse
import asyncio
import os


class Server:

    async def run(self, address, port, marker):
        self._open = 0
        listener = None
        while True:
            draining = os.path.exists(marker)
            if draining and listener:
                # Closes the listening socket only.
                listener.close()
                listener = None
                print('draining, open sessions: %d' % self._open, flush=True)
            elif not draining and not listener:
                listener = await asyncio.start_server(
                    self._session, address, port)
                print('listening on port %d' % port, flush=True)
            await asyncio.sleep(0.1)

    async def _session(self, reader, writer):
        self._open += 1
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--address', default='', help='default: all')
    parser.add_argument('--port', type=int, default=7000)
    parser.add_argument('--marker', default='/run/sessions/draining')
    args = parser.parse_args()
    asyncio.new_event_loop().run_until_complete(
        Server().run(args.address or None, args.port, args.marker))


if __name__ == '__main__':
    main()
