# SPDX-License-Identifier: Apache-2.0

"""Sessions with the session server, each of which notices if it is cut.

As a library: `run`, or `Session` and `run_sessions` in a program with an event
loop. As a command, `client.py ADDRESS ...` spreads sessions over servers.
"""

import argparse
import asyncio
import enum
import itertools
import random
import sys
import time

# A deleted server answers nothing at all, not even with a reset.
SILENCE = 5


class State(enum.Enum):
    NEW = 'new'
    OPEN = 'open'
    FINISHED = 'finished'
    REFUSED = 'refused'
    CUT = 'cut'


class Session:
    """One session: how long it lasts, and in the end what became of it.

    `state` is FINISHED only if the server counted along without a mistake
    and answered the good-bye. REFUSED never began, so it lost nothing. CUT
    is everything else, and `problem` says what happened. `seconds` may change
    while it lives.
    """

    def __init__(self, address, seconds, port=7000, tick=0.2):
        self.address = address
        self.port = port
        self.seconds = seconds
        self.tick = tick
        self.state = State.NEW
        self.count = 0
        self.problem = ''
        # Seconds since the epoch.
        self.opened = self.ended = None

    async def run(self, on_event=lambda session: None):
        """Live the session; `on_event` hears of each change of state."""
        writer = None
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(self.address, self.port), SILENCE)
            await self._expect(reader, 'READY')
            self.opened = time.time()
            self._become(State.OPEN, on_event)
            begun = time.monotonic()
            while time.monotonic() < begun + self.seconds:
                self.count += 1
                await self._say(writer, 'TICK %d' % self.count)
                await self._expect(reader, 'OK %d' % self.count)
                left = begun + self.seconds - time.monotonic()
                await asyncio.sleep(max(0, min(self.tick, left)))
            await self._say(writer, 'BYE')
            await self._expect(reader, 'OK BYE')
            state = State.FINISHED
        except (OSError, asyncio.TimeoutError, ValueError) as error:
            self.problem = str(error) or 'no answer for %g s' % SILENCE
            state = State.CUT if self.opened else State.REFUSED
        finally:
            if writer:
                writer.close()
        self.ended = time.time()
        self._become(state, on_event)

    def _become(self, state, on_event):
        self.state = state
        on_event(self)

    async def _say(self, writer, line):
        writer.write(line.encode() + b'\n')
        await writer.drain()

    async def _expect(self, reader, expected):
        line = await asyncio.wait_for(reader.readline(), SILENCE)
        if not line:
            raise ConnectionError('the server closed the connection')
        if line != expected.encode() + b'\n':
            raise ValueError('got %r instead of %r' % (line, expected))


async def run_sessions(sessions, on_event=lambda session: None):
    """Live all sessions at once; return them when the last has ended."""
    sessions = list(sessions)
    await asyncio.gather(*(session.run(on_event) for session in sessions))
    return sessions


def run(plan, port, on_end):
    """Live the sessions of a plan, which is pairs of address and seconds.

    `on_end` hears of the end of each: address, whether it finished, problem.
    """
    def ended(session):
        if session.ended:
            on_end(session.address, session.state is State.FINISHED,
                   session.problem)

    asyncio.run(run_sessions(
        [Session(address, seconds, port) for address, seconds in plan],
        ended))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('addresses', nargs='+', metavar='ADDRESS')
    parser.add_argument('--port', type=int, default=7000)
    parser.add_argument('--sessions', type=int, default=60)
    parser.add_argument('--shortest', type=float, default=5,
                        help='seconds (default %(default)g)')
    parser.add_argument('--longest', type=float, default=30,
                        help='seconds (default %(default)g)')
    args = parser.parse_args()

    def show(session):
        print('%s  %-8s  %5d ticks  %s' % (
            session.address, session.state.value, session.count,
            session.problem), flush=True)

    addresses = itertools.islice(
        itertools.cycle(args.addresses), args.sessions)
    sessions = asyncio.run(run_sessions(
        [Session(address, random.uniform(args.shortest, args.longest),
                 port=args.port) for address in addresses], show))
    states = [session.state for session in sessions]
    print(', '.join('%s %d' % (state.value, states.count(state))
                    for state in State if state in states))
    return 0 if set(states) == {State.FINISHED} else 1


if __name__ == '__main__':
    sys.exit(main())
