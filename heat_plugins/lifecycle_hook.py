# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::LifecycleHook: tell a server that it goes, hear when it may."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes
from heat.engine import constraints
from heat.engine import properties
from heat.engine.resources import signal_responder
from keystoneauth1 import exceptions as ksa_exceptions
from oslo_concurrency import lockutils
from oslo_context import context as oslo_context
from oslo_log import log as logging
from oslo_serialization import jsonutils
from zaqarclient.queues.v2 import core as zaqar_core
from zaqarclient.transport import errors as zaqar_errors

from . import _agent_config
from . import _resource
from . import _retry
from . import _signal
from ._engine import lease
from ._engine import tokens
from .native import _waiter as drains_waiter
from .senlin import _service
from .senlin import _waiter as policies_waiter

LOG = logging.getLogger(__name__)


class LifecycleHook(_resource.HookResource, signal_responder.SignalResponder):
    """Let servers drain before they are deleted.

    A server that is to go is announced by a message on the queue of this
    resource, and kept. The agent in the server reads the queue, lets the
    application finish, and sends a signal to this resource, which lets the
    server go. A server that stays silent is deleted when the timeout has
    passed.

    The result CONTINUE lets the server go. ROLLBACK keeps it: its deletion is
    cancelled, and the group that it belongs to counts it again, a cluster of
    Senlin's as soon as the other servers of the same scale-in have drained.

    Everything that a guest needs is in the attribute "agent_config"; pass it
    to the user data of the servers. Then let an OS::Hooks::DrainWaitCondition
    refer to this resource and to what it guards, a cluster of Senlin's or a
    server, or an OS::Hooks::AutoScalingGroup refer to this resource. It cannot
    be deleted as long as a condition of another stack refers to it.
    """

    # A signal changes nothing in the metadata of any resource.
    signal_needs_metadata_updates = False

    # Senlin goes on while a stack is suspended or being deleted, and so do
    # the drains.
    no_signal_actions = ()

    PROPERTIES = (
        QUEUE, TIMEOUT, HEARTBEAT_TIMEOUT, DEFAULT_RESULT, CRITERIA,
        SIGNAL_TRANSPORT,
    ) = (
        'queue', 'timeout', 'heartbeat_timeout', 'default_result', 'criteria',
        'signal_transport',
    )

    ATTRIBUTES = (
        QUEUE_NAME, SIGNAL_URL, POLICY_ID, AGENT_CONFIG, PENDING,
    ) = (
        'queue_name', 'signal_url', 'policy_id', 'agent_config', 'pending',
    )

    _CRITERIA = (
        OLDEST_FIRST, OLDEST_PROFILE_FIRST, YOUNGEST_FIRST, RANDOM,
    ) = (
        'OLDEST_FIRST', 'OLDEST_PROFILE_FIRST', 'YOUNGEST_FIRST', 'RANDOM',
    )

    _SIGNAL_TRANSPORTS = (
        CFN_SIGNAL,
    ) = (
        'CFN_SIGNAL',
    )

    # The key in resource data for what the guests were told. It is made once:
    # another signature or another timeout would be other user data, hence
    # other servers.
    _AGENT_CONFIG = 'agent_config'

    # Less would end drains for a signal that is slow to arrive.
    _MIN_HEARTBEAT = 15

    # Policy and queue have it in common. Zaqar allows 64 characters.
    _NAME = 'lifecycle-hook-%s'

    properties_schema = {
        QUEUE: properties.Schema(
            properties.Schema.STRING,
            _('Name of an existing Zaqar queue for the messages of the hook; '
              'it is never deleted. Left out, the hook makes a queue of its '
              'own and deletes it with itself.'),
            constraints=[
                # Empty is left out: an "if" without a queue yields that.
                constraints.Length(max=64),
                # zaqar/transport/validation.py, 18.0.0
                constraints.AllowedPattern('[a-zA-Z0-9_.-]*'),
            ],
        ),
        TIMEOUT: properties.Schema(
            properties.Schema.INTEGER,
            _('Seconds that a drain may take, from the scale-in to the '
              'deletion of the server whatever happens. All servers that go '
              'in one scale-in share them. After a change, agents still '
              'go by the timeout that the hook was made with.'),
            update_allowed=True,
            default=300,
            constraints=[constraints.Range(min=1, max=86400)],
        ),
        HEARTBEAT_TIMEOUT: properties.Schema(
            properties.Schema.INTEGER,
            _('Seconds after which a drain is over whose guest has not been '
              'heard, 15 at least. The agent sends a heartbeat three times as '
              'often. A heartbeat outweighs the status in Nova, which can be '
              'stale: a server that is off is deleted after this time. With '
              '0 only the timeout ends a drain, and a server that is off, '
              'paused or in error is deleted at once. Senlin knows no '
              'heartbeat, so a cluster cannot have such a hook.'),
            update_allowed=True,
            default=0,
            constraints=[constraints.Range(min=0, max=86400)],
        ),
        DEFAULT_RESULT: properties.Schema(
            properties.Schema.STRING,
            _('The result of a drain whose timeout has passed. Senlin deletes '
              'the server in any case, so a cluster cannot have a hook with '
              'ROLLBACK here.'),
            update_allowed=True,
            default=_signal.CONTINUE,
            constraints=[constraints.AllowedValues(
                (_signal.CONTINUE, _signal.ROLLBACK))],
        ),
        CRITERIA: properties.Schema(
            properties.Schema.STRING,
            _('Which members a scale-in drains first. All members of an '
              'OS::Hooks::AutoScalingGroup are of one profile, so that '
              'OLDEST_PROFILE_FIRST means OLDEST_FIRST there.'),
            update_allowed=True,
            default=RANDOM,
            constraints=[constraints.AllowedValues(_CRITERIA)],
        ),
        SIGNAL_TRANSPORT: properties.Schema(
            properties.Schema.STRING,
            _('How a guest reports that it has drained. CFN_SIGNAL is an '
              'HTTP POST to a signed URL, which needs no credentials and no '
              'client.'),
            default=CFN_SIGNAL,
            constraints=[constraints.AllowedValues(_SIGNAL_TRANSPORTS)],
        ),
    }

    attributes_schema = {
        QUEUE_NAME: attributes.Schema(
            _('Name of the queue with the messages of the hook.'),
            type=attributes.Schema.STRING,
        ),
        SIGNAL_URL: attributes.Schema(
            _('Signed URL to which a guest posts its signal. Whoever has it '
              'can end the drains of this hook.'),
            type=attributes.Schema.STRING,
        ),
        POLICY_ID: attributes.Schema(
            _('ID of the Senlin policy that carries the hook now. An update '
              'of timeout or criteria makes another one. Null in a cloud '
              'without Senlin.'),
            cache_mode=attributes.Schema.CACHE_NONE,
            type=attributes.Schema.STRING,
        ),
        AGENT_CONFIG: attributes.Schema(
            _('JSON document with all that an agent needs: signed read access '
              'to the queue, the signal URL and the timeout that the hook was '
              'made with. It never changes, and it holds secrets.'),
            type=attributes.Schema.STRING,
        ),
        PENDING: attributes.Schema(
            _('The drains that are waited for now. Each has the keys '
              'lifecycle_action_token, node_id (null without Senlin), server '
              'and since.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    def validate(self):
        super().validate()
        # Refused once it has begun, an adoption would be rolled back by
        # deleting what it has adopted, the cluster without a drain.
        if self.stack.adopt_stack_data:
            raise exception.StackValidationFailed(message=_(
                '%(name)s: a hook cannot be adopted, because the servers send '
                'their signals to the stack that was abandoned; create a new '
                'stack instead.') % {'name': self.name})
        heartbeat = self.properties[self.HEARTBEAT_TIMEOUT]
        # None while it comes from a resource that is not there yet.
        if heartbeat and heartbeat < self._MIN_HEARTBEAT:
            raise exception.StackValidationFailed(message=_(
                '%(name)s: "heartbeat_timeout", %(given)s seconds, is below '
                '%(limit)s; give more, or 0 for none.')
                % {'name': self.name, 'given': heartbeat,
                   'limit': self._MIN_HEARTBEAT})
        timeout = self.properties[self.TIMEOUT]
        if timeout and timeout >= self.stack.timeout_secs():
            raise exception.StackValidationFailed(message=_(
                '%(name)s: "timeout", %(timeout)s seconds, is not below '
                '%(limit)s seconds, the timeout of the stack, which ends its '
                'deletion in the middle of a drain; give the stack a longer '
                'one with "--timeout" (in minutes).')
                % {'name': self.name, 'timeout': timeout,
                   'limit': self.stack.timeout_secs()})

    def handle_create(self):
        self.resource_id_set(self.hook_name())
        return _retry.Poller(self)

    def check_create_complete(self, poller):
        return poller.poll_once(lambda: self._converge(self.properties))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        return _retry.Poller(self), json_snippet.properties(
            self.properties_schema, self.context)

    def check_update_complete(self, args):
        poller, properties = args
        return poller.poll_once(lambda: self._converge(properties) or
                                self._update_waiters(properties))

    def handle_delete(self):
        return _retry.Poller(self)

    def check_delete_complete(self, poller):
        return poller.poll_once(self._remove)

    def handle_check(self):
        gone = [name for waiter in self._waiters()
                for name in waiter.missing()]
        if self._owns_queue() and not self._queue_exists():
            gone.append(_('queue'))
        if gone:
            # They share the name, and an event holds 255 characters.
            raise exception.Error(
                _('%(name)s: gone: %(gone)s %(hook)s; update the stack to '
                  'make it again.')
                % {'name': self.name, 'gone': _(' and ').join(gone),
                   'hook': self.hook_name()})

    def handle_suspend(self):
        """Leave the user of the signal URL enabled, as drains go on."""

    def handle_resume(self):
        """Nothing was suspended."""

    def handle_signal(self, details=None):
        # Heat has sent its response to the guest before, and an exception here
        # becomes a traceback in the engine's log. So a problem is reported
        # once in the log for the operator and once as an event for the tenant.
        try:
            signal = _signal.parse(details)
            if signal.result == _signal.TEST:
                return (_('TEST, by %(who)s: %(reason)s.')
                        % {'who': self.sender(), 'reason': signal.reason})
            try:
                tokens.reuse_auth_plugin(self.context)
                return self._process_signal(signal)
            finally:
                # The next signal has a session of its own; a thousand that
                # stay open are all the connections that Senlin takes.
                self.context.keystone_session.session.close()
        except _signal.Refused as refusal:
            problem = _('refused: %s.') % refusal
        except _retry.SERVICE_ERRORS as error:
            problem = (_('lost, to be sent again: %s')
                       % _signal.quote(str(error)))
        # In an except clause oslo.log would add the exception once more.
        LOG.warning('%(name)s: signal %(problem)s',
                    {'name': self.name, 'problem': problem})
        return problem

    def signal(self, details=None, need_check=True):
        return super().signal(self._as_dict(details), need_check)

    def _signal_check_hook(self, details):
        super()._signal_check_hook(self._as_dict(details))

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        if name == self.QUEUE_NAME:
            return self.queue_name()
        if name == self.SIGNAL_URL:
            return self._signal_url()
        if name == self.POLICY_ID:
            policies = self._policies_waiter()
            return policies.policy_id() if policies else None
        if name == self.AGENT_CONFIG:
            return self.data().get(self._AGENT_CONFIG)
        if name == self.PENDING:
            return [drain for waiter in self._waiters()
                    for drain in waiter.pending()]

    def hook_name(self):
        """Return the name of the hook, which is its reference as well."""
        return self.resource_id or self._NAME % self.uuid

    def queue_name(self):
        return self.properties[self.QUEUE] or self.hook_name()

    def sender(self):
        """Return who has sent the signal that this thread handles."""
        request = oslo_context.get_current()
        user_id = getattr(request, 'user_id', None)
        if user_id is None or user_id == self._get_user_id():
            return _('the signal URL')
        return _('user %s') % (getattr(request, 'username', None) or user_id)

    def _create_user(self):
        try:
            super()._create_user()
        except ksa_exceptions.Conflict:
            # An engine died before it stored the ID of the user. The name is
            # unique, so the user can be deleted, and a new user has its role
            # for certain.
            keystone = self.keystone()
            for user in keystone.domain_admin_client.users.list(
                    domain=keystone.stack_domain_id,
                    name=self.physical_resource_name()):
                keystone.delete_stack_domain_user(
                    user_id=user.id,
                    project_id=self.stack.stack_user_project_id)
            super()._create_user()

    def _get_ec2_signed_url(self, *args, **kwargs):
        # Heat looks for its own endpoint with the clients of the stack.
        self.authenticate()
        return super()._get_ec2_signed_url(*args, **kwargs)

    def _converge(self, properties):
        """Create what is missing; an engine may die at any line."""
        # This creates the user and the key pair that the URL is signed with.
        self._get_ec2_signed_url(never_expire=True)
        if self._owns_queue():
            # Senlin would create it before the first message, but the agents
            # poll long before that.
            self._zaqar().queue(self.hook_name(), force_create=True)
        if self._AGENT_CONFIG not in self.data():
            self.data_set(self._AGENT_CONFIG,
                          jsonutils.dumps(self._agent_config(properties)),
                          redact=True)
        for waiter in self._waiters():
            waiter.create(properties)

    def _update_waiters(self, properties):
        for waiter in self._waiters():
            awaited = waiter.update(properties)
            if awaited:
                return awaited
        return None

    def _remove(self):
        for waiter in self._waiters():
            waiter.remove()
        if self._owns_queue():
            with _retry.ignore_missing_endpoint(), (
                    self.client_plugin('zaqar').ignore_not_found):
                self._queue().delete()
        self.data_delete(self._AGENT_CONFIG)
        # Last, because guards that are being deleted find the hook by that.
        self._drains_waiter().forget()
        super().handle_delete()

    def _waiters(self):
        """Yield what waits for drains of this hook.

        The next one is not looked for if an earlier one has the drain.
        """
        yield self._drains_waiter()
        policies = self._policies_waiter()
        if policies:
            yield policies

    def _drains_waiter(self):
        return drains_waiter.DrainsWaiter(self)

    def _policies_waiter(self):
        """Return the waiter in Senlin, None in a cloud without Senlin."""
        if _service.has_senlin(self):
            return policies_waiter.PoliciesWaiter(self)
        return None

    def _owns_queue(self):
        return not self.properties[self.QUEUE]

    def _queue(self):
        return self._zaqar().queue(self.queue_name(), auto_create=False)

    def _queue_exists(self):
        # Zaqar (18.0.0, 23.0.1) describes queues that are not there, and lists
        # ten at once; on Redis a page of one comes again for ever. It refuses
        # to remove a key that is not set with 409, without the queue with 404.
        request, transport = self._zaqar()._request_and_transport()
        try:
            zaqar_core.queue_update(
                transport, request, self.hook_name(),
                [{'op': 'remove', 'path': '/metadata/no_hook_sets_this'}])
        except zaqar_errors.ResourceNotFound:
            return False
        except zaqar_errors.ConflictError:
            pass
        return True

    def _zaqar(self):
        return self.client('zaqar')

    @staticmethod
    def _as_dict(details):
        # Heat looks for the key "unset_hook" in whatever was posted, and
        # fails with a traceback on a number or on a string of these words.
        return details if isinstance(details, dict) else {}

    def _process_signal(self, signal):
        # A guest repeats a signal whose response it has not seen, at times
        # before the first copy has had any effect, maybe in another engine. A
        # lock costs less than a lease, so the threads of an engine share one.
        with lockutils.lock('lifecycle-action-%s' % signal.token), (
                lease.hold(self.context, self.stack.id, signal.token)):
            answer = _retry.retry_on_outage(self._apply_signal, signal)
        if answer.follow_up is None:
            return answer.text
        if answer.text:
            # Now, because what follows takes until the last drain is over.
            self._add_event('SIGNAL', self.status, 'Signal: %s' % answer.text)
        return answer.follow_up()

    def _apply_signal(self, signal):
        for waiter in self._waiters():
            answer = waiter.answer(signal)
            if answer is not None:
                return answer
        raise _signal.Refused('nobody waits for a drain with the token '
                              + _signal.quote(signal.token))

    def _signal_url(self):
        # Asked for a URL without a key, Heat makes a new user for it.
        if 'access_key' not in self.data():
            return None
        return self._get_ec2_signed_url(never_expire=True)

    def _agent_config(self, properties):
        return _agent_config.build(
            self.client_plugin('zaqar'), self._queue(), self.queue_name(),
            self._signal_url(), properties[self.TIMEOUT],
            properties[self.HEARTBEAT_TIMEOUT])


def resource_mapping():
    return {
        'OS::Hooks::LifecycleHook': LifecycleHook,
    }
