# SPDX-License-Identifier: Apache-2.0

"""Senlin and Zaqar as far as the two resources can see them.

They behave as read in Senlin 16.0.0 and python-zaqarclient; the functional
tests meet the real ones.
"""

import itertools
import re
from urllib import parse
import uuid

import fixtures
from openstack import connection
import requests_mock
from requests_mock.contrib import fixture as requests_mock_fixture
from zaqarclient.transport import errors as zaqar_errors

# Not one that Heat or openstacksdk would ever ask for by themselves.
ENDPOINT = 'http://senlin.example.com/v1'

WAITING = 'WAITING_LIFECYCLE_COMPLETION'
DELETION_POLICY = 'senlin.policy.deletion-1.1'


class Senlin(fixtures.Fixture):
    """One project's Senlin, behind the HTTP that openstacksdk speaks.

    Actions of a cluster do their work when their status is asked for, one
    step each time, so that a task which polls comes to an end.
    """

    def __init__(self, journal):
        self.journal = journal
        self.policies = {}
        self.clusters = {}
        self.nodes = {}
        self.actions = {}
        self.bindings = []
        # Tokens that a guest answers as soon as somebody looks.
        self.guests_answer = True
        # An action that holds the lock of a cluster.
        self.locks = {}
        # What the next actions of a kind end with, instead of success.
        self.outcomes = {}
        # Raised by the transport instead of an answer.
        self.down = None

    def _setUp(self):
        http = self.useFixture(requests_mock_fixture.Fixture())
        http.register_uri(requests_mock.ANY,
                          re.compile('^' + re.escape(ENDPOINT)),
                          json=self._answer)

    # What a test arranges.

    def client(self, version=None):
        return connection.Connection(
            auth_type='none', endpoint=ENDPOINT, clustering_api_version='1',
            clustering_endpoint_override=ENDPOINT).clustering

    def add_cluster(self, size=2, timeout=3600):
        cluster_id = _uuid()
        self.clusters[cluster_id] = {
            'id': cluster_id, 'name': 'web', 'timeout': timeout}
        for _i in range(size):
            node_id = _uuid()
            self.nodes[node_id] = {'id': node_id, 'cluster_id': cluster_id,
                                   'physical_id': _uuid()}
        return cluster_id

    def remove_cluster(self, cluster_id):
        del self.clusters[cluster_id]
        self.bindings = [b for b in self.bindings
                         if b['cluster_id'] != cluster_id]

    def add_policy(self, name='other', type_=DELETION_POLICY, **properties):
        policy_id = _uuid()
        kind, _dash, version = type_.rpartition('-')
        self.policies[policy_id] = {
            'id': policy_id, 'name': name, 'type': type_,
            'spec': {'type': kind, 'version': version,
                     'properties': properties}}
        return policy_id

    def add_hook_policy(self, timeout=300):
        return self.add_policy(hooks={
            'type': 'zaqar', 'timeout': timeout, 'params': {'queue': 'q'}})

    def bind(self, cluster_id, policy_id, enabled=True):
        policy = self.policies[policy_id]
        self.bindings.append({
            'id': _uuid(), 'cluster_id': cluster_id, 'policy_id': policy_id,
            'policy_type': policy['type'], 'enabled': enabled})

    def nodes_of(self, cluster_id):
        return [n['id'] for n in self.nodes.values()
                if n['cluster_id'] == cluster_id]

    def add_action(self, action, target, status='READY', **extra):
        action_id = _uuid()
        self.actions[action_id] = dict({
            'id': action_id, 'action': action, 'target': target,
            'status': status, 'status_reason': '',
            'created_at': '2024-05-01T12:00:00Z'}, **extra)
        return action_id

    def wait_for_guest(self, cluster_id, index=0):
        """Let one member of a cluster wait for its guest, as a drain does."""
        node_id = self.nodes_of(cluster_id)[index]
        return self.add_action('NODE_DELETE', node_id, WAITING)

    def status(self, action_id):
        return self.actions[action_id]['status']

    def end(self, action_id, status='SUCCEEDED', reason=''):
        self.actions[action_id].update(status=status, status_reason=reason)

    def only_action(self, kind):
        found = [a for a in self.actions.values() if a['action'] == kind]
        if len(found) != 1:
            raise AssertionError('%d actions %s' % (len(found), kind))
        return found[0]['id']

    # What openstacksdk sees.

    def _answer(self, request, context):
        if self.down is not None:
            raise self.down
        url = parse.urlparse(request.url)
        path = url.path[len(parse.urlparse(ENDPOINT).path):].strip('/')
        if not path:
            return {'version': {
                'id': 'v1', 'status': 'CURRENT', 'min_version': '1.0',
                'max_version': '1.14',
                'links': [{'rel': 'self', 'href': ENDPOINT}]}}
        query = {k: v[-1] for k, v in parse.parse_qs(url.query).items()}
        parts = path.split('/')
        assert all(parts), 'an empty name in %s' % request.url
        name = '_'.join([request.method.lower()] + parts[::2])
        return getattr(self, '_' + name)(request, context, query,
                                         *parts[1::2])

    def _get_policies(self, request, context, query, policy_id=None):
        if policy_id is None:
            return {'policies': [p for p in self.policies.values()
                                 if p['name'] == query.get('name')]}
        return self._one('policy', self.policies, policy_id, context)

    def _post_policies(self, request, context, query):
        policy = request.json()['policy']
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

    def _get_clusters(self, request, context, query, cluster_id):
        if cluster_id in self.clusters:
            self.clusters[cluster_id]['nodes'] = self.nodes_of(cluster_id)
        return self._one('cluster', self.clusters, cluster_id, context)

    def _get_clusters_policies(self, request, context, query, cluster_id):
        if cluster_id not in self.clusters:
            return self._error(context, 404, 'no cluster')
        return {'cluster_policies': [b for b in self.bindings
                                     if b['cluster_id'] == cluster_id]}

    def _get_nodes(self, request, context, query, node_id):
        return self._one('node', self.nodes, node_id, context)

    def _get_actions(self, request, context, query, action_id=None):
        if action_id is None:
            return {'actions': [a for a in self.actions.values()
                                if a['status'] == query.get('status')]}
        if action_id in self.actions:
            self._work(action_id)
        return self._one('action', self.actions, action_id, context)

    def _post_clusters_actions(self, request, context, query, cluster_id):
        (verb, params), = request.json().items()
        if verb == 'complete_lifecycle':
            version = request.headers.get('OpenStack-API-Version')
            if version != 'clustering 1.9':
                return self._error(context, 400, 'unknown at %s' % version)
            # Senlin looks at the token alone.
            token = params['lifecycle_action_token']
            self.journal.append('complete %s' % token)
            if self.status(token) == WAITING:
                self.end(token, 'READY')
            context.status_code = 202
            return {'action': token}
        if cluster_id not in self.clusters:
            return self._error(context, 404, 'no cluster')
        kind = 'CLUSTER_' + {'policy_attach': 'ATTACH_POLICY',
                             'policy_detach': 'DETACH_POLICY',
                             'resize': 'RESIZE'}[verb]
        if cluster_id in self.locks or any(
                a['target'] == cluster_id and a['status'] in ('READY',
                                                              'WAITING')
                for a in self.actions.values()):
            return self._error(context, 409, 'already locked')
        self.journal.append(verb)
        context.status_code = 202
        return {'action': self.add_action(kind, cluster_id, inputs=params)}

    def _one(self, key, table, identity, context):
        if identity not in table:
            return self._error(context, 404, 'no %s' % key)
        return {key: table[identity]}

    @staticmethod
    def _error(context, code, message):
        context.status_code = code
        context.headers['Content-Type'] = 'application/json'
        return {'error': {'code': code, 'message': message}}

    def _work(self, action_id):
        action = self.actions[action_id]
        if action['status'] not in ('READY', 'WAITING'):
            return
        kind = action['action']
        if self.outcomes.get(kind):
            self.end(action_id, *self.outcomes[kind].pop(0))
            return
        cluster_id = action['target']
        if kind == 'CLUSTER_ATTACH_POLICY':
            self.bind(cluster_id, action['inputs']['policy_id'])
        elif kind == 'CLUSTER_DETACH_POLICY':
            self.bindings = [
                b for b in self.bindings
                if (b['cluster_id'], b['policy_id']) != (
                    cluster_id, action['inputs']['policy_id'])]
        elif kind == 'CLUSTER_RESIZE' and not self._drained(action):
            return
        elif kind.startswith('NODE_'):
            self.nodes.pop(action['target'], None)
        self.end(action_id)

    def _drained(self, action):
        """Drain each member through the hook, and say when all have gone."""
        if action['status'] == 'READY':
            action['status'] = 'WAITING'
            action['children'] = [
                self.add_action('NODE_DELETE', node, WAITING)
                for node in self.nodes_of(action['target'])]
            return False
        for child in action['children']:
            if self.status(child) == WAITING and self.guests_answer:
                self.end(child, 'READY')
            self._work(child)
        return all(self.status(c) == 'SUCCEEDED' for c in action['children'])


