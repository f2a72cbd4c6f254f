# SPDX-License-Identifier: Apache-2.0

"""Cache of Keystone tokens, shared by the signals of one stack.

Heat loads the stack anew for each signal, with a context that has no token
yet. Without the cache a token would be made and checked for each of a hundred
guests that signal at once, which is most of the work.
"""

_MAX_ENTRIES = 256

# {ID of a trust: the plugin of keystoneauth that has its token}
_auth_plugins = {}


def reuse_auth_plugin(context):
    """Let a context use the token that earlier contexts of its stack have.

    keystoneauth makes another token when that one has expired or was revoked,
    and its plugins are safe to share among threads.
    """
    if context.trust_id is None:
        return
    session = context.keystone_session
    if (context.trust_id not in _auth_plugins and
            len(_auth_plugins) >= _MAX_ENTRIES):
        _auth_plugins.clear()
    session.auth = _auth_plugins.setdefault(context.trust_id, session.auth)
