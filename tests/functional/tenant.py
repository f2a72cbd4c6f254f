# SPDX-License-Identifier: Apache-2.0

"""What a tenant does with the local cloud, in the words of the tests."""

import collections
import functools
import json
import pathlib
import tempfile
import time
import uuid

from heatclient import client as heat_client
from heatclient.common import template_utils
from heatclient import exc as heat_exceptions
import pytest
import requests
import yaml

from sandbox import bootstrap
from sandbox import clients
from sandbox import cloud
from sandbox import examples
from sandbox import releases
from sandbox.services import aodh
from sandbox.services import zaqar

TEMPLATES = pathlib.Path(__file__).with_name('templates')
LIBRARY = cloud.REPO / 'templates'
EXAMPLES = cloud.REPO / 'examples'
# Nothing is measured, so no alarm fires.
MANUAL = cloud.REPO / 'environments' / 'manual.yaml'
DEMO = cloud.REPO / 'environments' / 'demo.yaml'
WITHOUT_HOOK = cloud.REPO / 'environments' / 'without-hook.yaml'

# The lines that a test runs on: both, but for what one of these says. Each
# reason is on the list of tests/skips.toml.
WITH_SENLIN = releases.is_installed('senlin')
needs_senlin = pytest.mark.skipif(
    not WITH_SENLIN, reason='about Senlin, which this release line is without')
needs_none = pytest.mark.skipif(
    WITH_SENLIN, reason='about a release line without Senlin')
newest_line = pytest.mark.skipif(
    releases.current() != releases.KNOWN[-1],
    reason='decides nothing about the release line')

DOOR = LIBRARY / ('lifecycle_cluster.yaml' if WITH_SENLIN
                  else 'lifecycle_group.yaml')

# Seconds until a test gives up waiting: no measure, only an end.
PATIENCE = 300


def wait_for(what, condition, patience=PATIENCE):
    """Return the first true value of a condition, or fail."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        assert waited < patience, 'waited in vain for %s' % what
        # What takes long is asked for less often, or the questions would be
        # most of the work.
        time.sleep(min(0.2 + waited / 50, 0.6))


def is_scaling(heat, stack_id, name):
    """Whether a group of Heat's makes or removes members."""
    return heat.resources.metadata(stack_id, name).get('scaling_in_progress')


def read(path):
    """Return a template as a dict, for a test that changes it."""
    return yaml.safe_load(path.read_text())


