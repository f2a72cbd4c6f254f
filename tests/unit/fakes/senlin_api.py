# SPDX-License-Identifier: Apache-2.0

"""API of the fake Senlin."""

import collections.abc
from urllib import parse

from tests.unit.fakes import names


class Api:
    """Answer what openstacksdk requests."""

    def _answer(self, request, context):
        url = parse.urlparse(request.url)
        path = url.path.strip('/')
        self.requests.append('%s /%s' % (request.method, path))
        down = self.down
        if isinstance(down, collections.abc.Iterator):
            down = next(down, None)
        if isinstance(down, int):
            return self._error(context, down, 'no database')
        if down is not None:
            raise down
        if path in ('', 'v1'):
            return {'versions': [{
                'id': '1.0', 'status': 'CURRENT', 'min_version': '1.0',
                'max_version': '1.14',
                'links': [{'rel': 'self', 'href': '/v1/'}]}]}
        query = {k: v[-1] for k, v in parse.parse_qs(url.query).items()}
        parts = path.split('/')[1:]
        assert all(parts), 'an empty name in %s' % request.url
        name = '_'.join([request.method.lower()] + parts[::2])
        self.before(request)
        answer = getattr(self, '_' + name)(request, context, query,
                                           *parts[1::2])
        lost = self.after(request)
        if lost:
            return self._error(context, lost, 'no answer')
        if request.method != 'GET':
            self.journal.answered()
        return answer

    def _get_profiles(self, request, context, query, profile_id=None):
        if profile_id is None:
            return {'profiles': [
                p for p in self.profiles.values()
                if query.get('name', p['name']) == p['name']]}
        return self._one('profile', self.profiles, profile_id, context)

    def _post_profiles(self, request, context, query):
        profile = request.json()['profile']
        refusal = self.refusals.pop('profile', None)
        if refusal:
            return self._error(context, *refusal)
        self.journal.append('create profile')
        context.status_code = 201
        return {'profile': self.profiles[self.add_profile(**profile)]}

    def _patch_profiles(self, request, context, query, profile_id):
        self.journal.append('update profile')
        profile = self.profiles[profile_id]
        metadata = request.json()['profile']['metadata']
        if metadata == profile['metadata']:
            return self._error(context, 400, 'No property needs an update.')
        profile['metadata'] = metadata
        return {'profile': profile}

    def _delete_profiles(self, request, context, query, profile_id):
        if profile_id not in self.profiles:
            return self._error(context, 404, 'no profile')
        if any(user['profile_id'] == profile_id for user in
               [*self.clusters.values(), *self.nodes.values()]):
            return self._error(context, 409, 'still referenced')
        self.journal.append('delete profile')
        del self.profiles[profile_id]
        context.status_code = 204

    def _get_policies(self, request, context, query, policy_id=None):
        if policy_id is None:
            # In no order that a client could rely on.
            return {'policies': [p for p in reversed(self.policies.values())
                                 if p['name'] == query.get('name')]}
        return self._one('policy', self.policies, policy_id, context)

    def _post_policies(self, request, context, query):
        policy = request.json()['policy']
        refusal = self.refusals.pop('policy', None)
        if refusal:
            return self._error(context, *refusal)
        spec = policy['spec']
        self.journal.append('create policy')
        policy_id = self.add_policy(
            policy['name'], '%(type)s-%(version)s' % spec,
            **spec['properties'])
        context.status_code = 201
        return {'policy': self.policies[policy_id]}

    def _delete_policies(self, request, context, query, policy_id):
        if policy_id not in self.policies:
            return self._error(context, 404, 'no policy')
        if any(b['policy_id'] == policy_id for b in self.bindings):
            return self._error(context, 409, 'still attached')
        self.journal.append('delete policy')
        del self.policies[policy_id]
        context.status_code = 204

    def _get_clusters(self, request, context, query, cluster_id=None):
        for identity, cluster in self.clusters.items():
            cluster['nodes'] = self.nodes_of(identity)
        if cluster_id is None:
            return {'clusters': [
                c for c in self.clusters.values()
                if query.get('name', c['name']) == c['name']]}
        for cluster in self.clusters.values():
            if cluster['name'] == cluster_id:
                return {'cluster': cluster}
        return self._one('cluster', self.clusters, cluster_id, context)

    def _post_clusters(self, request, context, query):
        values = request.json()['cluster']
        refusal = self.refusals.pop('cluster', None)
        if refusal:
            return self._error(context, *refusal)
        assert values['profile_id'] in self.profiles
        self.journal.append('create cluster')
        # Zero is none to Senlin, and none is any.
        cluster_id = self.add_cluster(
            size=0, **dict(values, status='INIT',
                           max_size=values['max_size'] or -1))
        return self._begin(context, 'CLUSTER_CREATE', cluster_id, values)

    def _patch_clusters(self, request, context, query, cluster_id):
        refusal = self._version_refusal(request, context, '1.6')
        if refusal:
            return refusal
        if self.clusters[cluster_id]['status'] == 'ERROR':
            return self._error(context, 409, 'not supported')
        if self._is_locked(cluster_id):
            self.work()
            return self._error(context, 409, 'already locked')
        values = request.json()['cluster']
        # Without it, Senlin rebuilds the servers.
        assert values.pop('profile_only') is True
        if all(self.clusters[cluster_id][key] == value
               for key, value in values.items()):
            return self._error(context, 400, 'No property needs an update.')
        self.journal.append('update cluster')
        return self._begin(context, 'CLUSTER_UPDATE', cluster_id, values)

    def _delete_clusters(self, request, context, query, cluster_id):
        if cluster_id not in self.clusters:
            return self._error(context, 404, 'no cluster')
        if self.clusters[cluster_id]['status'] == 'DELETING':
            return self._error(context, 409, 'DELETING')
        if self._is_locked(cluster_id):
            self.cut.append(cluster_id)
        self.journal.append('delete cluster')
        return self._begin(context, 'CLUSTER_DELETE', cluster_id, {})

    def _begin(self, context, kind, cluster_id, inputs):
        action_id = self.add_action(kind, cluster_id, inputs=inputs)
        context.status_code = 202
        context.headers['Location'] = '%s/v1/actions/%s' % (names.ENDPOINT,
                                                            action_id)
        return {'cluster': self.clusters[cluster_id]}

    def _get_clusters_attrs(self, request, context, query, cluster_id, path):
        refusal = self._version_refusal(request, context, '1.2')
        if refusal:
            return refusal
        if cluster_id not in self.clusters:
            return self._error(context, 404, 'no cluster')
        if '$' in path:
            return self._error(context, 400, 'Invalid attribute path')
        return {'cluster_attributes': [
            {'id': node, 'value': self.nodes[node][path]}
            for node in self.nodes_of(cluster_id)
            if path in self.nodes[node]]}

    def _get_clusters_policies(self, request, context, query, cluster_id):
        if cluster_id not in self.clusters:
            return self._error(context, 404, 'no cluster')
        return {'cluster_policies': self.bindings_of(cluster_id)}

    def _get_nodes(self, request, context, query, node_id=None):
        if node_id is None:
            if query.get('cluster_id', '') not in ('', *self.clusters):
                # senlin/conductor/service.py, node_list, 16.0.0
                return self._error(context, 400,
                                   'Cannot find the given cluster')
            return {'nodes': [
                node for node in self.nodes.values()
                if all(node[key] == query.get(key, node[key])
                       for key in ('cluster_id', 'status'))]}
        return self._one('node', self.nodes, node_id, context)

    def _get_actions(self, request, context, query, action_id=None):
        if action_id is None:
            filters = parse.parse_qs(parse.urlparse(request.url).query)
            found = [a for a in self.actions.values()
                     if all(a[key] in filters.get(key, [a[key]])
                            for key in ('action', 'status', 'target'))]
            # Let it go on for who waits for it.
            if 'target' in filters:
                self.work()
            return {'actions': found}
        if action_id in self.actions:
            self._work(action_id)
        return self._one('action', self.actions, action_id, context)

    def _patch_actions(self, request, context, query, action_id):
        refusal = self._version_refusal(request, context, '1.14')
        if refusal:
            return refusal
        assert request.json() == {'action': {'status': 'CANCELLED'}}
        if action_id not in self.actions:
            return self._error(context, 404, 'no action')
        if self.status(action_id) in names.FINISHED:
            return self._error(context, 409, 'cannot be cancelled')
        self.journal.append('cancel %s' % action_id)
        # One that runs goes on until it looks for its signals.
        if self.status(action_id) in (names.WAITING, 'INIT'):
            self.end(action_id, 'CANCELLED', 'Action execution cancelled')
        context.status_code = 202
        return {}

    def _post_clusters_actions(self, request, context, query, cluster_id):
        (verb, params), = request.json().items()
        if verb == 'complete_lifecycle':
            refusal = self._version_refusal(request, context, '1.9')
            if refusal:
                return refusal
            # Senlin looks at the token alone.
            token = params['lifecycle_action_token']
            self.journal.append('complete %s' % token)
            if self.status(token) == names.WAITING:
                self.end(token, 'READY')
            context.status_code = 202
            return {'action': token}
        if cluster_id not in self.clusters:
            return self._error(context, 404, 'no cluster')
        refusal = getattr(self, '_refuse_' + verb)(cluster_id, **params)
        if refusal:
            return self._error(context, 400, refusal)
        if self._is_locked(cluster_id):
            self.work()
            return self._error(context, 409, 'already locked')
        kind = 'CLUSTER_' + {'del_nodes': 'DEL_NODES',
                             'policy_attach': 'ATTACH_POLICY',
                             'policy_detach': 'DETACH_POLICY',
                             'resize': 'RESIZE'}[verb]
        self.journal.append(verb)
        context.status_code = 202
        return {'action': self.add_action(kind, cluster_id, inputs=params)}

    def _refuse_policy_attach(self, cluster_id, policy_id, enabled):
        if policy_id not in self.policies:
            return 'The specified policy could not be found.'

    def _refuse_policy_detach(self, cluster_id, policy_id):
        if not any(b['policy_id'] == policy_id
                   for b in self.bindings_of(cluster_id)):
            return 'The policy is not attached to the specified cluster.'

    def _refuse_del_nodes(self, cluster_id, nodes):
        if not set(nodes) <= set(self.nodes_of(cluster_id)):
            return 'The nodes are not members of the cluster.'

    def _refuse_resize(self, cluster_id, strict, adjustment_type=None,
                       number=None, min_size=None, max_size=None):
        if adjustment_type is None:
            return
        wanted = number
        if adjustment_type == 'CHANGE_IN_CAPACITY':
            wanted += len(self.nodes_of(cluster_id))
        if min_size is not None and wanted < min_size:
            return 'The target capacity is less than the specified min_size.'
        if max_size is not None and -1 != max_size < wanted:
            return 'The target capacity is greater than the max_size.'
        if strict and min_size is None and (
                wanted < self.clusters[cluster_id]['min_size']):
            return "The target capacity is less than the cluster's min_size."

    def _is_locked(self, cluster_id):
        return cluster_id in self.locks or any(
            a['target'] == cluster_id and (a['status'] not in names.FINISHED or
                                           a['depends_on'])
            for a in self.actions.values() if a['status'] != 'FAILED')

    def _version_refusal(self, request, context, wanted):
        version = request.headers.get('OpenStack-API-Version')
        if version != 'clustering %s' % wanted:
            return self._error(context, 400, 'unknown at %s' % version)

    def _one(self, key, table, identity, context):
        if identity not in table:
            return self._error(context, 404, 'no %s' % key)
        return {key: table[identity]}

    @staticmethod
    def _error(context, code, message, type_=None):
        context.status_code = code
        context.headers['Content-Type'] = 'application/json'
        return {'error': {'code': code, 'message': message, 'type': type_}}
