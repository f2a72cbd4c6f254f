# SPDX-License-Identifier: Apache-2.0

"""The bell of the local bus: nobody oversleeps, and nobody spins."""

import threading

import pytest

from sandbox import bus

# Seconds after which a thread that should have woken up does it by itself.
_PATIENCE = 10


class _Condition(threading.Condition):
    """A condition that tells who waits on it, how long, and what for."""

    def __init__(self):
        super().__init__()
        self.waiting = threading.Semaphore(0)
        self.timeouts = []
        # Whether each of those that have waited was notified.
        self.notified = []

    def wait(self, timeout=None):
        self.timeouts.append(timeout)
        # The caller has the lock: nobody can notify before it waits.
        self.waiting.release()
        self.notified.append(super().wait(timeout))


@pytest.fixture
def bell(monkeypatch):
    """A bell that this thread has heard before."""
    monkeypatch.setattr(bus, '_LONGEST', _PATIENCE)
    bell = bus.Bell()
    bell._condition = _Condition()
    # The first sleep of a thread only learns how often it has rung.
    bell.sleep(0.05)
    assert not bell._condition.timeouts
    return bell


def test_a_ring_wakes_everybody(bell):
    """A message would lie there until the bus looks by itself."""
    def sleep_twice():
        bell.sleep(0.05)
        bell.sleep(0.05)
    threads = [threading.Thread(target=sleep_twice, daemon=True)
               for _number in range(3)]
    for thread in threads:
        thread.start()
        assert bell._condition.waiting.acquire(timeout=_PATIENCE)

    bell.ring()

    for thread in threads:
        thread.join(2 * _PATIENCE)
    assert [True] * 3 == bell._condition.notified


def test_a_ring_before_the_sleep_is_not_missed(bell):
    """A message between the look and the sleep would wait."""
    bell.ring()

    bell.sleep(0.05)

    assert [] == bell._condition.timeouts


def test_a_deadline_ends_the_sleep(bell):
    """A service that is told to stop would sleep on."""
    bell.sleep(0.01)

    assert [0.01] == bell._condition.timeouts
