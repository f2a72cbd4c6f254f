# SPDX-License-Identifier: Apache-2.0

"""Policies of a hook in Senlin, and signals for the drains of clusters."""

import functools
import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource
from oslo_log import log as logging
from oslo_utils import timeutils

from .. import _retry
from .. import _signal
from .. import _waiter
from . import _attachments
from . import _client
from . import _service

LOG = logging.getLogger(__name__)


class PoliciesWaiter(_waiter.Waiter):
    """Wait for the drains that a deletion policy starts in a cluster."""

    def create(self, properties):
        if not self._policies():
            _client.create_policy(self._senlin(), self._hook.hook_name(),
                                  self._policy_properties(properties))

    def update(self, properties):
        """Take one step on each cluster towards a policy with new values."""
        client = self._senlin()
        hook = self._hook.hook_name()
        wanted = self._policy_properties(properties)
        guarded = []
        for cluster in client.clusters():
            bindings = _client.get_bindings(client, cluster.id)
            own = [b for b in bindings if b.policy_name == hook]
            if not own:
                continue
            self._refuse_update(properties[self._hook.TIMEOUT], cluster,
                                [b for b in bindings if b not in own])
            guarded.append((cluster.id, own))
        busy = []
        for cluster_id, bindings in guarded:
            step = _client.swap(client, hook, wanted, bindings)
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
        if not any(_client.properties_of(policy) == wanted
                   for policy in self._policies()):
            _client.create_policy(client, hook, wanted)
        return self._delete_policies(keep=wanted)

    def missing(self):
        return [] if self._policies() else [_('policy')]

    def remove(self):
        attached = self._delete_policies()
        if attached:
            raise exception.Error(
                _('%(name)s: %(attached)s Delete the stack of that '
                  'cluster first, or take the policy off with "openstack '
                  'cluster policy detach"; then delete this stack again.')
                % {'name': self._hook.name, 'attached': attached})

    def policy_id(self):
        """Return the ID of the newest policy, None if there is none."""
        policies = self._policies()
        return policies[-1].id if policies else None

    def answer(self, signal):
        if signal.result == _signal.HEARTBEAT:
            self._do_nothing('Senlin knows no heartbeat')
        client = self._senlin()
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
                      {'name': self._hook.name, 'token': signal.token,
                       'status': action.status})
            self._do_nothing('nothing waits for this signal')
        # Senlin checks nothing but the token, so the plugin has to check that
        # the action is of a cluster with this hook. The cluster comes from the
        # node, because the action has it only in a newer microversion than
        # openstacksdk requests.
        node = _client.get_node(client, action.target_id)
        if node is None or not self._is_attached(node.cluster_id):
            raise _signal.Refused(
                'action %s belongs to no cluster with this hook'
                % signal.token)
        if kept:
            return _waiter.Answer(None, functools.partial(
                self._restore_capacity, node.cluster_id, 0))
        if given_up:
            try:
                _client.remove_drained_node(client, node.cluster_id, node.id)
            except _client.Overtaken:
                # Its next signal may find the cluster free.
                self._do_nothing('the cluster is busy')
        elif signal.result == _signal.CONTINUE:
            # Retried alone: Senlin may have completed the action when its
            # response is lost, and read again, the action would look as if
            # another request had completed it.
            _retry.retry_on_outage(_client.complete_lifecycle, client,
                                   node.cluster_id, signal.token)
        else:
            _retry.retry_on_outage(self._cancel, action, node)
        return _waiter.Answer(
            self._event_text(signal, action, node),
            None if signal.result == _signal.CONTINUE else functools.partial(
                self._restore_capacity, node.cluster_id,
                # The other drains end at the timeout, and servers are deleted
                # then.
                self._timeout() + _retry.OUTAGE_SECONDS))

    def pending(self):
        client = self._senlin()
        actions = list(_client.waiting_actions(client))
        if not actions:
            return []
        # All nodes in one request, because an action does not name its
        # cluster; otherwise each drain would cost a request.
        nodes = {node.id: node for node in client.nodes()}
        attached = {}
        pending = []
        for action in actions:
            node = nodes.get(action.target_id)
            if node is None:
                continue
            if node.cluster_id not in attached:
                attached[node.cluster_id] = self._is_attached(node.cluster_id)
            if attached[node.cluster_id]:
                pending.append({
                    'lifecycle_action_token': action.id,
                    'node_id': node.id,
                    'server': node.physical_id,
                    'since': action.created_at,
                })
        return pending

    def _senlin(self):
        return _service.client(self._hook)

    def _policies(self):
        return _client.hook_policies(self._senlin(), self._hook.hook_name())

    def _policy_properties(self, properties):
        return _client.hook_properties(
            queue=self._hook.queue_name(),
            timeout=properties[self._hook.TIMEOUT],
            criteria=properties[self._hook.CRITERIA])

    def _refuse_update(self, timeout, cluster, others):
        if timeout >= cluster.timeout:
            raise exception.Error(
                _('%(name)s: "timeout", %(timeout)s seconds, is not below '
                  '%(limit)s seconds, the timeout of cluster %(cluster)s; '
                  'give the cluster a longer one first.')
                % {'name': self._hook.name, 'timeout': timeout,
                   'limit': cluster.timeout, 'cluster': cluster.id})
        if others:
            raise exception.Error(
                _('%(name)s: cluster %(cluster)s has another deletion policy, '
                  '%(policy)s; take it off with "openstack cluster policy '
                  'detach".')
                % {'name': self._hook.name, 'cluster': cluster.id,
                   'policy': others[0].policy_id})

    def _delete_policies(self, keep=None):
        """Delete the policies of this hook, or only those with other values.

        :returns: what is waited for, None if nothing is left to delete.
        """
        for policy in self._policies():
            if keep is not None and _client.properties_of(policy) == keep:
                continue
            try:
                self._senlin().delete_policy(policy.id)
            except _client.Conflict:
                return (_('Policy %s is still attached to a cluster.')
                        % policy.id)

    def _event_text(self, signal, action, node):
        return (_('%(result)s for server %(server)s (%(node)s) after %(took)d '
                  's, by %(who)s: %(reason)s.')
                % {'result': signal.result, 'server': node.physical_id,
                   'node': node.name, 'took': _age(action),
                   'who': self._hook.sender(), 'reason': signal.reason})

    def _was_given_up(self, action):
        """Return True if Senlin has lost a deletion whose guest still signals.

        Senlin fails the actions of an engine that died. The server would
        stay, drained and without clients.
        """
        client, node_id = self._senlin(), action.target_id
        return (action.action == _client.NODE_DELETE and
                _client.was_not_tried(action) and
                # Later the server may have begun something else.
                _age(action) < self._timeout() and
                # There may be another drain, which this guest completes.
                not any(_client.unfinished_actions(client, node_id)) and
                _client.get_node(client, node_id) is not None)

    def _cancel(self, action, node):
        if action.action != _client.NODE_DELETE:
            raise _signal.Refused(
                'server %s cannot be kept, because its cluster stops its '
                'servers before it deletes them; set its '
                '"cluster.stop_node_before_delete" to false'
                % node.physical_id)
        _client.cancel(self._senlin(), action.id)
        after = _client.get_action(self._senlin(), action.id)
        if after is None or after.status != _client.CANCELLED:
            raise _signal.Refused(
                'ROLLBACK for server %s came too late, its deletion has begun'
                % node.physical_id)

    def _restore_capacity(self, cluster_id, wait):
        """Add a member that stays to the desired capacity.

        Senlin lowers the desired capacity when a scale-in begins and leaves
        it there when the scale-in is cancelled, and it takes no other action
        until the last drain of that scale-in is over.

        :param wait: seconds to wait for that. A repeated signal does not
            wait, because the thread of the first one does; if that thread
            died with its engine, the repeated signal does the work.
        """
        end = time.monotonic() + wait
        done = _retry.retry_on_outage(self._count_members, cluster_id)
        while not done and time.monotonic() < end:
            time.sleep(_retry.POLL_SECONDS)
            done = _retry.retry_on_outage(self._count_members, cluster_id)
        if not wait:
            self._do_nothing('the server is kept already')
        if not done:
            return (_('the desired capacity of cluster %s is too low and the '
                      'cluster still busy; set it with "openstack cluster '
                      'resize --capacity".') % cluster_id)
        return (_('the desired capacity of cluster %s counts that server '
                  'again.') % cluster_id)

    def _count_members(self, cluster_id):
        """Take one step towards a capacity that counts all members.

        :returns: whether the capacity is right.
        """
        client = self._senlin()
        cluster = _client.get_cluster(client, cluster_id)
        if (cluster is None or
                cluster.desired_capacity >= len(cluster.node_ids)):
            return True
        try:
            _client.count_members(client, cluster_id)
        except _client.Overtaken:
            pass
        return False

    def _is_attached(self, cluster_id):
        hook = self._hook.hook_name()
        return bool(cluster_id) and _attachments.is_hook_attached(
            hook, cluster_id, lambda: _client.is_hook_attached(
                self._senlin(), cluster_id, hook))

    def _timeout(self):
        return self._hook.properties[self._hook.TIMEOUT]

    def _do_nothing(self, reason):
        raise resource.NoActionRequired(res_name=self._hook.name,
                                        reason=reason)


def _age(action):
    """Return the seconds since an action was started."""
    return timeutils.delta_seconds(
        timeutils.normalize_time(timeutils.parse_isotime(action.created_at)),
        timeutils.utcnow())
