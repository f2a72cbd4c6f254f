# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::LifecycleHook: tell a server that it goes, hear when it may."""

import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes
from heat.engine import constraints
from heat.engine import properties
from heat.engine import resource
from heat.engine.resources import signal_responder
from keystoneauth1 import exceptions as ksa_exceptions
from oslo_concurrency import lockutils
from oslo_context import context as oslo_context
from oslo_log import log as logging
from oslo_serialization import jsonutils
from oslo_utils import timeutils
from zaqarclient.queues.v2 import core as zaqar_core
from zaqarclient.transport import errors as zaqar_errors

from . import _resource
from . import _retry
from . import _signal
from ._engine import lease
from ._engine import tokens
from .native import _drains
from .native import _wakeups
from .senlin import _attachments
from .senlin import _client

LOG = logging.getLogger(__name__)

# Names of stacks in a message, because an event holds 255 characters.
_USERS_SHOWN = 3


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

    # Zaqar sets no upper bound. The signature outlives the servers that hold
    # it because an agent that has gone deaf is worse than one that can read
    # the messages of a queue, and the queue goes with this resource.
    _QUEUE_ACCESS_SECONDS = 10 * 365 * 24 * 60 * 60

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
        self.resource_id_set(self._name())
        return _retry.Poller(self)

    def check_create_complete(self, poller):
        return poller.poll_once(lambda: self._make(self.properties))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        return _retry.Poller(self), json_snippet.properties(
            self.properties_schema, self.context)

    def check_update_complete(self, args):
        poller, properties = args
        return poller.poll_once(lambda: self._make(properties) or
                                self._swap_policies(properties))

    def handle_delete(self):
        return _retry.Poller(self)

    def check_delete_complete(self, poller):
        return poller.poll_once(self._remove)

    def handle_check(self):
        gone = []
        if self.has_senlin() and not _client.hook_policies(self.senlin(),
                                                           self._name()):
            gone.append(_('policy'))
        if self._owns_queue() and not self._queue_exists():
            gone.append(_('queue'))
        if gone:
            # They share the name, and an event holds 255 characters.
            raise exception.Error(
                _('%(name)s: gone: %(gone)s %(hook)s; update the stack to '
                  'make it again.')
                % {'name': self.name, 'gone': _(' and ').join(gone),
                   'hook': self._name()})

    def handle_suspend(self):
        """Leave the user of the signal URL enabled, as drains go on."""

    def handle_resume(self):
        """Nothing was suspended."""

    def handle_signal(self, details=None):
        # The answer to the guest has long been sent, and what is raised here
        # becomes a traceback in the engine's log. So we say what is wrong
        # once in the log for the operator and once as an event for the tenant.
        try:
            signal = _signal.parse(details)
            if signal.result == _signal.TEST:
                return (_('TEST, by %(who)s: %(reason)s.')
                        % {'who': self._sender(), 'reason': signal.reason})
            try:
                tokens.reuse_auth_plugin(self.context)
                return self._obey(signal)
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
            return self._queue_name()
        if name == self.SIGNAL_URL:
            return self._signal_url()
        if name == self.POLICY_ID:
            policies = self.has_senlin() and _client.hook_policies(
                self.senlin(), self._name())
            return policies[-1].id if policies else None
        if name == self.AGENT_CONFIG:
            return self.data().get(self._AGENT_CONFIG)
        if name == self.PENDING:
            return self._pending()

    def _create_user(self):
        try:
            super()._create_user()
        except ksa_exceptions.Conflict:
            # An engine died before it knew the ID of the user. Nobody else
            # has this name, and a new user has its role for certain.
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

    def _make(self, properties):
        """Make what is not there yet; an engine may die at any line."""
        self._create_user()
        self._get_ec2_signed_url(never_expire=True)
        if self._owns_queue():
            # Senlin would make it before the first message, but the agents
            # look long before that.
            self._zaqar().queue(self._name(), force_create=True)
        if self._AGENT_CONFIG not in self.data():
            self.data_set(self._AGENT_CONFIG,
                          jsonutils.dumps(self._agent_config(properties)),
                          redact=True)
        self.data_set(_drains.SETTINGS, jsonutils.dumps({
            'queue': self._queue_name(),
            'timeout': properties[self.TIMEOUT],
            'heartbeat_timeout': properties[self.HEARTBEAT_TIMEOUT],
            'default_result': properties[self.DEFAULT_RESULT],
            'criteria': properties[self.CRITERIA]}))
        if self.has_senlin() and not _client.hook_policies(self.senlin(),
                                                           self._name()):
            _client.create_policy(self.senlin(), self._name(),
                                  self._policy_properties(properties))

    def _swap_policies(self, properties):
        """Take one step on each cluster towards a policy with new values."""
        if not self.has_senlin():
            return None
        client = self.senlin()
        wanted = self._policy_properties(properties)
        guarded = []
        for cluster in client.clusters():
            bindings = _client.get_bindings(client, cluster.id)
            ours = [b for b in bindings if b.policy_name == self._name()]
            if not ours:
                continue
            self._refuse_update(properties[self.TIMEOUT], cluster,
                                [b for b in bindings if b not in ours])
            guarded.append((cluster.id, ours))
        busy = []
        for cluster_id, bindings in guarded:
            step = _client.swap(client, self._name(), wanted, bindings)
            if step is None:
                continue
            busy.append(cluster_id)
            operation, policy_id = step
            try:
                operation(client, cluster_id, policy_id)
            except _client.Overtaken:
                # It drains, scales, or is at the step before.
                continue
        if busy:
            return (_('The new values have not reached cluster %s, which is '
                      'busy.') % ', '.join(busy))
        if not any(_client.properties_of(policy) == wanted for policy in
                   _client.hook_policies(client, self._name())):
            _client.create_policy(client, self._name(), wanted)
        return self._delete_policies(keep=wanted)

    def _refuse_update(self, timeout, cluster, others):
        if timeout >= cluster.timeout:
            raise exception.Error(
                _('%(name)s: "timeout", %(timeout)s seconds, is not below '
                  '%(limit)s seconds, the timeout of cluster %(cluster)s; '
                  'give the cluster a longer one first.')
                % {'name': self.name, 'timeout': timeout,
                   'limit': cluster.timeout, 'cluster': cluster.id})
        if others:
            raise exception.Error(
                _('%(name)s: cluster %(cluster)s has another deletion policy, '
                  '%(policy)s; take it off with "openstack cluster policy '
                  'detach".')
                % {'name': self.name, 'cluster': cluster.id,
                   'policy': others[0].policy_id})

    def _delete_policies(self, keep=None):
        """Delete the policies of this hook, those with other values only.

        :returns: what is waited for, None if nothing is left to delete.
        """
        for policy in _client.hook_policies(self.senlin(), self._name()):
            if keep is not None and _client.properties_of(policy) == keep:
                continue
            try:
                self.senlin().delete_policy(policy.id)
            except _client.Conflict:
                return (_('Policy %s is still attached to a cluster.')
                        % policy.id)

    def _remove(self):
        self._refuse_users()
        if self.has_senlin():
            attached = self._delete_policies()
            if attached:
                raise exception.Error(
                    _('%(name)s: %(attached)s Delete the stack of that '
                      'cluster first, or take the policy off with "openstack '
                      'cluster policy detach"; then delete this stack again.')
                    % {'name': self.name, 'attached': attached})
        if self._owns_queue():
            with _retry.ignore_missing_endpoint(), (
                    self.client_plugin('zaqar').ignore_not_found):
                self._queue().delete()
        self.data_delete(self._AGENT_CONFIG)
        self.data_delete(_drains.SETTINGS)
        super().handle_delete()

    def _refuse_users(self):
        drains = self._drains()
        users = drains.users() if drains else []
        if users:
            raise exception.Error(
                _('%(name)s: guards of other stacks still have the hook '
                  '%(hook)s: %(stacks)s. Delete these stacks, or give their '
                  'guards another hook; then repeat the operation.')
                % {'name': self.name, 'hook': self._name(),
                   'stacks': ', '.join(users[:_USERS_SHOWN] + (
                       ['...'] if len(users) > _USERS_SHOWN else []))})

    def _policy_properties(self, properties):
        return _client.hook_properties(
            queue=self._queue_name(),
            timeout=properties[self.TIMEOUT],
            criteria=properties[self.CRITERIA])

    def _name(self):
        return self.resource_id or self._NAME % self.uuid

    def _owns_queue(self):
        return not self.properties[self.QUEUE]

    def _queue_name(self):
        return self.properties[self.QUEUE] or self._name()

    def _queue(self):
        return self._zaqar().queue(self._queue_name(), auto_create=False)

    def _queue_exists(self):
        # Zaqar (18.0.0, 23.0.1) describes queues that are not there, and lists
        # ten at once; on Redis a page of one comes again for ever. It refuses
        # to remove a key that is not set with 409, without the queue with 404.
        request, transport = self._zaqar()._request_and_transport()
        try:
            zaqar_core.queue_update(
                transport, request, self._name(),
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

    def _obey(self, signal):
        # A guest repeats a signal whose answer it has not seen, at times
        # before the first copy has done anything, which may be with another
        # engine. A lock costs less than a claim, so threads have that.
        with lockutils.lock('lifecycle-action-%s' % signal.token), (
                lease.hold(self.context, self.stack.id, signal.token)):
            cluster_id, text = _retry.retry_on_outage(self._answer, signal)
        if signal.result == _signal.CONTINUE or cluster_id is None:
            return text
        if text:
            # Now, because what follows takes until the last drain is over.
            self._add_event('SIGNAL', self.status, 'Signal: %s' % text)
        # The other drains end at the timeout, and servers are deleted then.
        return self._put_capacity_back(
            cluster_id, wait=(
                self.properties[self.TIMEOUT] + _retry.OUTAGE_SECONDS
                if text else 0))

    def _answer(self, signal):
        """Tell Senlin what a guest has answered.

        :returns: the cluster and the text of an event; no text if this has
            been done before.
        """
        drains = self._drains()
        drain = drains and drains.answer(*signal)
        if drain is not None:
            return None, self._heard(drain, signal)
        if not self.has_senlin():
            raise _signal.Refused('nobody waits for a drain with the token '
                                  + _signal.quote(signal.token))
        if signal.result == _signal.HEARTBEAT:
            raise resource.NoActionRequired(
                res_name=self.name, reason='Senlin knows no heartbeat')
        client = self.senlin()
        action = _client.get_action(client, signal.token)
        # Senlin takes names and short IDs for IDs as well.
        if action is None or action.id != signal.token:
            raise _signal.Refused(
                'Senlin knows no action %s' % _signal.quote(signal.token))
        waits = action.status == _client.WAITING_LIFECYCLE_COMPLETION
        given_up = self._was_given_up(action)
        kept = signal.result == _signal.ROLLBACK and (
            given_up or action.status == _client.CANCELLED)
        if not (waits or kept or given_up):
            # The second copy of a signal, or one that came after the timeout.
            LOG.debug('%(name)s: action %(token)s is %(status)s already',
                      {'name': self.name, 'token': signal.token,
                       'status': action.status})
            raise resource.NoActionRequired(
                res_name=self.name, reason='nothing waits for this signal')
        # Senlin looks at nothing but the token, so whose it is, is for us to
        # find out. The cluster comes from the node: the action would only
        # tell it to a newer microversion than openstacksdk asks for.
        node = _client.get_node(client, action.target_id)
        if node is None or not self._guards(node.cluster_id):
            raise _signal.Refused(
                'action %s belongs to no cluster with this hook'
                % signal.token)
        if kept:
            return node.cluster_id, None
        if given_up:
            try:
                _client.remove_drained_node(client, node.cluster_id, node.id)
            except _client.Overtaken:
                # Its next signal may find the cluster free.
                raise resource.NoActionRequired(
                    res_name=self.name, reason='the cluster is busy')
        elif signal.result == _signal.CONTINUE:
            # Senlin may have done it when its answer is lost; read again, the
            # action would look as if somebody else had.
            _retry.retry_on_outage(_client.complete_lifecycle, client,
                                   node.cluster_id, signal.token)
        else:
            _retry.retry_on_outage(self._cancel, action, node)
        return node.cluster_id, (
            _('%(result)s for server %(server)s (%(node)s) after %(took)d s, '
              'by %(who)s: %(reason)s.')
            % {'result': signal.result, 'server': node.physical_id,
               'node': node.name, 'took': _age(action), 'who': self._sender(),
               'reason': signal.reason})

    def _drains(self):
        # None for a hook of an older release, until its next update.
        return _drains.Hook.find(self.context, self._name())

    def _heard(self, drain, signal):
        """Return the text of the event for an answer that was noted."""
        if signal.result == _signal.HEARTBEAT or drain.result is not None:
            raise resource.NoActionRequired(
                res_name=self.name, reason='nothing waits for this signal')
        if drain.group:
            _wakeups.look()
        return (_('%(result)s for server %(server)s after %(took)d s, by '
                  '%(who)s: %(reason)s.')
                % {'result': signal.result, 'server': drain.server,
                   'took': drain.age, 'who': self._sender(),
                   'reason': signal.reason})

    def _was_given_up(self, action):
        """Whether Senlin has lost a deletion whose guest still answers.

        Senlin fails what an engine that died has had in hand. The server
        would stay, drained, and its application serve nobody any more.
        """
        client, node_id = self.senlin(), action.target_id
        return (action.action == _client.NODE_DELETE and
                _client.was_not_tried(action) and
                # Later nobody knows what the server has begun since.
                _age(action) < self.properties[self.TIMEOUT] and
                # It may have been asked again, and answers that then.
                not any(_client.unfinished_actions(client, node_id)) and
                _client.get_node(client, node_id) is not None)

    def _cancel(self, action, node):
        if action.action != _client.NODE_DELETE:
            raise _signal.Refused(
                'server %s cannot be kept, because its cluster stops its '
                'servers before it deletes them; set its '
                '"cluster.stop_node_before_delete" to false'
                % node.physical_id)
        _client.cancel(self.senlin(), action.id)
        after = _client.get_action(self.senlin(), action.id)
        if after is None or after.status != _client.CANCELLED:
            raise _signal.Refused(
                'ROLLBACK for server %s came too late, its deletion has begun'
                % node.physical_id)

    def _put_capacity_back(self, cluster_id, wait):
        """Count a member that stays among those desired.

        Senlin lowers the desired capacity when a scale-in begins and leaves
        it there when it is cancelled, and it takes no other action until the
        last drain of that scale-in is over.

        :param wait: seconds to wait for that. A repeated signal does not
            wait, the thread of the first one does; should that have died
            with its engine, the repeated one does the work.
        """
        end = time.monotonic() + wait
        done = _retry.retry_on_outage(self._count_members, cluster_id)
        while not done and time.monotonic() < end:
            time.sleep(_retry.POLL_SECONDS)
            done = _retry.retry_on_outage(self._count_members, cluster_id)
        if not wait:
            raise resource.NoActionRequired(
                res_name=self.name, reason='the server is kept already')
        if not done:
            return (_('the desired capacity of cluster %s is too low and the '
                      'cluster still busy; set it with "openstack cluster '
                      'resize --capacity".') % cluster_id)
        return (_('the desired capacity of cluster %s counts that server '
                  'again.') % cluster_id)

    def _count_members(self, cluster_id):
        """Return whether the capacity is right; if not, work on it."""
        client = self.senlin()
        cluster = _client.get_cluster(client, cluster_id)
        if (cluster is None or
                cluster.desired_capacity >= len(cluster.node_ids)):
            return True
        try:
            _client.count_members(client, cluster_id)
        except _client.Overtaken:
            pass
        return False

    def _sender(self):
        """Who has sent the signal that this thread handles."""
        request = oslo_context.get_current()
        user_id = getattr(request, 'user_id', None)
        if user_id is None or user_id == self._get_user_id():
            return _('the signal URL')
        return _('user %s') % (getattr(request, 'username', None) or user_id)

    def _guards(self, cluster_id):
        return bool(cluster_id) and _attachments.is_hook_attached(
            self._name(), cluster_id, lambda: _client.is_guarded(
                self.senlin(), cluster_id, self._name()))

    def _signal_url(self):
        # Asked for a URL without a key, Heat makes a new user for it.
        if 'access_key' not in self.data():
            return None
        return self._get_ec2_signed_url(never_expire=True)

    def _agent_config(self, properties):
        access = self._queue().signed_url(
            paths=['messages'], methods=['GET'],
            ttl_seconds=self._QUEUE_ACCESS_SECONDS)
        return {
            'queue': {
                'name': self._queue_name(),
                'url': self._messages_url(),
                'project_id': access['project'],
                'paths': access['paths'],
                'methods': access['methods'],
                'expires': access['expires'],
                'signature': access['signature'],
            },
            'signal_url': self._signal_url(),
            'timeout': properties[self.TIMEOUT],
            **self._heartbeat(properties[self.HEARTBEAT_TIMEOUT]),
        }

    @staticmethod
    def _heartbeat(timeout):
        # One that is lost, and one that is late, end no drain.
        return {'heartbeat': timeout // 3} if timeout else {}

    def _messages_url(self):
        # Guests see the public endpoint, whichever Heat itself uses.
        plugin = self.client_plugin('zaqar')
        endpoint = plugin.url_for(service_type=plugin.MESSAGING,
                                  interface='public').rstrip('/')
        if not endpoint.endswith('/v2'):
            endpoint += '/v2'
        return '%s/queues/%s/messages' % (endpoint, self._queue_name())

    def _pending(self):
        drains = self._drains()
        return (drains.pending() if drains else []) + (
            self._pending_in_senlin() if self.has_senlin() else [])

    def _pending_in_senlin(self):
        client = self.senlin()
        actions = list(_client.waiting_actions(client))
        if not actions:
            return []
        # All nodes at once, because an action does not tell its cluster and a
        # node at a time would cost one request for each drain.
        nodes = {node.id: node for node in client.nodes()}
        guarded = {}
        pending = []
        for action in actions:
            node = nodes.get(action.target_id)
            if node is None:
                continue
            if node.cluster_id not in guarded:
                guarded[node.cluster_id] = self._guards(node.cluster_id)
            if guarded[node.cluster_id]:
                pending.append({
                    'lifecycle_action_token': action.id,
                    'node_id': node.id,
                    'server': node.physical_id,
                    'since': action.created_at,
                })
        return pending


def _age(action):
    """Seconds since an action was begun."""
    return timeutils.delta_seconds(
        timeutils.normalize_time(timeutils.parse_isotime(action.created_at)),
        timeutils.utcnow())


def resource_mapping():
    return {
        'OS::Hooks::LifecycleHook': LifecycleHook,
    }