class Zaqar:
    """The part of zaqarclient's v2 client that the hook may use."""

    PUBLIC = 'http://zaqar.example.com:8888'
    PROJECT = 'b1946ac92492d2347c6235b4d2611184'

    def __init__(self, journal):
        self.journal = journal
        self.queues = set()
        self.endpoint = self.PUBLIC
        self._counter = itertools.count(1)

    def url_for(self, service_type, interface):
        assert (service_type, interface) == ('messaging', 'public')
        return self.endpoint

    def queue(self, name, auto_create=True, force_create=False):
        if force_create:
            self.journal.append('create queue')
            self.queues.add(name)
        return _Queue(self, name)


class _Queue:
    def __init__(self, zaqar, name):
        self._zaqar = zaqar
        self._name = name

    def signed_url(self, paths=None, ttl_seconds=None, methods=None):
        self._zaqar.journal.append('sign queue')
        # No two signatures are the same: the expiry is counted from now.
        number = next(self._zaqar._counter)
        return {'paths': ['/v2/queues/%s/%s' % (self._name, path)
                          for path in paths],
                'methods': methods, 'project': Zaqar.PROJECT,
                'expires': '+%d seconds, call %d' % (ttl_seconds, number),
                'signature': 'queue-secret-%d' % number}

    def delete(self):
        if self._name not in self._zaqar.queues:
            raise zaqar_errors.ResourceNotFound()
        self._zaqar.journal.append('delete queue')
        self._zaqar.queues.remove(self._name)


def _uuid():
    return str(uuid.uuid4())
