# SPDX-License-Identifier: Apache-2.0

"""The message bus within a service whose parts are one process.

oslo.messaging has one for tests, "fake://", which looks for messages twenty
times a second. Each step from one part of a service to another would take
50 ms on it, where a broker takes two.
"""

import time

# Seconds for which the bus sleeps by itself: it has seen nothing, and somebody
# may want it to end.
_USUAL = 0.05
_LONGEST = 0.5


class Bell:
    """What the bus sleeps by, instead of the module time."""

    time = staticmethod(time.time)

    def __init__(self):
        # As patched by eventlet, in the services that have it.
        import threading

        self._condition = threading.Condition()
        self._rings = 0
        self._own = threading.local()

    def ring(self):
        """Wake all who sleep."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def sleep(self, seconds):
        """Sleep until it rings, if it has not since this thread slept."""
        with self._condition:
            if getattr(self._own, 'heard', None) == self._rings:
                self._condition.wait(
                    _LONGEST if seconds >= _USUAL else seconds)
            self._own.heard = self._rings


def prepare():
    """Let "fake://" deliver at once, in a process that is patched already."""
    # Loaded by the first RPC server otherwise, and by the second one in the
    # middle of that: "partially initialized module 'futurist'".
    import futurist  # noqa: F401
    from oslo_messaging._drivers import impl_fake

    bell = Bell()
    deliver = impl_fake.FakeExchange.deliver_message

    def deliver_and_ring(*args, **kwargs):
        deliver(*args, **kwargs)
        bell.ring()

    impl_fake.FakeExchange.deliver_message = deliver_and_ring
    impl_fake.time = bell
