# SPDX-License-Identifier: Apache-2.0

"""Cache of the clusters that a hook is attached to.

Each signal needs to know whether the cluster of its node has the hook. Without
the cache a hundred guests that signal at once would send Senlin the same
request a hundred times.
"""

import time

_MAX_ENTRIES = 256

# Seconds for which a cluster that had the hook still counts as having it, so
# that its members can signal for drains that have begun before.
_CACHE_TTL = 10

# {(hook, cluster): when the entry expires}
_attached = {}


def is_hook_attached(hook, cluster_id, fetch):
    """Return True if a cluster has a hook, or had it `_CACHE_TTL` ago.

    :param fetch: a callable that gets the answer from Senlin; it is called
        when the cache has none.
    """
    key = hook, cluster_id
    if time.monotonic() < _attached.get(key, 0):
        return True
    found = fetch()
    if found:
        if len(_attached) >= _MAX_ENTRIES:
            _attached.clear()
        _attached[key] = time.monotonic() + _CACHE_TTL
    return found
