# SPDX-License-Identifier: Apache-2.0

"""Clock in the place of the module time."""


class Clock:
    """The module time, for who sleeps and looks how long that took."""

    def __init__(self, fixture):
        self._fixture = fixture
        self.slept = 0
        # Called after each sleep: what happens meanwhile.
        self.meanwhile = lambda: None

    def sleep(self, seconds):
        self.slept += seconds
        self._fixture.advance_time_seconds(seconds)
        assert self.slept < 100000, 'a wait without an end'
        self.meanwhile()

    def monotonic(self):
        return self.slept