class Tenant:
    """A project of the local cloud."""

    def __init__(self, local, name='sandbox'):
        self.local = local
        self.connection = clients.connect(local.cloud, name)
        self.heat = heat_client.Client(
            '1', session=self.connection.session,
            endpoint_type='public', service_type='orchestration')
        self._stacks = []

    def sign_in_again(self):
        """See the catalogue as it is now: it comes with the token."""
        self.connection.session.invalidate()

    # Stacks

    def create_stack(self, template, wait=True, timeout_mins=10,
                     environments=(), defaults=None, **parameters):
        """Create a stack from a file or a dict and return it, complete.

        :param defaults: what an environment of its own would set for the
            templates at every level.
        """
        if isinstance(template, dict):
            files, body = {}, template
        else:
            files, body = template_utils.get_template_contents(str(template))
        env_files, environment = (
            template_utils.process_multiple_environments_and_files(
                [str(path) for path in environments]))
        environment.setdefault('parameter_defaults', {}).update(defaults or {})
        created = self.heat.stacks.create(
            stack_name='test-' + uuid.uuid4().hex[:8], template=body,
            files={**files, **env_files}, environment=environment,
            parameters=parameters, timeout_mins=timeout_mins)['stack']
        stack = _Stack(self, created['id'])
        self._stacks.append(stack)
        if wait:
            stack.wait('CREATE_COMPLETE')
        return stack

    def adopt_stack(self, document):
        """Make a stack of what an abandoned one has left."""
        adopted = self.heat.stacks.create(
            stack_name='test-' + uuid.uuid4().hex[:8],
            adopt_stack_data=json.dumps(document),
            timeout_mins=10, disable_rollback=False)['stack']
        stack = _Stack(self, adopted['id'])
        self._stacks.append(stack)
        stack.wait('ADOPT_COMPLETE')
        return stack

    def create_example(self, name, with_hook=True, environments=(),
                       **options):
        """An example made of what this line has.

        :param with_hook: False to see what the hook is for.
        """
        if not with_hook:
            environments = [*environments, WITHOUT_HOOK]
        with tempfile.TemporaryDirectory() as folder:
            return self.create_stack(
                examples.write(name, pathlib.Path(folder), WITH_SENLIN,
                               with_hook),
                environments=environments, **options)

    def create_silent(self, size=1, drain_timeout=60, wait=True, **options):
        """A group whose servers have no agent."""
        return self.create_stack(
            TEMPLATES / ('silent_cluster.yaml' if WITH_SENLIN
                         else 'listening_group.yaml'),
            wait=wait, size=size, drain_timeout=drain_timeout, **options)

    def create_library(self, size, user_data, **parameters):
        """A group of the library with an application of the test's."""
        return self.create_stack(
            DOOR, image=bootstrap.IMAGE, flavor=bootstrap.FLAVOR,
            network=bootstrap.NETWORK, min_size=0, max_size=5,
            desired_capacity=size, drain_timeout=PATIENCE,
            user_data=user_data, environments=[MANUAL], **parameters)

    def create_gated(self, size, **parameters):
        """A group of the library whose handlers wait for `release`."""
        return self.create_library(
            size, (TEMPLATES / 'gate.sh').read_text(), **parameters)

    def delete_stacks(self):
        for stack in self._stacks:
            stack.start_delete()
        # All at once: a hook may be in another stack than its cluster.
        wait_for('the deletion of the stacks', lambda: all([
            stack.is_cleared() for stack in self._stacks]), 2 * PATIENCE)

    # Servers and their guests

    def servers(self):
        """Return {ID: status} of all servers of the project."""
        return {s.id: s.status for s in self.connection.compute.servers()}

    def address(self, server):
        """Where a server listens."""
        return self.connection.compute.get_server(
            server).addresses[bootstrap.NETWORK][0]['addr']

    def guest(self, server):
        """Folder of the guest of a server, from the outside."""
        return self.local.cloud.guests / server

    def guest_name(self, server):
        """Host name that a guest sees."""
        return (self.guest(server) / 'etc/hostname').read_text().strip()

    def agent_log(self, server):
        """What the agent of a server has said so far."""
        path = self.guest(server) / 'var/log/drain-agent.log'
        return path.read_text() if path.exists() else ''

    def is_draining(self, server):
        return (self.guest(server) / 'var/lib/draining').exists()

    def release(self, server):
        """Let the drain handler of a gated server finish."""
        folder = self.guest(server) / 'var/lib'
        if folder.exists():
            (folder / 'release').touch()

    def create_image(self):
        """Name of an image of the tenant's own, as good as the other one."""
        name = 'image-' + uuid.uuid4().hex[:8]
        self.connection.image.create_image(
            name=name, data=b'\0', disk_format='raw', container_format='bare')
        return name

    def alarms(self):
        """Aodh's alarms of the project."""
        return self.connection.session.get(
            self.local.cloud.url(aodh.PORT, '/v2/alarms')).json()

    def policies(self, hook=None):
        """Senlin's policies of a hook, or all of the project."""
        if not WITH_SENLIN:
            return []
        query = {'name': hook} if hook else {}
        return list(self.connection.clustering.policies(**query))

    def clusters(self):
        """Senlin's clusters of the project."""
        return (list(self.connection.clustering.clusters())
                if WITH_SENLIN else [])

    def left_in_senlin(self):
        """All that is not a cluster."""
        if not WITH_SENLIN:
            return []
        clustering = self.connection.clustering
        return [*clustering.policies(), *clustering.profiles(),
                *clustering.receivers()]

    def create_queue(self):
        """A queue of the tenant's own; the test deletes it."""
        name = 'queue-' + uuid.uuid4().hex[:8]
        self._zaqar('PUT', '/v2/queues/' + name)
        return name

    def delete_queue(self, name):
        self._zaqar('DELETE', '/v2/queues/' + name)

    def queues(self):
        """Names of the queues of the project."""
        answer = self._zaqar('GET', '/v2/queues').json()
        return {queue['name'] for queue in answer['queues']}

    def queue_exists(self, name):
        return name in self.queues()

    def post_messages(self, queue, bodies):
        self._zaqar('POST', '/v2/queues/%s/messages' % queue, json={
            'messages': [{'ttl': 3600, 'body': body} for body in bodies]})

    def messages(self, queue):
        """Bodies of what is on a queue."""
        answer = self._zaqar(
            'GET', '/v2/queues/%s/messages?echo=true&limit=20' % queue)
        return [message['body'] for message in answer.json()['messages']]

    def delete_messages(self, queue):
        """Leave nothing on a queue."""
        self._zaqar('POST', '/v2/queues/%s/purge' % queue,
                    json={'resource_types': ['messages']})

    def subscriptions(self, queue):
        """Return {URL: ID} of who is told of a queue."""
        answer = self._zaqar(
            'GET', '/v2/queues/%s/subscriptions?limit=20' % queue)
        return {subscription['subscriber']: subscription['id']
                for subscription in answer.json()['subscriptions']}

    def _zaqar(self, method, path, **options):
        return self.connection.session.request(
            self.local.cloud.url(zaqar.PORT, path), method,
            headers={'Client-ID': str(uuid.uuid4())}, **options)


