# SPDX-License-Identifier: Apache-2.0

"""Record of what the services were asked to change."""


class Journal(list):
    """What the services were asked to change, in that order.

    The engine can be made to die when it has changed so many things: before
    the next change, or after the last one and before it hears of it.
    """

    alive_for = None
    hears_of_the_last = True

    def append(self, entry):
        if self.alive_for == 0:
            raise SystemExit
        if self.alive_for is not None:
            self.alive_for -= 1
        super().append(entry)

    def answered(self):
        if self.alive_for == 0 and not self.hears_of_the_last:
            raise SystemExit
