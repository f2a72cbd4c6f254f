# SPDX-License-Identifier: Apache-2.0

"""Guard of a Senlin cluster, whose members drain through a policy."""

from heat.common import exception
from heat.common.i18n import _
from oslo_log import log as logging

from .. import _guard
from . import _client
from . import _resource
from . import _service
from ..native import _drains

LOG = logging.getLogger(__name__)


class ClusterGuard(_resource.ClusterActions, _guard.Guard):
    """Guard a cluster: put the hook on it, and empty it before its deletion.

    :param cluster: name or ID of the cluster, before the guard has been
        attached.
    """

    # The key in resource data for the minimum size that the cluster had before
    # the guard began to drain it.
    _MIN_SIZE = 'min_size'

    # How often a drain is started in all when it fails, because a server could
    # not be deleted or an engine of Senlin died.
    _ATTEMPTS = 3

    def __init__(self, condition, cluster=None):
        super().__init__(condition)
        self._cluster = cluster
        self._attempts = self._ATTEMPTS

    def senlin(self):
        """Return the client of Senlin."""
        return _service.client(self._condition)

    def attach(self, hook):
        if not self._action_is_over():
            return self._busy()
        policy = self._find_hook(hook)
        drains = _drains.Hook.find(self.context, hook)
        if drains is not None and not drains.suits_senlin:
            raise exception.Error(
                _('%(name)s: a cluster cannot have a hook with '
                  '"heartbeat_timeout" or with a "default_result" of '
                  'ROLLBACK, of which Senlin knows nothing; leave them out.')
                % {'name': self.name})
        cluster = self._find_cluster()
        timeout = _client.hook_timeout(policy)
        self._refuse_timeout(
            timeout, cluster.timeout,
            _('the timeout of cluster %s; give the cluster a longer one')
            % cluster.id)
        self._refuse_stack_timeout(timeout)
        hooks = [name for name in self._hooks() if name != hook] + [hook]
        bindings = _client.get_bindings(self.senlin(), cluster.id)
        self._refuse_other_policy(cluster.id, hooks, bindings)
        self._refuse_disabled(bindings)
        # Before anything is done to it: deletion goes by these two.
        self._set_hooks(hooks)
        if drains is not None:
            self._add_user(drains)
        if self.resource_id is None:
            self._condition.resource_id_set(cluster.id)
        step = _client.swap(self.senlin(), hook,
                            _client.properties_of(policy), bindings)
        if step is None:
            self._set_hooks([hook])
            return None
        self._start(*step)
        return self._busy()

    def check(self):
        cluster = self.resource_id and _client.get_cluster(self.senlin(),
                                                           self.resource_id)
        if not cluster:
            raise exception.Error(
                _('%(name)s: cluster %(cluster)s is gone; update the stack '
                  'with another cluster, or delete it.')
                % {'name': self.name, 'cluster': self.resource_id})
        bindings = self._bindings()
        if not bindings:
            raise exception.Error(
                _('%(name)s: cluster %(cluster)s has lost its hook, and its '
                  'servers go without a drain; update the stack to put it '
                  'back.') % {'name': self.name, 'cluster': cluster.id})
        self._refuse_disabled(bindings)

    def release(self, must_drain, has_successor):
        """Take one step towards a cluster without a hook.

        A cluster that has to drain loses its members first.
        """
        if _service.is_left_behind(self._condition):
            return None
        # The other guard needs the hook on the cluster.
        if has_successor:
            return None
        if not self._drain_is_over():
            return self._busy()
        bindings = self._bindings()
        # A cluster that is gone has none either.
        if not bindings:
            return None
        cluster = _client.get_cluster(self.senlin(), self.resource_id)
        if cluster is None:
            return None
        if cluster.node_ids and must_drain:
            # Senlin needs Zaqar for this, retries for some seconds, and fails
            # with a reason that does not name it. A poll loop waits longer.
            self._condition.client('zaqar').queues(limit=1)
            if self._MIN_SIZE not in self.data():
                self.data_set(self._MIN_SIZE, str(cluster.min_size))
            self._start(_client.remove_every_node)
        else:
            self._start(_client.detach_policy, bindings[0].policy_id)
        return self._busy()

    def _drain_is_over(self):
        """Return True if no drain of this guard runs.

        A drain that has failed is started again.
        """
        action = self._followed_action()
        if action is not None and action.action == _client.RESIZE:
            if action.status == _client.CANCELLED:
                # It ends the moment one guest refuses to go, while the other
                # guests still drain.
                if not action.depends_on:
                    self._stop_draining()
                return False
            untried = _client.was_not_tried(action)
            failed = action.status == _client.FAILED
            if untried or (failed and self._attempts > 1):
                self._attempts -= not untried
                LOG.warning('%(name)s: cluster %(cluster)s: a drain failed '
                            '(%(reason)s) and is begun anew',
                            {'name': self.name, 'cluster': self.resource_id,
                             'reason': action.status_reason})
                # Nothing else would ever end the actions that wait.
                for child in action.depends_on or ():
                    _client.cancel(self.senlin(), child)
                self.data_delete(self._ACTION_ID)
                return True
        return self._action_is_over(action)

    def _stop_draining(self):
        """Leave the cluster as it was, less the members that have drained."""
        cluster = _client.get_cluster(self.senlin(), self.resource_id)
        if cluster is not None:
            min_size = int(self.data().get(self._MIN_SIZE, 0))
            try:
                _client.count_members(self.senlin(), cluster.id,
                                      min(min_size, len(cluster.node_ids)))
            except _client.Overtaken:
                return
        self.data_delete(self._MIN_SIZE)
        self.data_delete(self._ACTION_ID)
        if cluster is None:
            return
        raise exception.Error(
            _('%(name)s: %(members)s members of cluster %(cluster)s stay, '
              'because a guest answered ROLLBACK (see the events of the hook) '
              'or the action was cancelled; delete the stack again to ask '
              'them again.')
            % {'name': self.name, 'cluster': self.resource_id,
               'members': len(cluster.node_ids)})

    def _find_hook(self, hook):
        """Return the policy of a hook, the newest if it is being updated."""
        policies = _client.hook_policies(self.senlin(), hook)
        if not policies:
            raise exception.Error(
                _('%(name)s: "hook" is not an OS::Hooks::LifecycleHook: '
                  'Senlin knows no deletion policy with a Zaqar hook by the '
                  'name "%(hook)s"; give the hook by get_resource.')
                % {'name': self.name, 'hook': hook})
        return policies[-1]

    def _find_cluster(self):
        name = self._cluster
        cluster = name and _client.get_cluster(self.senlin(), name)
        if not cluster:
            raise exception.Error(
                _('%(name)s: Senlin knows no cluster "%(cluster)s". From Heat '
                  '23.0.0 on OS::Senlin::Cluster reports success and creates '
                  'nothing; guard clusters with Heat 22 or older.')
                % {'name': self.name, 'cluster': name})
        return cluster

    def _refuse_other_policy(self, cluster_id, hooks, bindings):
        for binding in bindings:
            if binding.policy_name not in hooks:
                raise exception.Error(
                    _('%(name)s: cluster %(cluster)s has another deletion '
                      'policy, %(policy)s, and Senlin allows one; take it off '
                      'with "openstack cluster policy detach".')
                    % {'name': self.name, 'cluster': cluster_id,
                       'policy': binding.policy_id})

    def _refuse_disabled(self, bindings):
        for binding in bindings:
            if not binding.is_enabled:
                raise exception.Error(
                    _('%(name)s: the hook %(policy)s is on cluster '
                      '%(cluster)s, but switched off; switch it on with '
                      '"openstack cluster policy binding update".')
                    % {'name': self.name, 'policy': binding.policy_id,
                       'cluster': binding.cluster_id})

    def _is_excused(self, action):
        # The latter is left from a creation that failed, which has reported
        # it.
        return super()._is_excused(action) or (
            self._condition.action == self._condition.DELETE and
            action.action == _client.ATTACH_POLICY)

    def _bindings(self):
        """Return what the cluster has of the hooks of this guard."""
        hooks = self._hooks()
        return [binding for binding in
                _client.get_bindings(self.senlin(), self.resource_id)
                if binding.policy_name in hooks]
