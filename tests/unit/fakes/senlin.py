# SPDX-License-Identifier: Apache-2.0

"""Senlin of one project, behind the HTTP that openstacksdk speaks."""

import itertools
import re
from unittest import mock

import fixtures
from keystoneauth1 import access
from keystoneauth1 import fixture as ksa_fixture
from keystoneauth1.identity import access as access_plugin
from keystoneauth1 import session
from openstack.config import cloud_region
from openstack import connection
import requests_mock
from requests_mock.contrib import fixture as requests_mock_fixture

from tests.unit.fakes import names
from tests.unit.fakes import senlin_actions
from tests.unit.fakes import senlin_api


class Senlin(senlin_api.Api, senlin_actions.Actions, fixtures.Fixture):
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
                               re.compile('^' + re.escape(names.ENDPOINT)),
                               json=self._answer)
        # It repeats what was refused, half a second later.
        self.useFixture(fixtures.MonkeyPatch('keystoneauth1.session.time',
                                             mock.Mock()))

    def client(self, timeout=None):
        """Return a new client, made in the way that Heat makes it."""
        token = ksa_fixture.V3Token()
        token.set_project_scope()
        service = token.add_service(
            'clustering' if self.in_catalogue else 'compute')
        service.add_standard_endpoints(public=names.ENDPOINT)
        auth = access_plugin.AccessInfoPlugin(
            access.create(body=token, auth_token='token'))
        config = cloud_region.from_session(
            session.Session(auth, timeout=timeout), name='local',
            clustering_api_version='1')
        return connection.Connection(config=config).clustering

    def add_cluster(self, size=2, timeout=3600, min_size=0, **values):
        cluster_id = names.make_uuid()
        self.clusters[cluster_id] = dict({
            'id': cluster_id, 'name': 'web', 'timeout': timeout,
            'desired_capacity': size, 'min_size': min_size, 'max_size': -1,
            'metadata': {}, 'profile_id': None, 'status': 'ACTIVE',
            'status_reason': 'all is well'}, **values)
        for _i in range(size):
            self.add_node(cluster_id)
        return cluster_id

    def add_node(self, cluster_id, status='ACTIVE', reason=None):
        node_id = names.make_uuid()
        self.nodes[node_id] = {
            'id': node_id, 'name': 'node-%s' % node_id[:8],
            'cluster_id': cluster_id, 'physical_id': names.make_uuid(),
            'status': status, 'status_reason': reason,
            'created_at': (None if status == 'ERROR' else
                           '2024-05-01T12:00:00Z'),
            'profile_id': self.clusters[cluster_id]['profile_id']}
        return node_id

    def add_profile(self, name='other', metadata=None, spec=None):
        profile_id = names.make_uuid()
        self.profiles[profile_id] = {
            'id': profile_id, 'name': name, 'spec': spec,
            'metadata': metadata or {}}
        return profile_id

    def remove_cluster(self, cluster_id):
        del self.clusters[cluster_id]
        self.bindings = [b for b in self.bindings
                         if b['cluster_id'] != cluster_id]

    def add_policy(self, name='other', type_=names.DELETION_POLICY,
                   **properties):
        policy_id = names.make_uuid()
        kind, _dash, version = type_.rpartition('-')
        self.policies[policy_id] = {
            'id': policy_id, 'name': name, 'type': type_,
            'created_at': '2024-05-01T12:00:%02dZ' % next(self._clock),
            'spec': {'type': kind, 'version': version,
                     'properties': properties}}
        return policy_id

    def add_hook_policy(self, name=None, timeout=300,
                        type_=names.DELETION_POLICY):
        """Make the policy of a hook, and a name for the hook if it has none.

        A hook goes by its name, and so do its policies.
        """
        return self.add_policy(
            name or 'lifecycle-hook-%s' % names.make_uuid(), type_,
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
            'id': names.make_uuid(), 'cluster_id': cluster_id,
            'policy_id': policy_id,
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
        action_id = names.make_uuid()
        self.actions[action_id] = dict({
            'id': action_id, 'action': action, 'target': target,
            'status': status, 'status_reason': '', 'depends_on': [],
            'created_at': '2024-05-01T12:00:00Z'}, **extra)
        return action_id

    def wait_for_guest(self, cluster_id, index=0, kind='NODE_DELETE'):
        """Let one member of a cluster wait for its guest, as a drain does."""
        node_id = self.nodes_of(cluster_id)[index]
        return self.add_action(kind, node_id, names.WAITING)

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
        if status not in names.FINISHED:
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
