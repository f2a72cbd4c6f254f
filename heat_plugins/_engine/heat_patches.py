# SPDX-License-Identifier: Apache-2.0

"""Patches of Heat itself: the fault of each, and the releases that have it."""

import functools

from heat.engine import service


def prune_finished_threads():
    """Let the thread group of a stack forget threads that have finished.

    Heat 25 to 27 start each signal in a thread of the stack's group, which
    holds 1,000, and keep those that have finished
    (heat/engine/service.py, ThreadGroup.add_thread). After so many signals to
    one engine each further signal, and the deletion of the stack, is an
    "Internal Error" until the engine is restarted. Up to Heat 24 the group is
    one of oslo.service, which forgets by itself. Remove this patch when Heat
    forgets them too; its tests fail then.
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
    # One that has not been started is not alive either.
    return thread.ident is not None and not thread.is_alive()
