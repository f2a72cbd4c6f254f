# SPDX-License-Identifier: Apache-2.0

"""What one signal has found out and the next one need not ask again.

Heat loads the stack anew for each signal, with a context that knows nothing
yet: a token would be made and checked for each of a hundred guests that
signal at once, which is most of the work.
"""

import time

# Entries of each kind; forgotten together when there would be more.
_MOST = 256

# Seconds for which a cluster that had the hook still counts as having it. Its
# members answer for drains that have begun before.
_GUARDED = 10

# {ID of a trust: the plugin of keystoneauth that has its token}
_auths = {}
# {(hook, cluster): until when it counts as guarded}
_guarded = {}


def share_token(context):
    """Let a context use the token of those before it for the same stack.

    keystoneauth makes another one when that has expired or was revoked, and
    its plugins are safe to share among threads.
    """
    if context.trust_id is None:
        return
    session = context.keystone_session
    if context.trust_id not in _auths:
        _make_room(_auths)
    session.auth = _auths.setdefault(context.trust_id, session.auth)


def is_guarded(hook, cluster_id, ask):
    """Whether a cluster has a hook, or had it a moment ago.

    :param ask: called for the answer when it is not known.
    """
    key = hook, cluster_id
    if time.monotonic() < _guarded.get(key, 0):
        return True
    found = ask()
    if found:
        _make_room(_guarded)
        _guarded[key] = time.monotonic() + _GUARDED
    return found


def _make_room(known):
    if len(known) >= _MOST:
        known.clear()
