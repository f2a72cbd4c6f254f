# SPDX-License-Identifier: Apache-2.0

"""What a tenant does with the local cloud, in the words of the tests."""

import json
import pathlib
import time
import uuid

from heatclient import client as heat_client
from heatclient.common import template_utils
from heatclient import exc as heat_exceptions
import requests

from sandbox import bootstrap
from sandbox import clients
from sandbox import cloud
from sandbox.services import zaqar

TEMPLATES = pathlib.Path(__file__).with_name('templates')
LIBRARY = cloud.REPO / 'templates'

# Seconds until a test gives up waiting: no measure, only an end.
PATIENCE = 180


def wait_for(what, condition, patience=PATIENCE):
    """Return the first true value of a condition, or fail."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, 'waited in vain for %s' % what
        time.sleep(0.2)


class Tenant:
    """A project of the local cloud."""

    def __init__(self, local, name='sandbox'):
        self.local = local
        self.connection = clients.connect(local.cloud, name)
        self.heat = heat_client.Client(
            '1', session=self.connection.session,
            endpoint_type='public', service_type='orchestration')
        self._stacks = []

    # Stacks

    def create_stack(self, template, wait=True, timeout_mins=10,
                     environments=(), **parameters):
        """Create a stack and return it, complete."""
        files, body = template_utils.get_template_contents(str(template))
        env_files, environment = (
            template_utils.process_multiple_environments_and_files(
                [str(path) for path in environments]))
        created = self.heat.stacks.create(
            stack_name='test-' + uuid.uuid4().hex[:8], template=body,
            files={**files, **env_files}, environment=environment,
            parameters=parameters, timeout_mins=timeout_mins)['stack']
        stack = Stack(self, created['id'])
        self._stacks.append(stack)
        if wait:
            stack.wait('CREATE_COMPLETE')
        return stack

    def create_silent(self, size=1, drain_timeout=60, wait=True, **options):
        """A cluster whose servers have no agent."""
        return self.create_stack(
            TEMPLATES / 'silent_cluster.yaml', wait=wait, size=size,
            drain_timeout=drain_timeout, **options)

    def create_gated(self, size):
        """A cluster of the library whose handlers wait for `release`."""
        return self.create_stack(
            LIBRARY / 'lifecycle_cluster.yaml',
            image=bootstrap.IMAGE, flavor=bootstrap.FLAVOR,
            network=bootstrap.NETWORK, min_size=0, max_size=5,
            desired_capacity=size, drain_timeout=PATIENCE,
            user_data=(TEMPLATES / 'gate.sh').read_text(),
            # Nothing is ever measured, so no alarm fires.
            metric='none', metric_resource_id=str(uuid.uuid4()),
            scale_out_threshold=100, scale_in_threshold=0)

    def delete_stacks(self):
        for stack in self._stacks:
            stack.start_delete()
        for stack in self._stacks:
            # Whatever a failed test left waiting may go.
            wait_for('the deletion of %s' % stack.id,
                     lambda s=stack: s.end_drains() or s.is_gone())

    # Servers and their guests

    def servers(self):
        """Return {ID: status} of all servers of the project."""
        return {s.id: s.status for s in self.connection.compute.servers()}

    def guest(self, server):
        """Folder of the guest of a server, from the outside."""
        return self.local.cloud.guests / server

    def is_draining(self, server):
        return (self.guest(server) / 'var/lib/draining').exists()

    def release(self, server):
        """Let the drain handler of a gated server finish."""
        folder = self.guest(server) / 'var/lib'
        if folder.exists():
            (folder / 'release').touch()

    def queue_exists(self, name):
        answer = self.connection.session.get(
            self.local.cloud.url(zaqar.PORT, '/v2/queues'),
            headers={'Client-ID': str(uuid.uuid4())})
        return name in [q['name'] for q in answer.json()['queues']]


class Stack:
    """A stack with a cluster and a hook in it."""

    def __init__(self, project, stack_id):
        self.project = project
        self.id = stack_id
        self._senlin = project.connection.clustering

    def _show(self):
        return self.project.heat.stacks.get(self.id)

    def wait(self, status):
        def reached():
            stack = self._show()
            assert 'FAILED' not in stack.stack_status or (
                stack.stack_status == status), stack.stack_status_reason
            return stack.stack_status == status
        wait_for('%s of %s' % (status, self.id), reached)

    def is_gone(self):
        try:
            return self._show().stack_status == 'DELETE_COMPLETE'
        except heat_exceptions.HTTPNotFound:
            return True

    def start_delete(self):
        try:
            self.project.heat.stacks.delete(self.id)
        except heat_exceptions.HTTPNotFound:
            pass

    def output(self, name):
        return self.project.heat.stacks.output_show(
            self.id, name)['output']['output_value']

    def resource(self, name):
        return self.project.heat.resources.get(self.id, name)

    def pending(self):
        """Return {server: token} of the drains that wait now."""
        hook = self.resource('hook')
        return {entry['server']: entry['lifecycle_action_token']
                for entry in hook.attributes['pending'] or ()}

    def agent_config(self):
        return json.loads(self.resource('hook').attributes['agent_config'])

    def events(self, resource):
        return [e.resource_status_reason for e in
                self.project.heat.events.list(self.id, resource_name=resource)]

    def signal(self, body):
        """Post to the hook's signal URL, as a guest would."""
        data = body if isinstance(body, bytes) else json.dumps(body)
        return requests.post(
            self.agent_config()['signal_url'], data=data, timeout=30,
            headers={'Content-Type': 'application/json'})

    # The cluster

    @property
    def cluster_id(self):
        return self.resource('cluster').physical_resource_id

    def cluster(self):
        return self._senlin.get_cluster(self.cluster_id)

    def members(self):
        """IDs of the servers in the cluster."""
        return {node.physical_id for node in
                self._senlin.nodes(cluster_id=self.cluster_id)}

    def scale_in(self, count=1):
        """Ask for a scale-in and return the ID of Senlin's action."""
        return self._senlin.scale_in_cluster(
            self.cluster_id, count=count)['action']

    def action(self, action_id):
        return self._senlin.get_action(action_id)

    def end_drains(self):
        """Answer for every guest, whether it has an agent or not."""
        for server in self.project.servers():
            self.project.release(server)
        try:
            for token in self.pending().values():
                self.signal({'lifecycle_action_token': token})
        except heat_exceptions.HTTPNotFound:
            pass
