# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Webhooks: tell an application's own endpoints of each hook."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import constraints
from heat.engine import properties

from . import _resource
from . import _retry
from . import _urls


class Webhooks(_resource.HookResource):
    """Let Zaqar post each message of a queue to http or https endpoints.

    Each endpoint gets the hook message as soon as it is on the queue, beside
    the agents that read it there. An update subscribes what is new and
    unsubscribes what has gone, and touches no other endpoint. A subscription
    never expires; it goes with this resource.

    It is a notification: Zaqar repeats what met no connection, and loses what
    an endpoint has answered with an error. Let nothing depend on it that the
    agent in the server can do.
    """

    default_client_name = 'zaqar'

    PROPERTIES = (
        QUEUE, URLS,
    ) = (
        'queue', 'urls',
    )

    _NAME = 'webhooks-%s'

    # Zaqar keeps the options of a subscription and goes by those it knows.
    # With the mark in them no engine that dies can leave a subscription that
    # no resource owns, and what others have on the queue stays.
    _MARK = 'heat_resource'

    # Zaqar's own is an hour. It wants a number: this is the year 9000, which
    # OS::Zaqar::Subscription has as well.
    _FOREVER = 220367260800

    # As many as Zaqar lists at once, zaqar/conf/transport.py, 18.0.0.
    _PAGE = 20

    properties_schema = {
        QUEUE: properties.Schema(
            properties.Schema.STRING,
            _('Name of the Zaqar queue with the messages, such as the '
              'attribute "queue_name" of an OS::Hooks::LifecycleHook.'),
            required=True,
        ),
        URLS: properties.Schema(
            properties.Schema.LIST,
            _('URLs of the endpoints. With a user and a password in it, as '
              'in https://user:password@host/path, Zaqar sends both as HTTP '
              'Basic authentication.'),
            schema=properties.Schema(properties.Schema.STRING),
            required=True,
            update_allowed=True,
            constraints=[constraints.CustomConstraint('hooks.webhooks')],
        ),
    }

    def handle_create(self):
        self.resource_id_set(self._NAME % self.uuid)
        return _retry.Poller(self)

    def check_create_complete(self, poller):
        return poller.poll_once(lambda: self._subscribe(self.properties))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        return _retry.Poller(self), json_snippet.properties(
            self.properties_schema, self.context)

    def check_update_complete(self, args):
        poller, properties = args
        return poller.poll_once(lambda: self._subscribe(properties))

    def handle_delete(self):
        return _retry.Poller(self)

    def check_delete_complete(self, poller):
        return poller.poll_once(self._unsubscribe)

    def handle_check(self):
        lost = set(self.properties[self.URLS]) - {
            subscription.subscriber for subscription in self._own()}
        if lost:
            raise exception.Error(
                _('%(name)s: Zaqar has lost the subscriptions of %(urls)s to '
                  'queue %(queue)s; update the stack to make them again.')
                % {'name': self.name, 'urls': self._shown(lost),
                   'queue': self.properties[self.QUEUE]})

    def _subscribe(self, properties):
        """Make what is missing, then remove what is not wanted any more."""
        queue, wanted = properties[self.QUEUE], properties[self.URLS]
        subscriptions = list(self._subscriptions(queue))
        own = {subscription.subscriber for subscription in subscriptions
               if self._is_own(subscription)}
        missing = [url for url in wanted if url not in own]
        foreign = {subscription.subscriber for subscription in subscriptions
                   if not self._is_own(subscription)}.intersection(missing)
        if foreign:
            raise exception.Error(
                _('%(name)s: %(urls)s is told of queue %(queue)s by a '
                  'subscription of somebody else, and Zaqar has one for each '
                  'URL; delete it with "openstack messaging subscription '
                  'delete", or leave the URL out.')
                % {'name': self.name, 'urls': self._shown(foreign),
                   'queue': queue})
        for url in missing:
            self._zaqar().subscription(
                queue, subscriber=url, ttl=self._FOREVER,
                options={self._MARK: self.resource_id})
        for subscription in subscriptions:
            if (self._is_own(subscription) and
                    subscription.subscriber not in wanted):
                self._delete(subscription)

    def _unsubscribe(self):
        # Zaqar deletes a queue without its subscriptions.
        with _retry.ignore_missing_endpoint():
            for subscription in self._own():
                self._delete(subscription)

    def _own(self):
        return [subscription for subscription in
                self._subscriptions(self.properties[self.QUEUE])
                if self._is_own(subscription)]

    def _subscriptions(self, queue):
        return self._zaqar().subscriptions(queue, limit=self._PAGE).stream()

    def _zaqar(self):
        return self.client('zaqar')

    def _is_own(self, subscription):
        # Never true for a resource that was not made.
        return (subscription.options or {}).get(
            self._MARK, '') == self.resource_id

    def _delete(self, subscription):
        with self.client_plugin().ignore_not_found:
            subscription.delete()

    @staticmethod
    def _shown(urls):
        return ', '.join(sorted(map(_urls.without_secrets, urls)))


class WebhooksConstraint:
    """The constraint "hooks.webhooks" of a property or a parameter."""

    message = _('http:// or https:// URLs with a host, each only once')

    def validate(self, urls, context):
        return _urls.problem(urls) is None

    def error(self, urls):
        return _urls.problem(urls) + '.'


def resource_mapping():
    return {
        'OS::Hooks::Webhooks': Webhooks,
    }


def constraint_mapping():
    return {
        'hooks.webhooks': WebhooksConstraint,
    }
