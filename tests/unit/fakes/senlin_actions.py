# SPDX-License-Identifier: Apache-2.0

"""Actions of the fake Senlin."""

from tests.unit.fakes import names

# What an action that does its work comes to.
_DONE = ('SUCCEEDED',)
_NOT_YET = None


class Actions:
    """Let actions of a cluster do their work, a step each time."""

    def _work(self, action_id):
        action = self.actions[action_id]
        # Nobody looks after the children of one that failed.
        orphans = action['status'] == 'FAILED'
        for child in () if orphans else list(action['depends_on']):
            if self.status(child) == names.WAITING and self.guests_answer:
                self.end(child, 'READY')
            self._work(child)
        if action['status'] not in ('READY', 'WAITING'):
            return
        kind = action['action']
        if self.outcomes.get(kind):
            self.end(action_id, *self.outcomes[kind].pop(0))
            return
        work = getattr(self, '_work_' + kind.lower(), lambda action: _DONE)
        outcome = work(action)
        if outcome is not _NOT_YET:
            self.end(action_id, *outcome)

    def _work_cluster_attach_policy(self, action):
        policy = self.policies[action['inputs']['policy_id']]
        for binding in self.bindings_of(action['target']):
            if binding['policy_id'] == policy['id']:
                return _DONE
            if binding['policy_type'] == policy['type']:
                return ('FAILED', 'Only one instance of policy type (%s) can '
                        'be attached to a cluster' % policy['type'])
        self.bind(action['target'], policy['id'],
                  enabled=action['inputs']['enabled'])
        return _DONE

    def _work_cluster_detach_policy(self, action):
        cluster_id = action['target']
        self.bindings = [
            b for b in self.bindings
            if (b['cluster_id'], b['policy_id']) != (
                cluster_id, action['inputs']['policy_id'])]
        self._note_unguarded(cluster_id)
        return _DONE

    def _work_cluster_del_nodes(self, action):
        for node in action['inputs']['nodes']:
            del self.nodes[node]
        self.clusters[action['target']]['desired_capacity'] = len(
            self.nodes_of(action['target']))
        return _DONE

    def _work_cluster_create(self, action):
        return self._grow(action['target'],
                          action['inputs']['desired_capacity'])

    def _work_cluster_update(self, action):
        self.clusters[action['target']].update(action['inputs'])
        return _DONE

    def _work_cluster_delete(self, action):
        for node in self.nodes_of(action['target']):
            del self.nodes[node]
        self.remove_cluster(action['target'])
        return _DONE

    def _work_cluster_resize(self, action):
        inputs = action['inputs']
        cluster = self.clusters[action['target']]
        members = len(self.nodes_of(cluster['id']))
        wanted = inputs.get('number', members)
        if inputs.get('adjustment_type') == 'CHANGE_IN_CAPACITY':
            wanted += members
        for bound in ('min_size', 'max_size'):
            if inputs.get(bound) is not None:
                cluster[bound] = inputs[bound]
        if not inputs['strict'] and 'number' not in inputs:
            wanted = max(wanted, cluster['min_size'])
            if cluster['max_size'] >= 0:
                wanted = min(wanted, cluster['max_size'])
        if action['status'] == 'READY' and wanted > members:
            return self._grow(cluster['id'], wanted)
        return self._drain(action, members - wanted)

    def _grow(self, cluster_id, wanted):
        cluster = self.clusters[cluster_id]
        cluster['desired_capacity'] = wanted
        for _i in range(wanted - len(self.nodes_of(cluster_id))):
            self.add_node(cluster_id, 'ERROR' if self.broken else 'ACTIVE',
                          self.broken)
        self._evaluate(cluster_id)
        if self.broken and not self.overlooks:
            return 'FAILED', 'Failed in creating nodes.'
        return _DONE

    def _evaluate(self, cluster_id):
        cluster = self.clusters[cluster_id]
        active = sum(map(self._is_active, self.nodes_of(cluster_id)))
        cluster['status'] = (
            'ERROR' if active < cluster['min_size'] else
            'WARNING' if active < cluster['desired_capacity'] else 'ACTIVE')
        cluster['status_reason'] = 'there are %d active nodes' % active

    def _work_cluster_scale_in(self, action):
        return self._drain(action, action['inputs']['count'], action['kind'])

    def _drain(self, action, count, kind='NODE_DELETE'):
        """Drain members through the hook, and say when they have gone."""
        cluster_id = action['target']
        if action['status'] == 'READY':
            # Those that have failed go first, and nobody is told.
            nodes = sorted(self.nodes_of(cluster_id), key=self._is_active)
            self.clusters[cluster_id]['desired_capacity'] = len(nodes) - count
            self._note_unguarded(cluster_id)
            action['depends_on'] = [
                self.add_action(kind, node, names.WAITING
                                if self._is_active(node) else 'READY')
                for node in nodes[:count]]
            action['status'] = 'WAITING'
        if action['depends_on']:
            return _NOT_YET
        self._evaluate(cluster_id)
        return _DONE

    def _is_active(self, node_id):
        return self.nodes[node_id]['status'] == 'ACTIVE'

    def _note_unguarded(self, cluster_id):
        if self.nodes_of(cluster_id) and not self.bindings_of(cluster_id):
            self.unguarded.append(cluster_id)