class Stack:
    """A stack with a hook in it, and what the hook guards."""

    def __init__(self, project, stack_id):
        self.project = project
        self.id = stack_id
        self._begun = collections.Counter()

    def _show(self):
        # The outputs are asked of Senlin and Zaqar each time.
        return self.project.heat.stacks.get(self.id, resolve_outputs=False)

    @property
    def name(self):
        return self._show().stack_name

    def status(self):
        return self._show().stack_status

    def why(self):
        """What Heat says about the stack's status."""
        return self._show().stack_status_reason

    def wait(self, status, patience=PATIENCE):
        def reached():
            stack = self._show()
            assert 'FAILED' not in stack.stack_status or (
                stack.stack_status == status), stack.stack_status_reason
            return stack.stack_status == status
        wait_for('%s of %s' % (status, self.id), reached, patience)

    def end(self, action):
        """Wait for the end of an action; return its (status, reason).

        The first call is about the first time that the action was begun, the
        second one about the second time.
        """
        self._begun[action] += 1

        def ends():
            events = [event for event in
                      self.project.heat.events.list(self.id, sort_dir='asc')
                      if event.physical_resource_id == self.id
                      and event.resource_status.startswith(action)]
            begins = [number for number, event in enumerate(events)
                      if event.resource_status == action + '_IN_PROGRESS']
            if len(begins) < self._begun[action]:
                return []
            return [event for event in
                    events[begins[self._begun[action] - 1]:]
                    if event.resource_status != action + '_IN_PROGRESS']
        event = wait_for('the end of %s of %s' % (action, self.id), ends)[0]
        return event.resource_status, event.resource_status_reason

    def failure(self, action):
        """Wait for an action to fail, and return the reason."""
        status, reason = self.end(action)
        assert status == action + '_FAILED', status
        return reason

    def is_gone(self):
        try:
            return self._show().stack_status == 'DELETE_COMPLETE'
        except heat_exceptions.HTTPNotFound:
            return True

    def update(self, wait=True, timeout_mins=None, environments=(),
               defaults=None, **parameters):
        """Update the stack with its template and, maybe, new parameters.

        :param environments: paths of files that go on top of the stack's own.
        :param defaults: parameter_defaults that go on top of all.
        """
        options = {'timeout_mins': timeout_mins} if timeout_mins else {}
        if environments or defaults:
            options['files'], environment = (
                template_utils.process_multiple_environments_and_files(
                    [str(path) for path in environments]))
            environment.setdefault('parameter_defaults', {}).update(
                defaults or {})
            options['environment'] = environment
        self.project.heat.stacks.update(
            self.id, existing=True, parameters=parameters, **options)
        if wait:
            self.wait('UPDATE_COMPLETE')

    def check(self):
        """Let Heat look at what it has made, and return what is wrong."""
        self.project.heat.actions.check(self.id)
        status, reason = self.end('CHECK')
        return None if status == 'CHECK_COMPLETE' else reason

    def start_delete(self):
        try:
            self.project.heat.stacks.delete(self.id)
        except heat_exceptions.HTTPNotFound:
            pass
        except heat_exceptions.HTTPBadRequest:
            # Of a stack that is just ending, Heat deletes the credentials
            # first, and fails over a request that looks for them then.
            wait_for('the end of the stack', self.is_gone)

    def delete_and_read(self, server):
        """Delete the stack; return what the agent of a server has logged."""
        log = self.project.guest(server) / 'var/log/drain-agent.log'
        wait_for('the agent', lambda: (
            'info server' in self.project.agent_log(server)))
        # An open file outlives its server.
        with log.open() as stream:
            self.start_delete()
            wait_for('the stack to be gone', self.is_gone)
            return stream.read()

    def wait_for_guards(self, count, read_log):
        """Wait until guards have been asked so often to let a server go.

        Heat takes a minute to come down to them in another attempt, and
        until then the state is that of the attempt before.

        :param read_log: returns what Heat has logged.
        """
        wait_for('another attempt', lambda: count <= read_log().count(
            'deleting DrainWaitCondition "'))
        # A guard polls every three seconds.
        time.sleep(4)

    def suspend(self):
        self.project.heat.actions.suspend(self.id)
        self.wait('SUSPEND_COMPLETE')

    def resume(self):
        self.project.heat.actions.resume(self.id)
        self.wait('RESUME_COMPLETE')

    def abandon(self):
        """Leave everything behind, and return what an adoption takes."""
        left = self.project.heat.stacks.abandon(self.id)
        wait_for('the stack to be abandoned', self.is_gone)
        return left

    def output(self, name):
        return self.project.heat.stacks.output_show(
            self.id, name)['output']['output_value']

    def resource(self, name):
        return self.project.heat.resources.get(self.id, name)

    def status_of(self, name):
        """Status of a resource, None if there is none."""
        try:
            return self.resource(name).resource_status
        except heat_exceptions.HTTPNotFound:
            return None

    def statuses_of(self, name):
        """Return every status that a resource has had, by its events."""
        # Of a resource that is not there yet, Heat would list none by name.
        return {event.resource_status for event in
                self.project.heat.events.list(self.id)
                if event.resource_name == name}

    def pending(self):
        """Return {server: token} of the drains that wait now."""
        hook = self.resource('hook')
        return {entry['server']: entry['lifecycle_action_token']
                for entry in hook.attributes.get('pending') or ()}

    def wait_for_drains(self, number):
        """Return {server: token} once so many drains wait."""
        def reached():
            pending = self.pending()
            return len(pending) == number and pending
        return wait_for('%d drains' % number, reached)

    def agent_config(self):
        return json.loads(self.resource('hook').attributes['agent_config'])

    def events(self, resource):
        return [e.resource_status_reason for e in
                self.project.heat.events.list(self.id, resource_name=resource)]

    def signal(self, body, url=None):
        """Post to the hook's signal URL, as a guest would.

        :param url: the URL, to spare a question for it.
        """
        data = body if isinstance(body, bytes) else json.dumps(body)
        return requests.post(
            url or self.agent_config()['signal_url'], data=data,
            timeout=PATIENCE,
            headers={'Content-Type': 'application/json'})

    # The group

    def resources(self, *types):
        """All resources of types, in whichever nested stack they are."""
        return [resource for resource in
                self.project.heat.resources.list(self.id, nested_depth=5)
                if resource.resource_type in types]

    def ids(self, *types):
        """Return {name: physical ID} of types, in whichever nested stack."""
        return {resource.resource_name: resource.physical_resource_id
                for resource in self.resources(*types)}

    def place_of(self, name):
        """Return the (nested) stack that has a resource, and its name."""
        [found] = [resource for resource in
                   self.project.heat.resources.list(self.id, nested_depth=5)
                   if resource.resource_name == name]
        [href] = [link['href'] for link in found.links
                  if link['rel'] == 'stack']
        return href.rpartition('/')[2], name

    def alarms(self):
        """Return {name in the template: alarm of Aodh}."""
        ids = self.ids('OS::Aodh::CompositeAlarm',
                       'OS::Aodh::GnocchiResourcesAlarm',
                       'OS::Aodh::PrometheusAlarm')
        alarms = {alarm['alarm_id']: alarm for alarm in self.project.alarms()}
        return {name: alarms[id] for name, id in ids.items() if id in alarms}

    def addresses(self):
        """Return {server: address} of the members."""
        return {server: self.project.address(server)
                for server in self.members()}

    def let_go(self, server):
        """Answer for a guest without an agent, and see its server go."""
        token = self.pending()[server]
        assert self.signal({'lifecycle_action_token': token}).ok
        wait_for('the deletion',
                 lambda: server not in self.project.servers())

    def is_cleared(self):
        """Whether the stack is gone; what a test left waiting may go."""
        self.end_drains()
        if self.is_gone():
            return True
        if self.status() == 'DELETE_FAILED':
            self.start_delete()
        return False

    def end_drains(self):
        """Answer for every guest, whether it has an agent or not."""
        for server in self.project.servers():
            self.project.release(server)
        try:
            for token in self.pending().values():
                self.signal({'lifecycle_action_token': token})
        except heat_exceptions.HTTPNotFound:
            pass


