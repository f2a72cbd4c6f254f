# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::DrainWaitCondition: keep servers until they have drained."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import check_resource
from heat.engine import function
from heat.engine import properties
from heat.objects import resource as resource_objects
from oslo_log import log as logging

from . import _guard
from . import _resource
from . import _retry
from ._engine import traversal
from .native import _guard as server_guard
from .senlin import _guard as cluster_guard
from .senlin import _service

LOG = logging.getLogger(__name__)


class _Deletion:
    """Hold the state of one attempt to delete a condition.

    :ivar must_drain: whether what is guarded has to drain, None before the
        decision.
    :ivar has_successor: whether another guard of the stack has taken over.
    """

    def __init__(self):
        self.must_drain = None
        self.has_successor = False


class DrainWaitCondition(_resource.HookResource):
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
            problem = _service.problem()
        if problem:
            raise exception.StackValidationFailed(message=problem % self.name)

    def handle_create(self):
        return _retry.Poller(self)

    def check_create_complete(self, poller):
        return poller.poll_once(
            lambda: self._given_guard().attach(self.properties[self.HOOK]))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        after = json_snippet.properties(self.properties_schema, self.context)
        return _retry.Poller(self), after[self.HOOK]

    def check_update_complete(self, args):
        poller, hook = args
        return poller.poll_once(lambda: self._given_guard().attach(hook))

    def handle_delete(self):
        if self.resource_id is None or self._is_guarded_by_another():
            return None
        # The drains have deadlines of their own, which nothing here resets.
        # The deadline of the poller ends this attempt, and the next deletion
        # waits again.
        return _retry.Poller(self), self._attached_guard(), _Deletion()

    def check_delete_complete(self, args):
        if args is None:
            return True
        poller, guard, deletion = args
        return poller.poll_once(lambda: self._release(guard, deletion))

    def handle_check(self):
        self._attached_guard().check()

    def _given_guard(self):
        """Return the guard of what the properties give."""
        if self.SERVER in self.properties.data:
            return server_guard.ServerGuard(self,
                                            self.properties[self.SERVER])
        return cluster_guard.ClusterGuard(self, self.properties[self.CLUSTER])

    def _attached_guard(self):
        """Return the guard of what has the resource ID."""
        if server_guard.IS_SERVER in self.data():
            return server_guard.ServerGuard(self)
        return cluster_guard.ClusterGuard(self)

    def _release(self, guard, deletion):
        """Take one step towards the end of the guard."""
        if deletion.must_drain is None:
            awaited = self._decide(deletion)
            if awaited:
                return awaited
        return guard.release(deletion.must_drain, deletion.has_successor)

    def _decide(self, deletion):
        """Decide whether what is guarded has to drain.

        :returns: what is waited for, None if the decision is made.
        :raises CancelOperation: when the update ends before that; Heat then
            leaves the guard to the next update or to the rollback.
        """
        if self.stack.action == self.stack.DELETE or (
                not self.stack.convergence):
            deletion.must_drain = True
            return None
        current = traversal.Traversal(self.stack)
        rows = current.read()
        unfinished = current.unfinished(rows)
        deletion.must_drain = traversal.must_drain(
            self.stack.owner_id is not None,
            self._sources_deleted(current, rows), bool(unfinished))
        if deletion.must_drain is None:
            if current.is_over():
                raise check_resource.CancelOperation()
            return (_('Resource %s has not been updated yet, so what the '
                      'condition guards may still be replaced.')
                    % min(row.name for row in unfinished))
        if not deletion.must_drain:
            deletion.has_successor = any(
                self._guards_the_same(row) for row in rows.values()
                if current.is_done(row))
            LOG.info('%(name)s: %(guarded)s is not drained, because only its '
                     'guard is removed',
                     {'name': self.name, 'guarded': self.resource_id})
        return None

    def _sources_deleted(self, current, rows):
        """Return whether each resource that provides the ID is deleted.

        :returns: a list, empty if no resource of the stack provides it.
        """
        given = self.t.properties(self.properties_schema, self.context).data
        names = {source.name for source in function.dependencies(
            [given.get(self.SERVER), given.get(self.CLUSTER)])}
        # A resource and its replacement have the same name.
        sources = [row for row in rows.values()
                   if row.id in self.requires and row.name in names]
        if any(row.physical_resource_id != self.resource_id
               for row in sources):
            # The source only hands the ID on, so its own deletion proves
            # nothing.
            return [True]
        # A resource without a row has been deleted already.
        return [current.deletes(row, rows) for row in sources] or (
            [True] * bool(names))

    def _is_guarded_by_another(self):
        """Return True if a twin of this resource guards the same.

        Heat creates a replacement before it deletes what is replaced, and a
        rollback deletes the replacement instead. Neither may drain a cluster
        that stays; only the deletion of the stack ends both.
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
            # A deleted twin guards nothing, though its row is still there.
            if twin.physical_resource_id == self.resource_id and (
                    (twin.action, twin.status)
                    != (self.DELETE, self.COMPLETE)):
                return True
        return False

    def _guards_the_same(self, row):
        return row.physical_resource_id == self.resource_id and any(
            item.key == _guard.Guard.HOOKS for item in row.data)


def resource_mapping():
    return {
        'OS::Hooks::DrainWaitCondition': DrainWaitCondition,
    }
