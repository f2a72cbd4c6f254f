# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::LifecycleHook: tell a server that it goes, hear when it may."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes
from heat.engine import constraints
from heat.engine import properties
from heat.engine import resource
from heat.engine.resources import signal_responder
from heat.engine import support
from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions
from oslo_log import log as logging
from oslo_serialization import jsonutils

from . import _senlin
from . import _signals

LOG = logging.getLogger(__name__)


class LifecycleHook(signal_responder.SignalResponder):
    """Let the servers of a Senlin cluster drain before they are deleted.

    When the cluster shrinks, Senlin posts one message per server on the queue
    of this resource and keeps the server. The agent in the server reads the
    queue, lets the application finish, and sends a signal to this resource,
    which tells Senlin to go on. A server that stays silent is deleted when the
    timeout has passed.

    Everything that a guest needs is in the attribute "agent_config"; pass it
    to the user data of the servers. Then let an OS::Hooks::DrainWaitCondition
    refer to both this resource and the cluster: it puts the hook on the
    cluster, and drains the cluster when the stack is deleted.
    """

    default_client_name = 'senlin'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    # A signal changes nothing in the metadata of any resource.
    signal_needs_metadata_updates = False

    PROPERTIES = (
        QUEUE, TIMEOUT, CRITERIA, SIGNAL_TRANSPORT,
    ) = (
        'queue', 'timeout', 'criteria', 'signal_transport',
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

    # The key in resource data for what Zaqar signed: a second call would give
    # another expiry, hence other user data, hence other servers.
    _QUEUE_ACCESS = 'queue_access'

    # Zaqar sets no upper bound. The signature outlives the servers that hold
    # it because an agent that has gone deaf is worse than one that can read
    # the messages of a queue, and the queue goes with this resource.
    _QUEUE_ACCESS_SECONDS = 10 * 365 * 24 * 60 * 60

    # What Senlin, Keystone and the network between us may raise.
    _SERVICE_ERRORS = (
        sdk_exceptions.SDKException,
        ksa_exceptions.ClientException,
        exception.HeatException,
    )

    properties_schema = {
        QUEUE: properties.Schema(
            properties.Schema.STRING,
            _('Name of an existing Zaqar queue for the messages of the hook; '
              'it is never deleted. Left out, the hook makes a queue of its '
              'own and deletes it with itself.'),
            constraints=[constraints.CustomConstraint('zaqar.queue')],
        ),
        TIMEOUT: properties.Schema(
            properties.Schema.INTEGER,
            _('Seconds that a drain may take, from the scale-in to the '
              'deletion of the server whatever happens. All servers that go '
              'in one scale-in share them.'),
            default=300,
            constraints=[constraints.Range(min=1, max=86400)],
        ),
        CRITERIA: properties.Schema(
            properties.Schema.STRING,
            _('Which members of the cluster go first.'),
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
            _('ID of the Senlin policy that carries the hook.'),
            type=attributes.Schema.STRING,
        ),
        AGENT_CONFIG: attributes.Schema(
            _('JSON document with all that an agent needs: signed read access '
              'to the queue, the signal URL and the timeout. It holds '
              'secrets.'),
            type=attributes.Schema.STRING,
        ),
        PENDING: attributes.Schema(
            _('The drains that Senlin waits for now. Each has the keys '
              'lifecycle_action_token, node_id, server and since.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    def handle_create(self):
        # An engine can die between any two steps. Each looks for what it made
        # before, by resource data or by a name that follows from our own UUID.
        super().handle_create()
        self._get_ec2_signed_url(never_expire=True)
        if self._owns_queue():
            # Senlin would make it before the first message, but the agents
            # look long before that.
            self._zaqar().queue(self._own_name(), force_create=True)
        if self._QUEUE_ACCESS not in self.data():
            access = self._queue().signed_url(
                paths=['messages'], methods=['GET'],
                ttl_seconds=self._QUEUE_ACCESS_SECONDS)
            self.data_set(self._QUEUE_ACCESS, jsonutils.dumps(access),
                          redact=True)
        policy = (_senlin.find_policy(self.client(), self._own_name()) or
                  self.client().create_policy(
                      name=self._own_name(),
                      spec=_senlin.deletion_policy_spec(
                          queue=self._queue_name(),
                          timeout=self.properties[self.TIMEOUT],
                          criteria=self.properties[self.CRITERIA])))
        self.resource_id_set(policy.id)

    def handle_signal(self, details=None):
        # The answer to the guest has long been sent, and what is raised here
        # becomes a traceback in the engine's log. So we say what is wrong
        # once in the log for the operator and once as an event for the tenant.
        try:
            return self._complete(_signals.parse(details))
        except _signals.Refused as refusal:
            problem = _('refused: %s.') % refusal
        except self._SERVICE_ERRORS as error:
            problem = (_('lost, to be sent again: %s')
                       % _signals.quote(str(error)))
        # In an except clause oslo.log would add the exception once more.
        LOG.warning('%(name)s: signal %(problem)s',
                    {'name': self.name, 'problem': problem})
        return problem

    def signal(self, details=None, need_check=True):
        return super().signal(self._as_dict(details), need_check)

    def _signal_check_hook(self, details):
        super()._signal_check_hook(self._as_dict(details))

    def handle_delete(self):
        policy_id = self.resource_id
        if policy_id is None:
            # Creation may have ended between making the policy and saying so.
            policy = _senlin.find_policy(self.client(), self._own_name())
            policy_id = policy.id if policy else None
        if policy_id is not None:
            try:
                self.client().delete_policy(policy_id)
            except _senlin.Conflict:
                raise exception.Error(
                    _('%(name)s: the policy %(policy)s is still attached to a '
                      'cluster; take it off with "openstack cluster policy '
                      'detach" and delete the stack again.')
                    % {'name': self.name, 'policy': policy_id})
        if self._owns_queue():
            with self.client_plugin('zaqar').ignore_not_found:
                self._queue().delete()
        self.data_delete(self._QUEUE_ACCESS)
        return super().handle_delete()

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        if name == self.QUEUE_NAME:
            return self._queue_name()
        if name == self.SIGNAL_URL:
            return self._signal_url()
        if name == self.POLICY_ID:
            return self.resource_id
        if name == self.AGENT_CONFIG:
            return self._agent_config()
        if name == self.PENDING:
            return self._pending()

    def _owns_queue(self):
        return not self.properties[self.QUEUE]

    def _own_name(self):
        # The same name for policy and queue; Zaqar allows 64 characters.
        return 'lifecycle-hook-%s' % self.uuid

    def _queue_name(self):
        return self.properties[self.QUEUE] or self._own_name()

    def _queue(self):
        return self._zaqar().queue(self._queue_name(), auto_create=False)

    def _zaqar(self):
        return self.client('zaqar')

    @staticmethod
    def _as_dict(details):
        # Heat looks for the key "unset_hook" in whatever was posted, and
        # fails with a traceback on a number or on a string of these words.
        return details if isinstance(details, dict) else {}

    def _complete(self, signal):
        client = self.client()
        action = _senlin.get_action(client, signal.token)
        # Senlin takes names and short IDs for IDs as well.
        if action is None or action.id != signal.token:
            raise _signals.Refused(
                'Senlin knows no action %s' % _signals.quote(signal.token))
        if action.status != _senlin.WAITING_LIFECYCLE_COMPLETION:
            # The second copy of a signal, or one that came after the timeout.
            LOG.debug('%(name)s: action %(token)s is %(status)s already',
                      {'name': self.name, 'token': signal.token,
                       'status': action.status})
            raise resource.NoActionRequired(
                res_name=self.name, reason='nothing waits for this signal')
        # Senlin looks at nothing but the token, so whose it is, is for us to
        # find out. The cluster comes from the node: the action would only
        # tell it to a newer microversion than openstacksdk asks for.
        node = _senlin.get_node(client, action.target_id)
        if node is None or not self._guards(node.cluster_id):
            raise _signals.Refused(
                'action %s belongs to no cluster with this hook'
                % signal.token)
        _senlin.complete_lifecycle(client, node.cluster_id, signal.token)
        return (_('%(result)s for server %(server)s: %(reason)s.')
                % {'result': signal.result, 'server': node.physical_id,
                   'reason': signal.reason})

    def _guards(self, cluster_id):
        return bool(cluster_id) and _senlin.get_binding(
            self.client(), cluster_id, self.resource_id) is not None

    def _signal_url(self):
        # Asked for a URL without a key, Heat makes a new user for it.
        if 'access_key' not in self.data():
            return None
        return self._get_ec2_signed_url(never_expire=True)

    def _agent_config(self):
        if self._QUEUE_ACCESS not in self.data():
            return None
        access = jsonutils.loads(self.data()[self._QUEUE_ACCESS])
        return jsonutils.dumps({
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
            'timeout': self.properties[self.TIMEOUT],
        })

    def _messages_url(self):
        # Guests see the public endpoint, whichever Heat itself uses.
        plugin = self.client_plugin('zaqar')
        endpoint = plugin.url_for(service_type=plugin.MESSAGING,
                                  interface='public').rstrip('/')
        if not endpoint.endswith('/v2'):
            endpoint += '/v2'
        return '%s/queues/%s/messages' % (endpoint, self._queue_name())

    def _pending(self):
        client = self.client()
        guarded = {}
        pending = []
        for action in _senlin.waiting_actions(client):
            node = _senlin.get_node(client, action.target_id)
            if node is None:
                continue
            cluster_id = node.cluster_id
            if cluster_id not in guarded:
                guarded[cluster_id] = self._guards(cluster_id)
            if guarded[cluster_id]:
                pending.append({
                    'lifecycle_action_token': action.id,
                    'node_id': node.id,
                    'server': node.physical_id,
                    'since': action.created_at,
                })
        return pending


def resource_mapping():
    return {
        'OS::Hooks::LifecycleHook': LifecycleHook,
    }