class ClusterStack(Stack):
    """A stack with a cluster of Senlin's."""

    @property
    def _senlin(self):
        return self.project.connection.clustering

    @functools.cached_property
    def cluster_id(self):
        [cluster] = self.ids('OS::Senlin::Cluster',
                             'OS::Hooks::Cluster').values()
        return cluster

    def cluster(self):
        return self._senlin.get_cluster(self.cluster_id)

    def nodes(self):
        """Return {server: node} of the cluster."""
        return {node.physical_id: node for node in
                self._senlin.nodes(cluster_id=self.cluster_id)}

    def members(self):
        """IDs of the servers in the cluster."""
        return set(self.nodes())

    def ids_of_others(self):
        """IDs of what is about its servers, and no token."""
        [action, *_] = self._senlin.actions(target_id=self.cluster_id)
        return [*(node.id for node in self.nodes().values()),
                self.cluster_id, action.id]

    def scale_in(self, count=1):
        """Ask for a scale-in and return the ID of Senlin's action."""
        # While the action before is still letting go, there is none.
        return wait_for('Senlin to take the scale-in', lambda: (
            self._senlin.scale_in_cluster(
                self.cluster_id, count=count).get('action')))

    def scale_out(self, count=1):
        """Ask for a scale-out and return the ID of Senlin's action."""
        return wait_for('Senlin to take the scale-out', lambda: (
            self._senlin.scale_out_cluster(
                self.cluster_id, count=count).get('action')))

    def action(self, action_id):
        return self._senlin.get_action(action_id)

    def is_over(self, action_id):
        """Whether Senlin has done all of an action."""
        action = self.action(action_id)
        assert action.status not in ('FAILED', 'CANCELLED'), (
            action.status_reason)
        return action.status == 'SUCCEEDED'

    def hook_of(self, action_id):
        """The hook that a scale-in goes by; by now a member waits for it."""
        wait_for('the drain', lambda: 'WAITING_LIFECYCLE_COMPLETION' in {
            self.action(child).status
            for child in self.action(action_id).depends_on or ()})
        # openstacksdk leaves out the data of an action.
        answer = self._senlin.get('/actions/%s' % action_id)
        return answer.json()['action']['data']['hooks']

    def bindings(self, cluster_id=None):
        """IDs of the policies that are on the cluster."""
        return {binding.policy_id for binding in
                self._senlin.cluster_policies(cluster_id or self.cluster_id)}

    def policies(self):
        """Return {ID: properties} of the policies that carry the hook."""
        return {policy.id: policy.spec['properties']
                for policy in self._senlin.policies(
                    name=self.resource('hook').physical_resource_id)}

    def is_at_rest(self):
        """Whether nobody makes or removes members."""
        return self.cluster().status == 'ACTIVE'

    def capacity(self):
        """How many members there are to be."""
        return self.cluster().desired_capacity


