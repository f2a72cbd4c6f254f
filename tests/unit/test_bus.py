# SPDX-License-Identifier: Apache-2.0

"""The bell of the local bus: nobody oversleeps, and nobody spins."""

import threading
import time

from sandbox import bus


def sleeper(bell, seconds):
    """Return a thread that sleeps by a bell, and when it woke up."""
    woke = []

    def sleep():
        bell.sleep(seconds)
        # The first sleep of a thread only learns how often it has rung.
        bell.sleep(seconds)
        woke.append(time.monotonic())
    thread = threading.Thread(target=sleep)
    thread.start()
    return thread, woke


def test_a_ring_wakes_everybody(monkeypatch):
    """A message would lie there until the bus looks by itself."""
    monkeypatch.setattr(bus, '_LONGEST', 60)
    bell = bus.Bell()
    threads = [sleeper(bell, 0.05) for _number in range(3)]
    while len(bell._condition._waiters) < 3:
        time.sleep(0.01)

    bell.ring()

    for thread, woke in threads:
        thread.join(30)
        assert woke


def test_a_ring_before_the_sleep_is_not_missed(monkeypatch):
    """A message between the look and the sleep would wait."""
    monkeypatch.setattr(bus, '_LONGEST', 60)
    bell = bus.Bell()
    bell.sleep(0.05)
    bell.ring()

    began = time.monotonic()
    bell.sleep(0.05)

    assert time.monotonic() - began < 30


def test_a_deadline_ends_the_sleep(monkeypatch):
    """A service that is told to stop would sleep on."""
    monkeypatch.setattr(bus, '_LONGEST', 60)
    bell = bus.Bell()
    bell.sleep(0.01)

    began = time.monotonic()
    bell.sleep(0.01)

    assert 0.005 < time.monotonic() - began < 30
