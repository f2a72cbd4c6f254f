# SPDX-License-Identifier: Apache-2.0

"""The sessions that are open all the time, and what becomes of them."""

import asyncio
import sys
import threading

from sandbox import cloud

from faults import verdict

# The client of the sessions lies beside their server.
sys.path.insert(0, str(cloud.REPO / 'examples' / 'sessions'))
import client  # noqa: E402

# Longer than any injection; they end when they are told to.
_SECONDS = 3600
_TICK = 0.5


class Crowd:
    """Clients of session servers, all in one thread."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._sessions = []
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self, server, address, number):
        """Open sessions with a server; they last until `finish`."""
        for _ in range(number):
            session = client.Session(address, _SECONDS, tick=_TICK)
            self._sessions.append((server, session))
            asyncio.run_coroutine_threadsafe(session.run(), self._loop)

    def servers(self):
        """IDs of the servers that sessions were opened with."""
        return {server for server, _ in self._sessions}

    def count_open(self, server):
        return sum(session.state is client.State.OPEN
                   for whose, session in self._sessions if whose == server)

    def finish(self, servers):
        """Let the sessions with these servers say good-bye at once."""
        for server, session in list(self._sessions):
            if server in servers:
                session.seconds = 0

    def take(self, servers, ended_only=False):
        """Return and forget what is known of the sessions with servers.

        :param ended_only: leave those alone that are still open.
        """
        taken, left = [], []
        for server, session in self._sessions:
            wanted = server in servers and (session.ended or not ended_only)
            (taken if wanted else left).append((server, session))
        self._sessions = left
        return [verdict.Session(
            server, session.state.value, session.opened, session.ended,
            session.problem) for server, session in taken]
