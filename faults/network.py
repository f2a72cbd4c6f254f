# SPDX-License-Identifier: Apache-2.0

"""The network between the guests and the control plane, which can be cut."""

import threading

import requests

from tests.functional import faults

# A guest gives up after ten seconds. Nothing is held for ever.
_LONGEST_CUT = 600


class Link(faults.Front):
    """Hands the requests of guests on to one service, unless it is cut.

    A cut loses requests: they are kept waiting, and never reach the service.
    What is merely held does reach it, late.
    """

    def __init__(self, address, target):
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        # {part of a path: Event}
        self._holds = {}
        self._waiting = set()
        self._answered = set()
        super().__init__(address, target)

    @property
    def handler(self):
        return _Handler

    def cut(self):
        self._open.clear()

    def mend(self):
        self._open.set()

    def hold(self, part):
        """Keep POSTs whose path has this part waiting until released."""
        with self._lock:
            self._holds[part] = threading.Event()
            self._waiting.discard(part)
            self._answered.discard(part)

    def release(self, part):
        with self._lock:
            hold = self._holds.pop(part, None)
        if hold:
            hold.set()

    def is_waiting(self, part):
        """Whether a request that is held has come."""
        return part in self._waiting

    def is_answered(self, part):
        """Whether a request that was held has been answered by now."""
        return part in self._answered

    def pass_through(self, handler, body):
        """Hand a request on; an OSError if it has not got through."""
        part, hold = self._hold_of(handler)
        if hold:
            self._waiting.add(part)
            hold.wait(_LONGEST_CUT)
        if not self._open.is_set():
            self._open.wait(_LONGEST_CUT)
            raise ConnectionError('cut')
        answer = handler.ask(body)
        if hold:
            self._answered.add(part)
        return answer

    def _hold_of(self, handler):
        with self._lock:
            for part, hold in self._holds.items():
                if handler.command == 'POST' and part in handler.path:
                    return part, hold
        return None, None


class _Handler(faults.Handler):

    def _hand_on(self, body):
        try:
            answer = self.server.front.pass_through(self, body)
        except (OSError, requests.RequestException):
            # The service is away, and the guest sees a broken connection.
            self.close_connection = True
            return
        try:
            self.give(answer)
        except OSError:
            pass  # The guest has given up, or is gone.
