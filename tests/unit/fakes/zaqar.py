# SPDX-License-Identifier: Apache-2.0

"""Zaqar, as far as zaqarclient shows it to the plugin."""

import itertools
from unittest import mock

from keystoneauth1 import exceptions as ksa_exceptions
from zaqarclient.transport import errors as zaqar_errors


class Zaqar:
    """The part of zaqarclient's v2 client that our resources may use."""

    PUBLIC = 'http://zaqar.example.com:8888'
    PROJECT = 'b1946ac92492d2347c6235b4d2611184'

    def __init__(self, journal):
        self.journal = journal
        self.existing = set()
        self.messages = []
        # Requests that have brought them.
        self.posts = 0
        # What it keeps even when the queue is deleted.
        self.subscribed = []
        self.endpoint = self.PUBLIC
        # Raised instead of an answer.
        self.down = None
        self._counter = itertools.count(1)

    def client(self, version=None):
        self.answer()
        return self

    def _get_transport(self, request):
        return mock.Mock(send=self._send)

    def _request_and_transport(self):
        request = mock.Mock(params={})
        return request, self._get_transport(request)

    def _send(self, request):
        """Refuse to remove what the metadata of no queue has."""
        self.answer()
        assert request.operation == 'queue_update'
        if request.params['queue_name'] in self.existing:
            raise zaqar_errors.ConflictError()
        raise zaqar_errors.ResourceNotFound()

    def url_for(self, service_type, interface='public', endpoint_type=None):
        # Heat itself asks for any endpoint, to see whether there is one.
        assert (service_type, interface) == ('messaging', 'public')
        if self.endpoint is None:
            raise ksa_exceptions.EndpointNotFound(
                'public endpoint for messaging service not found')
        return self.endpoint

    def queue(self, name, auto_create=True, force_create=False):
        self.answer()
        if force_create or (auto_create and name not in self.existing):
            self.journal.append('create queue')
            self.existing.add(name)
        return _Queue(self, name)

    def queues(self, limit=10):
        self.answer()
        return _Listing([_Queue(self, name) for name in sorted(self.existing)],
                        limit), None

    def subscription(self, queue, subscriber, ttl, options):
        self.answer()
        for known in self.subscribed:
            if (known.queue_name, known.subscriber) == (queue, subscriber):
                # To one that is not confirmed Zaqar answers as if it were
                # new, and leaves it as it is.
                raise zaqar_errors.ConflictError()
        self.journal.append('subscribe %s' % subscriber)
        subscription = _Subscription(self, queue, subscriber, ttl, options)
        self.subscribed.append(subscription)
        self.journal.answered()
        return subscription

    def subscriptions(self, queue, limit):
        self.answer()
        # Zaqar refuses more, and lists no more at once.
        assert 0 < limit <= 20
        return _Listing([subscription for subscription in self.subscribed
                         if subscription.queue_name == queue], limit)

    def answer(self):
        if self.down is not None:
            raise self.down


class _Listing(list):
    """An iterator that ends with the first page, unless told to go on."""

    def __init__(self, found, limit):
        super().__init__(found[:limit])
        self._all = found

    def stream(self):
        return iter(self._all)


class _Subscription:
    def __init__(self, zaqar, queue, subscriber, ttl, options):
        self._zaqar = zaqar
        self.queue_name = queue
        self.subscriber = subscriber
        self.ttl = ttl
        self.options = options

    def delete(self):
        self._zaqar.answer()
        if self not in self._zaqar.subscribed:
            raise zaqar_errors.ResourceNotFound()
        self._zaqar.journal.append('unsubscribe %s' % self.subscriber)
        self._zaqar.subscribed.remove(self)
        self._zaqar.journal.answered()


class _Queue:
    def __init__(self, zaqar, name):
        self._zaqar = zaqar
        self.name = name

    def signed_url(self, paths=None, ttl_seconds=None, methods=None):
        self._zaqar.answer()
        self._zaqar.journal.append('sign queue')
        # No two signatures are the same: the expiry is counted from now.
        number = next(self._zaqar._counter)
        return {'paths': ['/v2/queues/%s/%s' % (self.name, path)
                          for path in paths],
                'methods': methods, 'project': Zaqar.PROJECT,
                'expires': '+%d seconds, call %d' % (ttl_seconds, number),
                'signature': 'queue-secret-%d' % number}

    def post(self, messages):
        self._zaqar.answer()
        self._zaqar.posts += 1
        for message in messages:
            self._zaqar.journal.append('post message')
            self._zaqar.messages.append(dict(message, queue=self.name))
        self._zaqar.journal.answered()

    def delete(self):
        self._zaqar.answer()
        if self.name not in self._zaqar.existing:
            raise zaqar_errors.ResourceNotFound()
        self._zaqar.journal.append('delete queue')
        self._zaqar.existing.remove(self.name)
