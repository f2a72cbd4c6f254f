# SPDX-License-Identifier: Apache-2.0

"""Clients of the OpenStack services with a timeout for each request."""

import copy
import functools
import weakref

# Seconds until a service that does not respond counts as away, because neither
# Heat nor its clients have a timeout. Less than the 60 seconds that Heat's API
# waits for its engine. keystoneauth retries the request as often as
# client_retry_limit of heat.conf says; zaqarclient does not.
REQUEST_TIMEOUT = 30

_ZAQAR = 'zaqar'

# {context of a request: its copy, whose clients have the timeout}
_copies = weakref.WeakKeyDictionary()


class ClientsWithTimeout:
    """Give a resource clients whose requests have a timeout.

    Mix it into a subclass of Heat's Resource. Heat's own code in the resource
    uses these clients as well; other resources of the stack keep theirs.
    """

    def client(self, name=None, version=None):
        name = name or self.default_client_name
        client = _limited(self.context).clients.client(name, version)
        if name == _ZAQAR:
            _limit_transport(client)
        return client

    def client_plugin(self, name=None):
        return _limited(self.context).clients.client_plugin(
            name or self.default_client_name)

    def authenticate(self):
        """Fetch the token that the clients of the stack use as well.

        Some of Heat's own code uses those clients, which have no timeout.
        Without a token it would wait for a Keystone that does not respond.
        """
        _limited(self.context).keystone_session.get_token()


def _limited(context):
    """Return a copy of a context, made once, whose requests have a timeout."""
    limited = _copies.get(context)
    if limited is None:
        # The session and the clients of the context serve other resources.
        session = copy.copy(context.keystone_session)
        session.timeout = REQUEST_TIMEOUT
        limited = copy.copy(context)
        limited._keystone_session = session
        limited._clients = None
        # One for all threads: clients hold their context by a weak reference.
        limited = _copies.setdefault(context, limited)
    return limited


def _limit_transport(zaqar):
    """Set the timeout of a client that asks its session for a token only.

    zaqarclient (2.7.0, 4.7.0) makes a transport for each request, which calls
    requests without a timeout.
    """
    if '_get_transport' in vars(zaqar):
        return
    get_transport = zaqar._get_transport

    def get_limited_transport(request):
        transport = get_transport(request)
        transport.client.request = functools.partial(
            transport.client.request, timeout=REQUEST_TIMEOUT)
        return transport
    zaqar._get_transport = get_limited_transport
