# SPDX-License-Identifier: Apache-2.0

"""Senlin and Zaqar as far as our resources can see them.

They behave as read in Senlin 16.0.0 and python-zaqarclient; the functional
tests meet the real ones.
"""

import collections.abc
import itertools
import re
from unittest import mock
from urllib import parse
import uuid

import fixtures
from heat.common import exception as heat_exception
from keystoneauth1 import access
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import fixture as ksa_fixture
from keystoneauth1.identity import access as access_plugin
from keystoneauth1 import session
from openstack.config import cloud_region
from openstack import connection
import requests_mock
from requests_mock.contrib import fixture as requests_mock_fixture
from zaqarclient.transport import errors as zaqar_errors

# Not one that Heat or openstacksdk would ever ask for by themselves.
ENDPOINT = 'http://senlin.example.com'

WAITING = 'WAITING_LIFECYCLE_COMPLETION'
DELETION_POLICY = 'senlin.policy.deletion-1.1'

# What an action that does its work comes to.
_DONE = ('SUCCEEDED',)
_NOT_YET = None
_FINISHED = ('SUCCEEDED', 'FAILED', 'CANCELLED')


class Journal(list):
    """What the services were asked to change, in that order.

    The engine can be made to die when it has changed so many things: before
    the next change, or after the last one and before it hears of it.
    """

    alive_for = None
    hears_of_the_last = True

    def append(self, entry):
        if self.alive_for == 0:
            raise SystemExit
        if self.alive_for is not None:
            self.alive_for -= 1
        super().append(entry)

    def answered(self):
        if self.alive_for == 0 and not self.hears_of_the_last:
            raise SystemExit