class GroupStack(Stack):
    """A stack with an OS::Hooks::AutoScalingGroup."""

    def members(self):
        """IDs of the servers in the group."""
        # One that is being made has no ID at first.
        return {server.physical_resource_id
                for server in self.resources('OS::Nova::Server')
                if server.physical_resource_id}

    def ids_of_others(self):
        """IDs of what is about its servers, and no token."""
        return [resource.physical_resource_id for resource in
                self.resources('OS::Hooks::DrainWaitCondition',
                               'OS::Hooks::AutoScalingGroup')]

    def scale_in(self, count=1):
        """Ask for a scale-in."""
        self._scale('scale_in_url', count)

    def scale_out(self, count=1):
        """Ask for a scale-out."""
        self._scale('scale_out_url', count)

    def is_at_rest(self):
        """Whether nobody makes or removes members."""
        return not is_scaling(self.project.heat, *self._group)

    def capacity(self):
        """How many members there are to be."""
        return self.project.heat.resources.get(
            *self._group, with_attr=['current_size']).attributes[
                'current_size']

    @functools.cached_property
    def _group(self):
        """The stack that has the group, and the name that it has there."""
        return self.place_of('group')

    def _scale(self, url, count):
        for _i in range(count):
            # It waits for a step that goes on, but not for ever.
            wait_for('the group to be at rest', self.is_at_rest)
            requests.post(self.output(url), timeout=60).raise_for_status()


_Stack = ClusterStack if WITH_SENLIN else GroupStack
