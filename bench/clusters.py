# SPDX-License-Identifier: Apache-2.0

"""Who scales on a line with Senlin: clusters, and what Senlin knows of them.

`bench.groups` has the same methods for a line without it.
"""

import functools

from bench import context as contexts
from sandbox.services import postgres
from tests.functional import tenant


class Clusters:
    """Clusters of Senlin, one with a hook and one without.

    Senlin's database is asked, which costs Senlin nothing.
    """

    WHO = 'Senlin'
    # What is over at the end of a round, and what it does last.
    STEP = "Senlin's action"
    LAST = "Senlin's last look"

    # Members of a cluster, at the most.
    MOST = 100

    # Services whose requests are counted.
    COUNTED = ('keystone', 'zaqar', 'senlin', 'heat')

    # Rounds in which nobody but Senlin takes any time, and their beginning.
    OWN = (contexts.DIRECT, 'completed_by_us')

    def __init__(self, context):
        self._context = context

    def create(self, user_data):
        """Return {"hooked", "unhooked": cluster, "queue": name of a queue}."""
        stack = self._context.project.create_stack(
            contexts.TEMPLATES / 'clusters.yaml', user_data=user_data)
        return {name: stack.output(name)
                for name in ('hooked', 'unhooked', 'queue')}

    def create_silent(self, size):
        """Return a stack whose servers have no agent."""
        return self._context.project.create_silent(
            size, drain_timeout=tenant.PATIENCE)

    def waiting(self, _size):
        """How often Heat waits, when a stack of so many is deleted."""
        return 1

    def servers(self, cluster_id):
        return [server for server, in self._ask(
            "SELECT physical_id FROM node WHERE cluster_id = %s "
            "AND status = 'ACTIVE'", cluster_id)]

    def resize(self, cluster_id, size):
        """Ask for a size, and return what `ended` takes."""
        answer = self._senlin.post(
            '/clusters/%s/actions' % cluster_id, json={'resize': {
                'adjustment_type': 'EXACT_CAPACITY', 'number': size,
                'min_size': 0, 'strict': False}})
        if not answer.ok:
            raise contexts.BenchError(
                'Senlin does not resize cluster %s: %s'
                % (cluster_id, answer.text))
        return answer.json()['action']

    def ended(self, action_id):
        """Return when an action was over, false as long as it is not."""
        [[status, reason, end]] = self._ask(
            'SELECT status, status_reason, end_time FROM action '
            'WHERE id = %s', action_id)
        if status in ('FAILED', 'CANCELLED'):
            raise contexts.BenchError('Senlin\'s action %s has %s: %s'
                                      % (action_id, status, reason))
        return status == 'SUCCEEDED' and float(end)

    def watch(self, cluster_id):
        return _Nodes(self, dict(self._ask(
            'SELECT id, physical_id FROM node WHERE cluster_id = %s',
            cluster_id)))

    def complete(self, cluster_id, token):
        """Let Senlin go on with a member that waits."""
        self._senlin.post(
            '/clusters/%s/actions' % cluster_id, microversion='1.9',
            json={'complete_lifecycle': {'lifecycle_action_token': token}})

    @property
    def _senlin(self):
        return self._context.project.connection.clustering

    @functools.cached_property
    def _database(self):
        # One for all: PostgreSQL starts a process for each.
        return postgres.connect(self._context.local.cloud, 'senlin')

    def _ask(self, statement, *parameters):
        return postgres.ask(self._database, statement, *parameters)


class _Nodes:
    """What becomes of the nodes of a cluster.

    :param nodes: {ID of the node: ID of its server}.
    """

    def __init__(self, clusters, nodes):
        self._clusters = clusters
        self._nodes = nodes

    def waits(self):
        """Return {token: (server, when it began)} of those that wait now."""
        return {token: (self._nodes[node], float(since))
                for token, node, since in self._clusters._ask(
                    'SELECT id, target, '
                    # When this version of the row was written.
                    'extract(epoch FROM pg_xact_commit_timestamp(xmin)) '
                    'FROM action '
                    "WHERE status = 'WAITING_LIFECYCLE_COMPLETION'")
                if node in self._nodes}

    def ended(self, _gone):
        """Return {server: {event: time}} of those that are members no more."""
        return {self._nodes[node]: {'member_over': float(ended)}
                for node, ended in self._clusters._ask(
                    'SELECT target, end_time FROM action '
                    "WHERE action = 'NODE_DELETE' AND status = 'SUCCEEDED'")
                if node in self._nodes}
