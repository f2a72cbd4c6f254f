# SPDX-License-Identifier: Apache-2.0

"""One thread at a time uses the parser of YAQL.

Heat has one parser for all of its threads, and that of YAQL is not made for
it: expressions of two stacks that are made at the same time are mixed up, and
fail as "Bad expression" or mean something else. From Heat 25 on the engine
works on threads, and most templates of the library have an expression.
"""

import functools
import threading

from heat.engine.hot import functions

_lock = threading.Lock()


def take_turns():
    """Let threads wait for each other, in every stack of this engine."""
    parse = functions.Yaql._parse
    if hasattr(parse, '__wrapped__'):
        # A thread that took two turns at once would wait for itself.
        return

    @functools.wraps(parse)
    def _parse(self, expression):
        with _lock:
            return parse(self, expression)
    functions.Yaql._parse = _parse
