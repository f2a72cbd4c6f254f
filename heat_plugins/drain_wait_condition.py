# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::DrainWaitCondition: keep a cluster until its members drained."""

import datetime

from heat.common import exception
from heat.common.i18n import _
from heat.engine import properties
from heat.engine import resource
from heat.engine import support
from heat.objects import resource as resource_objects
from oslo_log import log as logging
from oslo_utils import timeutils

from . import _senlin

LOG = logging.getLogger(__name__)


class DrainWaitCondition(resource.Resource):
    """Put a lifecycle hook on a cluster, and drain it before it is deleted.

    Senlin deletes a cluster without asking its members. This resource refers
    to the cluster, so Heat deletes it first: it then lets every member drain
    through the hook, waits, and leaves an empty cluster behind.

    Each hook message is answered within the timeout of the hook, so that
    timeout must be shorter than the one of the cluster, which ends the drain
    with the server alive, and shorter than the one of the stack, which ends
    the deletion.
    """

    default_client_name = 'senlin'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    PROPERTIES = (
        HOOK, CLUSTER,
    ) = (
        'hook', 'cluster',
    )

    # Keys in resource data. The cluster is written before anything is done to
    # it, and deletion goes by it; the action is the one of Senlin's we follow.
    _CLUSTER_ID = 'cluster_id'
    _POLICY_ID = 'policy_id'
    _ACTION_ID = 'action_id'

    # Senlin itself looks at a drain every three seconds.
    _POLL_PERIOD = 3

    # Heat's own end of a wait says "Timed out" and nothing else, so ours comes
    # first.
    _LAST_WORD = 10

    properties_schema = {
        HOOK: properties.Schema(
            properties.Schema.STRING,
            _('The OS::Hooks::LifecycleHook to put on the cluster, by '
              'get_resource. It may live in another stack.'),
            required=True,
        ),
        CLUSTER: properties.Schema(
            properties.Schema.STRING,
            _('The Senlin cluster to guard. It must not have another deletion '
              'policy.'),
            required=True,
        ),
    }

    def handle_create(self):
        policy, hook_timeout = self._find_hook()
        cluster = self._find_cluster()
        self._refuse_timeout(
            hook_timeout, cluster.timeout,
            _('the timeout of cluster %s; give the cluster a longer one')
            % cluster.id)
        self._refuse_timeout(
            hook_timeout, self.stack.timeout_secs(),
            _('the timeout of the stack; give it a longer one with '
              '"--timeout" (in minutes)'))
        self._refuse_other_policy(cluster.id, policy.id)
        self.data_set(self._POLICY_ID, policy.id)
        self.data_set(self._CLUSTER_ID, cluster.id)
        return self._deadline()

    def check_create_complete(self, deadline):
        if self._action_is_over():
            binding = self._binding()
            if binding is not None:
                self.resource_id_set(binding.id)
                return True
            self._start(_senlin.attach_policy, self._policy_id())
        self._look_again(deadline)

    def handle_delete(self):
        if self._cluster_id() is None or self._is_guarded_by_another():
            return None
        # The drains have clocks of their own, in Senlin, which nothing here
        # resets. This one ends the attempt: who deletes again, waits again.
        return self._deadline()

    def check_delete_complete(self, deadline):
        if deadline is None:
            return True
        if self._action_is_over():
            cluster = _senlin.get_cluster(self.client(), self._cluster_id())
            # A cluster that is gone has no binding either.
            if self._binding() is None:
                return True
            if cluster.node_ids:
                self._start(_senlin.remove_every_node)
            else:
                self._start(_senlin.detach_policy, self._policy_id())
        self._look_again(deadline)

    def _find_hook(self):
        policy = _senlin.get_policy(self.client(), self.properties[self.HOOK])
        timeout = policy and _senlin.hook_timeout(policy)
        if not timeout:
            raise exception.Error(
                _('%(name)s: "hook" is not an OS::Hooks::LifecycleHook: '
                  'Senlin knows no deletion policy with a Zaqar hook by '
                  '"%(hook)s".')
                % {'name': self.name, 'hook': self.properties[self.HOOK]})
        return policy, timeout

    def _find_cluster(self):
        cluster = _senlin.get_cluster(self.client(),
                                      self.properties[self.CLUSTER])
        if cluster is None:
            raise exception.Error(
                _('%(name)s: Senlin knows no cluster "%(cluster)s". From Heat '
                  '23.0.0 on OS::Senlin::Cluster reports success and creates '
                  'nothing; guard clusters with Heat 22 or older.')
                % {'name': self.name,
                   'cluster': self.properties[self.CLUSTER]})
        return cluster

    def _refuse_timeout(self, hook_timeout, limit, whose):
        if hook_timeout >= limit:
            raise exception.Error(
                _('%(name)s: the timeout of the hook, %(timeout)s seconds, is '
                  'not below %(limit)s seconds, %(whose)s.')
                % {'name': self.name, 'timeout': hook_timeout,
                   'limit': limit, 'whose': whose})

    def _refuse_other_policy(self, cluster_id, policy_id):
        for binding in _senlin.get_bindings(self.client(), cluster_id):
            if binding.policy_id == policy_id:
                if not binding.is_enabled:
                    raise exception.Error(
                        _('%(name)s: the hook %(policy)s is on cluster '
                          '%(cluster)s, but switched off; switch it on with '
                          '"openstack cluster policy binding update".')
                        % {'name': self.name, 'policy': policy_id,
                           'cluster': cluster_id})
            elif _senlin.is_deletion_policy(binding):
                raise exception.Error(
                    _('%(name)s: cluster %(cluster)s has another deletion '
                      'policy, %(policy)s, and Senlin allows one; take it off '
                      'with "openstack cluster policy detach".')
                    % {'name': self.name, 'cluster': cluster_id,
                       'policy': binding.policy_id})

    def _is_guarded_by_another(self):
        """Whether a twin of this resource carries on with the same cluster.

        A replacement is made before the replaced one goes, and a rollback
        deletes it instead. Neither may drain a cluster that stays; only the
        deletion of the stack ends both.
        """
        if self.stack.action == self.stack.DELETE:
            return False
        for twin_id in (self.replaced_by, self.replaces):
            if twin_id is None:
                continue
            try:
                twin = resource_objects.Resource.get_obj(self.context, twin_id)
            except exception.NotFound:
                continue
            data = {item.key: item.value for item in twin.data}
            if (data.get(self._CLUSTER_ID) == self._cluster_id() and
                    data.get(self._POLICY_ID) == self._policy_id()):
                return True
        return False

    def _deadline(self):
        wait = max(self.stack.timeout_secs() - self._LAST_WORD, 0)
        return timeutils.utcnow() + datetime.timedelta(seconds=wait)

    def _look_again(self, deadline):
        if timeutils.utcnow() < deadline:
            raise resource.PollDelay(self._POLL_PERIOD)
        raise exception.Error(
            _('%(name)s: cluster %(cluster)s is still busy (action '
              '%(action)s) after the %(timeout)s seconds of the stack '
              'timeout. Drains go on; repeat the operation, with a longer '
              '"--timeout" (in minutes) if there is one.')
            % {'name': self.name, 'cluster': self._cluster_id(),
               'action': self.data().get(self._ACTION_ID, _('of others')),
               'timeout': self.stack.timeout_secs()})

    def _action_is_over(self):
        """Whether the action we follow, if any, is out of the way.

        An action that failed for lack of the lock is tried again by whoever
        asks; any other failure is raised.
        """
        action_id = self.data().get(self._ACTION_ID)
        if action_id is None:
            return True
        action = _senlin.get_action(self.client(), action_id)
        if action is not None and not _senlin.has_finished(action):
            return False
        self.data_delete(self._ACTION_ID)
        if (action is None or action.status == _senlin.SUCCEEDED or
                _senlin.lost_race_for_lock(action)):
            return True
        if (self.action == self.DELETE and
                action.action == _senlin.ATTACH_POLICY):
            # Left over from a creation that failed, which has said so.
            return True
        raise exception.Error(
            _('%(name)s: Senlin ended %(what)s of cluster %(cluster)s as '
              '%(status)s: %(reason)s. See "openstack cluster action show '
              '%(action)s", then repeat the operation.')
            % {'name': self.name, 'what': action.action,
               'cluster': self._cluster_id(), 'status': action.status,
               'reason': action.status_reason, 'action': action_id})

    def _start(self, operation, *args):
        """Start an action of the cluster, unless another holds its lock.

        Dying before the action is written down is harmless: Senlin refuses a
        second one until the first is over, and then there is nothing to do.
        """
        try:
            action_id = operation(self.client(), self._cluster_id(), *args)
        except _senlin.Conflict:
            return
        self.data_set(self._ACTION_ID, action_id)
        LOG.info('%(name)s: cluster %(cluster)s: %(operation)s is action '
                 '%(action)s',
                 {'name': self.name, 'cluster': self._cluster_id(),
                  'operation': operation.__name__, 'action': action_id})

    def _binding(self):
        return _senlin.get_binding(self.client(), self._cluster_id(),
                                   self._policy_id())

    def _cluster_id(self):
        return self.data().get(self._CLUSTER_ID)

    def _policy_id(self):
        return self.data().get(self._POLICY_ID)


def resource_mapping():
    return {
        'OS::Hooks::DrainWaitCondition': DrainWaitCondition,
    }