class Senlin(fixtures.Fixture):
    """One project's Senlin, behind the HTTP that openstacksdk speaks.

    Actions of a cluster do their work when somebody asks for one or is
    refused because of one, a step each time, so that a task which polls comes
    to an end.
    """

    def __init__(self, journal):
        self.journal = journal
        self.profiles = {}
        self.policies = {}
        self.clusters = {}
        self.nodes = {}
        self.actions = {}
        self.bindings = []
        # A guest answers as soon as somebody looks.
        self.guests_answer = True
        # An action that holds the lock of a cluster.
        self.locks = {}
        # Why no server can be built, if none can.
        self.broken = None
        # Whether it takes an action for done whose servers were not built.
        self.overlooks = False
        # What the next actions of a kind end with, instead of success.
        self.outcomes = {}
        # Raised by the transport, or the status of every answer; or an
        # iterator with one of these, or None, for each request.
        self.down = None
        # Whether Keystone's catalogue knows it.
        self.in_catalogue = True
        # How the creation of a profile or a policy is answered.
        self.refusals = {}
        # What it was asked for, in that order.
        self.requests = []
        # Clusters that were deleted while something else held their lock.
        self.cut = []
        # Clusters that had members when their last binding went.
        self.unguarded = []
        # Called with each request, before and after it takes effect; may
        # return a status to be answered after all.
        self.before = self.after = lambda request: None
        self._clock = itertools.count()

    def _setUp(self):
        self.http = self.useFixture(requests_mock_fixture.Fixture())
        self.http.register_uri(requests_mock.ANY,
                               re.compile('^' + re.escape(ENDPOINT)),
                               json=self._answer)
        # It repeats what was refused, half a second later.
        self.useFixture(fixtures.MonkeyPatch('keystoneauth1.session.time',
                                             mock.Mock()))

    # What a test arranges.

    def client(self, timeout=None):
        """Return a new client, made in the way that Heat makes it."""
        token = ksa_fixture.V3Token()
        token.set_project_scope()
        service = token.add_service(
            'clustering' if self.in_catalogue else 'compute')
        service.add_standard_endpoints(public=ENDPOINT)
        auth = access_plugin.AccessInfoPlugin(
            access.create(body=token, auth_token='token'))
        config = cloud_region.from_session(
            session.Session(auth, timeout=timeout), name='local',
            clustering_api_version='1')
        return connection.Connection(config=config).clustering

    def add_cluster(self, size=2, timeout=3600, min_size=0, **values):
        cluster_id = _uuid()
        self.clusters[cluster_id] = dict({
            'id': cluster_id, 'name': 'web', 'timeout': timeout,
            'desired_capacity': size, 'min_size': min_size, 'max_size': -1,
            'metadata': {}, 'profile_id': None, 'status': 'ACTIVE',
            'status_reason': 'all is well'}, **values)
        for _i in range(size):
            self.add_node(cluster_id)
        return cluster_id

    def add_node(self, cluster_id, status='ACTIVE', reason=None):
        node_id = _uuid()
        self.nodes[node_id] = {
            'id': node_id, 'name': 'node-%s' % node_id[:8],
            'cluster_id': cluster_id, 'physical_id': _uuid(),
            'status': status, 'status_reason': reason,
            'created_at': (None if status == 'ERROR' else
                           '2024-05-01T12:00:00Z'),
            'profile_id': self.clusters[cluster_id]['profile_id']}
        return node_id

    def add_profile(self, name='other', metadata=None, spec=None):
        profile_id = _uuid()
        self.profiles[profile_id] = {
            'id': profile_id, 'name': name, 'spec': spec,
            'metadata': metadata or {}}
        return profile_id

    def remove_cluster(self, cluster_id):
        del self.clusters[cluster_id]
        self.bindings = [b for b in self.bindings
                         if b['cluster_id'] != cluster_id]

    def add_policy(self, name='other', type_=DELETION_POLICY, **properties):
        policy_id = _uuid()
        kind, _dash, version = type_.rpartition('-')
        self.policies[policy_id] = {
            'id': policy_id, 'name': name, 'type': type_,
            'created_at': '2024-05-01T12:00:%02dZ' % next(self._clock),
            'spec': {'type': kind, 'version': version,
                     'properties': properties}}
        return policy_id

    def add_hook_policy(self, name=None, timeout=300, type_=DELETION_POLICY):
        """Make the policy of a hook, and a name for the hook if it has none.

        A hook goes by its name, and so do its policies.
        """
        return self.add_policy(
            name or 'lifecycle-hook-%s' % _uuid(), type_,
            hooks={'type': 'zaqar', 'timeout': timeout,
                   'params': {'queue': 'q'}})

    def add_hook(self, timeout=300):
        """Make a hook and return its name."""
        return self.policies[self.add_hook_policy(timeout=timeout)]['name']

    def policies_of(self, hook):
        return [p for p in self.policies.values() if p['name'] == hook]

    def bind(self, cluster_id, policy_id, enabled=True):
        policy = self.policies[policy_id]
        self.bindings.append({
            'id': _uuid(), 'cluster_id': cluster_id, 'policy_id': policy_id,
            'policy_type': policy['type'], 'policy_name': policy['name'],
            'enabled': enabled})

    def bind_hook(self, cluster_id, hook, **kwargs):
        policy, = self.policies_of(hook)
        self.bind(cluster_id, policy['id'], **kwargs)

    def bindings_of(self, cluster_id):
        return [b for b in self.bindings if b['cluster_id'] == cluster_id]

    def nodes_of(self, cluster_id):
        return [n['id'] for n in self.nodes.values()
                if n['cluster_id'] == cluster_id]

    def add_action(self, action, target, status='READY', **extra):
        action_id = _uuid()
        self.actions[action_id] = dict({
            'id': action_id, 'action': action, 'target': target,
            'status': status, 'status_reason': '', 'depends_on': [],
            'created_at': '2024-05-01T12:00:00Z'}, **extra)
        return action_id

    def wait_for_guest(self, cluster_id, index=0, kind='NODE_DELETE'):
        """Let one member of a cluster wait for its guest, as a drain does."""
        node_id = self.nodes_of(cluster_id)[index]
        return self.add_action(kind, node_id, WAITING)

    def scale_in(self, cluster_id, count=1, kind='NODE_DELETE'):
        """Let members of a cluster drain, and return their tokens."""
        action_id = self.add_action('CLUSTER_SCALE_IN', cluster_id,
                                    inputs={'count': count}, kind=kind)
        self._work(action_id)
        return list(self.actions[action_id]['depends_on'])

    def status(self, action_id):
        return self.actions[action_id]['status']

    def end(self, action_id, status='SUCCEEDED', reason=''):
        """End an action, and tell the one that waits for it."""
        action = self.actions[action_id]
        action.update(status=status, status_reason=reason)
        if status not in _FINISHED:
            return
        if action['action'] == 'NODE_DELETE' and status == 'SUCCEEDED':
            self.nodes.pop(action['target'], None)
        for parent in self.actions.values():
            if action_id in parent['depends_on']:
                parent['depends_on'].remove(action_id)
                # At once, whatever the other children do.
                if status != 'SUCCEEDED' and parent['status'] == 'WAITING':
                    parent.update(status=status, status_reason=reason)

    def only_action(self, kind):
        found = [a for a in self.actions.values() if a['action'] == kind]
        if len(found) != 1:
            raise AssertionError('%d actions %s' % (len(found), kind))
        return found[0]['id']

    def work(self):
        """Let time pass."""
        for action_id in list(self.actions):
            self._work(action_id)

    # What openstacksdk sees.

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
        context.headers['Location'] = '%s/v1/actions/%s' % (ENDPOINT,
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
        if self.status(action_id) in _FINISHED:
            return self._error(context, 409, 'cannot be cancelled')
        self.journal.append('cancel %s' % action_id)
        # One that runs goes on until it looks for its signals.
        if self.status(action_id) in (WAITING, 'INIT'):
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
            if self.status(token) == WAITING:
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
            a['target'] == cluster_id and (a['status'] not in _FINISHED or
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

    def _work(self, action_id):
        action = self.actions[action_id]
        # Nobody looks after the children of one that failed.
        orphans = action['status'] == 'FAILED'
        for child in () if orphans else list(action['depends_on']):
            if self.status(child) == WAITING and self.guests_answer:
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
                self.add_action(kind, node, WAITING if self._is_active(node)
                                else 'READY')
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


class Zaqar:
    """The part of zaqarclient's v2 client that our resources may use."""

    PUBLIC = 'http://zaqar.example.com:8888'
    PROJECT = 'b1946ac92492d2347c6235b4d2611184'

    def __init__(self, journal):
        self.journal = journal
        self.existing = set()
        self.messages = []
        # Requests that have brought them.
        self.posts = 0
        # What it keeps even when the queue is deleted.
        self.subscribed = []
        self.endpoint = self.PUBLIC
        # Raised instead of an answer.
        self.down = None
        self._counter = itertools.count(1)

    def client(self, version=None):
        self.answer()
        return self

    def _get_transport(self, request):
        return mock.Mock(send=self._send)

    def _request_and_transport(self):
        request = mock.Mock(params={})
        return request, self._get_transport(request)

    def _send(self, request):
        """Refuse to remove what the metadata of no queue has."""
        self.answer()
        assert request.operation == 'queue_update'
        if request.params['queue_name'] in self.existing:
            raise zaqar_errors.ConflictError()
        raise zaqar_errors.ResourceNotFound()

    def url_for(self, service_type, interface='public', endpoint_type=None):
        # Heat itself asks for any endpoint, to see whether there is one.
        assert (service_type, interface) == ('messaging', 'public')
        if self.endpoint is None:
            raise ksa_exceptions.EndpointNotFound(
                'public endpoint for messaging service not found')
        return self.endpoint

    def queue(self, name, auto_create=True, force_create=False):
        self.answer()
        if force_create:
            self.journal.append('create queue')
            self.existing.add(name)
        return _Queue(self, name)

    def queues(self, limit=10):
        self.answer()
        return _Listing([_Queue(self, name) for name in sorted(self.existing)],
                        limit), None

    def subscription(self, queue, subscriber, ttl, options):
        self.answer()
        for known in self.subscribed:
            if (known.queue_name, known.subscriber) == (queue, subscriber):
                # To one that is not confirmed Zaqar answers as if it were
                # new, and leaves it as it is.
                raise zaqar_errors.ConflictError()
        self.journal.append('subscribe %s' % subscriber)
        subscription = _Subscription(self, queue, subscriber, ttl, options)
        self.subscribed.append(subscription)
        self.journal.answered()
        return subscription

    def subscriptions(self, queue, limit):
        self.answer()
        # Zaqar refuses more, and lists no more at once.
        assert 0 < limit <= 20
        return _Listing([subscription for subscription in self.subscribed
                         if subscription.queue_name == queue], limit)

    def answer(self):
        if self.down is not None:
            raise self.down


class _Listing(list):
    """An iterator that ends with the first page, unless told to go on."""

    def __init__(self, found, limit):
        super().__init__(found[:limit])
        self._all = found

    def stream(self):
        return iter(self._all)


class _Subscription:
    def __init__(self, zaqar, queue, subscriber, ttl, options):
        self._zaqar = zaqar
        self.queue_name = queue
        self.subscriber = subscriber
        self.ttl = ttl
        self.options = options

    def delete(self):
        self._zaqar.answer()
        if self not in self._zaqar.subscribed:
            raise zaqar_errors.ResourceNotFound()
        self._zaqar.journal.append('unsubscribe %s' % self.subscriber)
        self._zaqar.subscribed.remove(self)
        self._zaqar.journal.answered()


class _Queue:
    def __init__(self, zaqar, name):
        self._zaqar = zaqar
        self.name = name

    def signed_url(self, paths=None, ttl_seconds=None, methods=None):
        self._zaqar.answer()
        self._zaqar.journal.append('sign queue')
        # No two signatures are the same: the expiry is counted from now.
        number = next(self._zaqar._counter)
        return {'paths': ['/v2/queues/%s/%s' % (self.name, path)
                          for path in paths],
                'methods': methods, 'project': Zaqar.PROJECT,
                'expires': '+%d seconds, call %d' % (ttl_seconds, number),
                'signature': 'queue-secret-%d' % number}

    def post(self, messages):
        self._zaqar.answer()
        self._zaqar.posts += 1
        for message in messages:
            self._zaqar.journal.append('post message')
            self._zaqar.messages.append(dict(message, queue=self.name))
        self._zaqar.journal.answered()

    def delete(self):
        self._zaqar.answer()
        if self.name not in self._zaqar.existing:
            raise zaqar_errors.ResourceNotFound()
        self._zaqar.journal.append('delete queue')
        self._zaqar.existing.remove(self.name)


class Nova:
    """The part of Heat's client plugin that our resources may use."""

    def __init__(self):
        # {server: status}
        self.servers = {}
        # Raised instead of an answer.
        self.down = None

    def get_server(self, server):
        if self.down is not None:
            raise self.down
        if server not in self.servers:
            raise heat_exception.EntityNotFound(entity='Server', name=server)
        return mock.Mock(status=self.servers[server])


class Clock:
    """The module time, for who sleeps and looks how long that took."""

    def __init__(self, fixture):
        self._fixture = fixture
        self.slept = 0
        # Called after each sleep: what happens meanwhile.
        self.meanwhile = lambda: None

    def sleep(self, seconds):
        self.slept += seconds
        self._fixture.advance_time_seconds(seconds)
        assert self.slept < 100000, 'a wait without an end'
        self.meanwhile()

    def monotonic(self):
        return self.slept


def _uuid():
    return str(uuid.uuid4())
