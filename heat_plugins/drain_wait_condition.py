# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::DrainWaitCondition: keep servers until they have drained."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import check_resource
from heat.engine import function
from heat.engine import properties
from heat.objects import resource as resource_objects
from oslo_log import log as logging
from oslo_serialization import jsonutils

from . import _resource
from . import _retry
from . import _signal
from ._engine import traversal
from .native import _drains
from .senlin import _client
from .senlin import _resource as cluster_actions

LOG = logging.getLogger(__name__)

_STACK_TIMEOUT = _('the timeout of the stack; give it a longer one with '
                   '"--timeout" (in minutes)')


class _Deletion:
    """State of one attempt to delete a guard.

    :ivar attempts: how often a drain may still be begun.
    :ivar drains: whether what is guarded has to drain, None before the
        decision.
    :ivar has_successor: whether another guard of the stack has taken over.
    """

    def __init__(self, attempts):
        self.attempts = attempts
        self.drains = None
        self.has_successor = False


class DrainWaitCondition(cluster_actions.ClusterActions,
                         _resource.HookResource):
    """Guard a server, or a cluster of Senlin's, until it has drained.

    It refers to what it guards, so Heat deletes it first: it then lets the
    server drain through the hook, or every member of the cluster, and waits.

    In the template of a group's member it guards every way out of the group:
    a scale-in, a rolling update, the deletion of the stack. A server that is
    not running is not asked.

    On a cluster it puts the hook, for Senlin to ask each member that leaves.
    Senlin deletes a cluster without asking its members, so the condition
    empties it before.

    An update that removes or renames the condition, and keeps what it guards,
    drains nothing. It takes the hook off a cluster, unless another condition
    of the stack guards the cluster. The condition stays until Heat has updated
    the rest of the stack, because it may still have to guard a server that is
    replaced.

    That is known of what is given by get_resource of the server or cluster
    itself. An ID that another resource hands on, such as a nested stack or an
    OS::Heat::Value, always drains.

    What is given by a plain ID or a parameter belongs to another stack. It
    drains only when the stack of the condition is deleted; in a nested stack
    also when the condition is removed or replaced, because the outer stack may
    be about to delete it.

    The timeout of the hook must be shorter than the one of the stack, which
    ends the deletion, and than the one of the cluster, which ends the drain
    with the server alive.
    """

    PROPERTIES = (
        HOOK, CLUSTER, SERVER,
    ) = (
        'hook', 'cluster', 'server',
    )

    # Keys in resource data: the hooks that the cluster may have, the wanted
    # one last; what the cluster's minimum size was before we drained it.
    _HOOKS = _drains.GUARD_HOOKS
    _MIN_SIZE = 'min_size'
    # ... and whether the ID of this resource is the one of a server.
    _IS_SERVER = 'is_server'

    # How often a drain is begun anew when Senlin fails in it, be it that a
    # server could not be deleted or that an engine of Senlin's died.
    _ATTEMPTS = 3

    properties_schema = {
        HOOK: properties.Schema(
            properties.Schema.STRING,
            _('The OS::Hooks::LifecycleHook to put on the cluster, by '
              'get_resource. It may live in another stack, where it cannot be '
              'deleted as long as a condition has it.'),
            required=True,
            update_allowed=True,
        ),
        CLUSTER: properties.Schema(
            properties.Schema.STRING,
            _('The Senlin cluster to guard. It must not have another deletion '
              'policy. Exactly one of cluster and server is given.'),
        ),
        SERVER: properties.Schema(
            properties.Schema.STRING,
            _('The single Nova server to guard, by get_resource.'),
        ),
    }

    def validate(self):
        super().validate()
        problem = None
        if (self.properties[self.CLUSTER] is not None and
                self.properties[self.SERVER] is not None):
            problem = _('%s: both "cluster" and "server" are given; give one.')
        # What comes from a resource that is not there yet has no value.
        elif not {self.CLUSTER, self.SERVER} & set(self.properties.data):
            problem = _('%s: neither "cluster" nor "server" is given; give '
                        'one.')
        elif self.CLUSTER in self.properties.data:
            problem = self.no_senlin()
        if problem:
            raise exception.StackValidationFailed(message=problem % self.name)

    def handle_create(self):
        return _retry.Poller(self)

    def check_create_complete(self, poller):
        return poller.poll_once(
            lambda: self._guard(self.properties[self.HOOK]))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        after = json_snippet.properties(self.properties_schema, self.context)
        return _retry.Poller(self), after[self.HOOK]

    def check_update_complete(self, args):
        poller, hook = args
        return poller.poll_once(lambda: self._guard(hook))

    def handle_delete(self):
        if self.resource_id is None or self._is_guarded_by_another():
            return None
        # The drains have clocks of their own, in Senlin, which nothing here
        # resets. This one ends the attempt: who deletes again, waits again.
        return _retry.Poller(self), _Deletion(self._ATTEMPTS)

    def check_delete_complete(self, args):
        if args is None:
            return True
        poller, deletion = args
        return poller.poll_once(lambda: self._release(deletion))

    def handle_check(self):
        if self._IS_SERVER in self.data():
            self._find_drains(self._hooks()[-1])
            return
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

    def _guard(self, hook):
        """Take one step towards a guard with this hook and no other."""
        if self.SERVER in self.properties.data:
            return self._guard_server(hook)
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
        self._refuse_timeout(
            timeout, self.stack.timeout_secs(), _STACK_TIMEOUT)
        hooks = [name for name in self._hooks() if name != hook] + [hook]
        bindings = _client.get_bindings(self.senlin(), cluster.id)
        self._refuse_other_policy(cluster.id, hooks, bindings)
        self._refuse_disabled(bindings)
        # Before anything is done to it: deletion goes by these two.
        self.data_set(self._HOOKS, jsonutils.dumps(hooks))
        if drains is not None:
            drains.add_user(self.stack.root_stack_id())
        if self.resource_id is None:
            self.resource_id_set(cluster.id)
        step = _client.swap(self.senlin(), hook,
                            _client.properties_of(policy), bindings)
        if step is None:
            self.data_set(self._HOOKS, jsonutils.dumps([hook]))
            return None
        self._start(*step)
        return self._busy()

    def _guard_server(self, hook):
        drains = self._find_drains(hook)
        self._refuse_timeout(
            drains.timeout, self.stack.timeout_secs(), _STACK_TIMEOUT)
        # Before anything depends on it: deletion goes by these two.
        self.data_set(self._HOOKS, jsonutils.dumps([hook]))
        drains.add_user(self.stack.root_stack_id())
        self.data_set(self._IS_SERVER, 'yes')
        self.resource_id_set(self.properties[self.SERVER])

    def _find_drains(self, hook):
        drains = _drains.Hook.find(self.context, hook)
        if drains is None:
            raise exception.Error(
                _('%(name)s: "hook" is not an OS::Hooks::LifecycleHook of '
                  'this project, or of an older release: "%(hook)s"; give the '
                  'hook by get_resource, and update its stack if it is older '
                  'than this release.') % {'name': self.name, 'hook': hook})
        return drains

    def _release(self, deletion):
        """Take one step towards the end of the guard."""
        if deletion.drains is None:
            awaited = self._decide(deletion)
            if awaited:
                return awaited
        if self._IS_SERVER not in self.data():
            return self._drain(deletion)
        return self._drain_server() if deletion.drains else None

    def _decide(self, deletion):
        """Decide whether what is guarded has to drain.

        :returns: what is waited for, None if the decision is made.
        :raises CancelOperation: when the update ends before that; Heat then
            leaves the guard to the next update or to the rollback.
        """
        if self.stack.action == self.stack.DELETE or (
                not self.stack.convergence):
            deletion.drains = True
            return None
        current = traversal.Traversal(self.stack)
        rows = current.read()
        unfinished = current.unfinished(rows)
        deletion.drains = traversal.must_drain(
            self.stack.owner_id is not None,
            self._sources_deleted(current, rows), bool(unfinished))
        if deletion.drains is None:
            if current.is_over():
                raise check_resource.CancelOperation()
            return (_('Resource %s has not been updated yet, so what the '
                      'condition guards may still be replaced.')
                    % min(row.name for row in unfinished))
        if not deletion.drains:
            deletion.has_successor = any(
                self._guards_the_same(row) for row in rows.values()
                if current.is_done(row))
            LOG.info('%(name)s: %(guarded)s is not drained, because only its '
                     'guard is removed',
                     {'name': self.name, 'guarded': self.resource_id})
        return None

    def _sources_deleted(self, current, rows):
        """Return whether each resource that provides the ID is deleted."""
        given = self.t.properties(self.properties_schema, self.context).data
        names = {source.name for source in function.dependencies(
            [given.get(self.SERVER), given.get(self.CLUSTER)])}
        # A resource and its replacement have the same name.
        sources = [row for row in rows.values()
                   if row.id in self.requires and row.name in names]
        if any(row.physical_resource_id != self.resource_id
               for row in sources):
            # It only hands the ID on, and says nothing of what has it.
            return [True]
        # A resource without a row has been deleted already.
        return [current.deletes(row, rows) for row in sources] or (
            [True] * bool(names))

    def _drain_server(self):
        """Take one step towards a server that may be deleted."""
        server = self.resource_id
        hooks = self._hooks()
        drains = hooks and _drains.Hook.find(self.context, hooks[-1])
        if not drains:
            LOG.warning('%(name)s: server %(server)s goes without a drain, '
                        'because its hook has gone',
                        {'name': self.name, 'server': server})
            return None
        drain = drains.drains().get(server)
        if drain is None or drain.is_stale:
            if not drains.is_running(self.client_plugin('nova'), server):
                LOG.info('%(name)s: server %(server)s goes without a drain, '
                         'because it is not running',
                         {'name': self.name, 'server': server})
                return None
            drain = drains.begin({server: None})[server]
        if not drain.is_posted:
            drains.post(self.client('zaqar'), [server])
        outcome = drains.outcome(drain)
        if outcome is None:
            return (_('Server %(server)s still drains (token %(token)s).')
                    % {'server': server, 'token': drain.token})
        if drain.over is None:
            drains.finish({server: outcome})
        result, reason = outcome
        if result == _signal.ROLLBACK:
            raise exception.Error(
                _('%(name)s: server %(server)s stays, because of a ROLLBACK '
                  '(%(reason)s); repeat the operation to ask it again.')
                % {'name': self.name, 'server': server, 'reason': reason})
        LOG.info('%(name)s: server %(server)s may go: %(reason)s',
                 {'name': self.name, 'server': server, 'reason': reason})
        return None

    def _drain(self, deletion):
        """Take one step towards a cluster without a hook.

        A cluster that has to drain loses its members first.
        """
        if self.is_left_to_senlin():
            return None
        # The other guard needs the hook on the cluster.
        if deletion.has_successor:
            return None
        if not self._drain_is_over(deletion):
            return self._busy()
        bindings = self._bindings()
        # A cluster that is gone has none either.
        if not bindings:
            return None
        cluster = _client.get_cluster(self.senlin(), self.resource_id)
        if cluster is None:
            return None
        if cluster.node_ids and deletion.drains:
            # Senlin needs Zaqar for this, tries for some seconds, and fails
            # with a reason that does not name it. We wait longer.
            self.client('zaqar').queues(limit=1)
            if self._MIN_SIZE not in self.data():
                self.data_set(self._MIN_SIZE, str(cluster.min_size))
            self._start(_client.remove_every_node)
        else:
            self._start(_client.detach_policy, bindings[0].policy_id)
        return self._busy()

    def _drain_is_over(self, deletion):
        """Whether no drain of ours runs; a failed one is begun anew."""
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
            if untried or (failed and deletion.attempts > 1):
                deletion.attempts -= not untried
                LOG.warning('%(name)s: cluster %(cluster)s: a drain failed '
                            '(%(reason)s) and is begun anew',
                            {'name': self.name, 'cluster': self.resource_id,
                             'reason': action.status_reason})
                # Nobody would ever end those that wait.
                for child in action.depends_on or ():
                    _client.cancel(self.senlin(), child)
                self.data_delete(self._ACTION_ID)
                return True
        return self._action_is_over(action)

    def _stop_draining(self):
        """Leave the cluster as it was, less those that have drained."""
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
        name = self.properties[self.CLUSTER]
        cluster = name and _client.get_cluster(self.senlin(), name)
        if not cluster:
            raise exception.Error(
                _('%(name)s: Senlin knows no cluster "%(cluster)s". From Heat '
                  '23.0.0 on OS::Senlin::Cluster reports success and creates '
                  'nothing; guard clusters with Heat 22 or older.')
                % {'name': self.name, 'cluster': name})
        return cluster

    def _refuse_timeout(self, hook_timeout, limit, whose):
        if hook_timeout >= limit:
            raise exception.Error(
                _('%(name)s: the timeout of the hook, %(timeout)s seconds, is '
                  'not below %(limit)s seconds, %(whose)s.')
                % {'name': self.name, 'timeout': hook_timeout,
                   'limit': limit, 'whose': whose})

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
            # One that is deleted guards nothing, though its row is there.
            if twin.physical_resource_id == self.resource_id and (
                    (twin.action, twin.status)
                    != (self.DELETE, self.COMPLETE)):
                return True
        return False

    def _guards_the_same(self, row):
        return row.physical_resource_id == self.resource_id and any(
            item.key == self._HOOKS for item in row.data)

    def _is_excused(self, action):
        # The latter is left from a creation that failed, which has said so.
        return super()._is_excused(action) or (
            self.action == self.DELETE and
            action.action == _client.ATTACH_POLICY)

    def _hooks(self):
        return jsonutils.loads(self.data().get(self._HOOKS, '[]'))

    def _bindings(self):
        """What is left on the cluster of the hooks we have put there."""
        hooks = self._hooks()
        return [binding for binding in
                _client.get_bindings(self.senlin(), self.resource_id)
                if binding.policy_name in hooks]


def resource_mapping():
    return {
        'OS::Hooks::DrainWaitCondition': DrainWaitCondition,
    }
