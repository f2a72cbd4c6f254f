# SPDX-License-Identifier: Apache-2.0

"""Patches of Heat itself.

Each patch says which releases need it, what fails without it, which test
covers it, and when it can be removed. Each can be applied any number of times
and takes effect once.
"""

import functools
import threading

from heat.engine.hot import functions
from heat.engine import service

_yaql_lock = threading.Lock()


def prune_finished_threads():
    """Remove finished threads from the thread group of a stack.

    Releases: Heat 25 to 27. Up to Heat 24 the group is one of oslo.service,
    which removes finished threads by itself.

    Bug: Heat starts each signal in a thread of the stack's group, which holds
    1,000, and keeps those that have finished (heat/engine/service.py,
    ThreadGroup.add_thread). After so many signals to one engine each further
    signal, and the deletion of the stack, is an "Internal Error" until the
    engine is restarted.

    Test: FinishedThreadsTest and ManySignalsTest in
    tests/unit/engine/test_heat_patches.py.

    Remove it when Heat removes finished threads too, because then
    test_patch_is_still_needed fails.
    """
    group = getattr(service, 'ThreadGroup', None)
    add_thread = vars(group).get('add_thread') if group else None
    if add_thread is None or hasattr(add_thread, '__wrapped__'):
        return

    @functools.wraps(add_thread)
    def add_thread_after_pruning(self, func, *args, **kwargs):
        with self._lock:
            self.threads[:] = [thread for thread in self.threads
                               if not _is_finished(thread)]
        return add_thread(self, func, *args, **kwargs)
    group.add_thread = add_thread_after_pruning


def _is_finished(thread):
    # A thread that has not been started is not alive either.
    return thread.ident is not None and not thread.is_alive()


def serialize_yaql_parser():
    """Let one thread at a time use the parser of YAQL.

    Releases: Heat 25 and later, whose engine works on threads.

    Bug: Heat has one parser for all threads, and the parser of YAQL is not
    thread-safe (heat/engine/hot/functions.py, Yaql._parse). Expressions of two
    stacks that are created at the same time are mixed up: they fail as "Bad
    expression" or mean something else. Most templates of the library have an
    expression.

    Test: YaqlTest in tests/unit/engine/test_heat_patches.py.

    Remove it when Heat has a parser for each thread, or a lock of its own.
    """
    parse = functions.Yaql._parse
    if hasattr(parse, '__wrapped__'):
        # A second wrapper would wait for the lock that the first one holds.
        return

    @functools.wraps(parse)
    def _parse(self, expression):
        with _yaql_lock:
            return parse(self, expression)
    functions.Yaql._parse = _parse
