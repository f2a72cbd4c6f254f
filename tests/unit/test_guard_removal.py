# SPDX-License-Identifier: Apache-2.0

"""Which updates drain what a guard guards, by Heat's own engine."""

import datetime
import uuid

from heat.engine import attributes
from heat.engine import properties
from heat.engine import resource
from heat.objects import resource as resource_objects
from oslo_utils import timeutils

from tests.unit import base
from tests.unit import convergence

ONE_MINUTE = datetime.timedelta(minutes=1)

HOOK = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties: {timeout: 120}
'''


class _Owner(resource.Resource):
    """What a guard guards, as Heat sees it."""

    # The test that runs now.
    test = None

    properties_schema = {
        'image': properties.Schema(properties.Schema.STRING),
        'name': properties.Schema(properties.Schema.STRING,
                                  update_allowed=True),
        'fails': properties.Schema(properties.Schema.BOOLEAN,
                                   default=False, update_allowed=True),
    }

    attributes_schema = {
        'guarded': attributes.Schema('ID of what is guarded.'),
    }

    def handle_create(self):
        self._fail(self.properties)
        self.resource_id_set(self._make())

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self._fail(json_snippet.properties(self.properties_schema))

    def handle_delete(self):
        if self.resource_id is not None:
            self._remove()

    def needs_replace_failed(self):
        return self.resource_id is None

    def _resolve_attribute(self, name):
        return self.resource_id

    def _fail(self, values):
        if values['fails']:
            raise ValueError('it was told to fail')


class _Server(_Owner):

    def _make(self):
        server = str(uuid.uuid4())
        self.test.nova.servers[server] = 'ACTIVE'
        return server

    def _remove(self):
        del self.test.nova.servers[self.resource_id]
        self.test.removed.append(
            (self.resource_id, self.test.has_drained(self.resource_id)))


class _Holder(_Server):
    """As a nested stack: its own ID is not that of the server in it."""

    def _make(self):
        self.data_set('server', super()._make())
        return str(uuid.uuid4())

    def _remove(self):
        self.resource_id = self.data()['server']
        super()._remove()

    def _resolve_attribute(self, name):
        return self.data().get('server')


class _Cluster(_Owner):

    def _make(self):
        return self.test.senlin.add_cluster()

    def _remove(self):
        self.test.removed.append(
            (self.resource_id, not self.test.senlin.nodes_of(
                self.resource_id)))
        self.test.senlin.remove_cluster(self.resource_id)


class _RemovalTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.plugin_module('native._drains')._read.clear()
        # (ID, whether it had drained) of what was deleted.
        self.removed = []
        self.patchobject(_Owner, 'test', new=self)
        for owner in (_Server, _Holder, _Cluster):
            convergence.register('Test::' + owner.__name__[1:], owner)
        self.engine = self.useFixture(convergence.Engine())
        self.hook = self.parse_stack(HOOK)['hook']
        self.run_task(self.hook.create)
        self.engine.idle = self.guests_answer

    def guests_answer(self):
        self.clock.advance_time_seconds(1)
        for message in self.zaqar.messages:
            token = message['body']['lifecycle_action_token']
            self.hook.signal({'lifecycle_action_token': token,
                              'lifecycle_action_result': 'CONTINUE',
                              'reason': 'done'})

    def drained(self):
        """IDs of the servers that were asked to drain, in that order."""
        return [message['body']['resource_id']
                for message in self.zaqar.messages]

    def has_drained(self, server):
        hook = self.plugin_module('native._drains').Hook.find(
            self.hook.context, self.hook.FnGetRefId())
        drain = hook.read().get(server)
        return drain is not None and drain.over is not None

    def guard(self, **values):
        return {'type': 'OS::Hooks::DrainWaitCondition',
                'properties': dict({'hook': self.hook.FnGetRefId()},
                                   **values)}

    def create(self, resources, **kwargs):
        self.stack_id = self.engine.create(resources, **kwargs)
        self.ends('CREATE', 'COMPLETE')

    def update(self, resources, action='UPDATE', status='COMPLETE'):
        began = timeutils.utcnow()
        self.engine.update(self.stack_id, resources)
        self.ends(action, status)
        # Nothing waits for what will not come.
        self.assertLess(timeutils.utcnow() - began, ONE_MINUTE)

    def delete(self):
        self.engine.delete(self.stack_id)
        self.ends('DELETE', 'COMPLETE')

    def ends(self, *state):
        stack = self.engine.load(self.stack_id)
        self.assertEqual(state, stack.state, stack.status_reason)

    def id_of(self, name):
        [row] = self.engine.rows(self.stack_id)[name]
        return row.physical_resource_id


def server(**values):
    return {'type': 'Test::Server', 'properties': values}


class ServerTest(_RemovalTestCase):

    def setUp(self):
        super().setUp()
        self.drained_by = self.guard(server={'get_resource': 'server'})
        self.create({'server': server(), 'drained': self.drained_by})
        self.server = self.id_of('server')

    def assertStays(self, *guards):
        """The server was not asked, and has these guards."""
        self.assertEqual([], self.drained())
        self.assertEqual([], self.removed)
        rows = self.engine.rows(self.stack_id)
        self.assertEqual({'server', *guards}, set(rows))
        for name in rows:
            self.assertEqual(self.server, self.id_of(name))

    def assertDrained(self, *servers):
        """These were asked, and deleted after their drains."""
        self.assertEqual(list(servers), self.drained())
        self.assertEqual([(one, True) for one in servers], self.removed)

    def test_removed_guard_drains_nothing(self):
        """The server would stop its work and stay out of service."""
        self.update({'server': server()})

        self.assertStays()

    def test_renamed_guard_drains_nothing(self):
        """The server would stop its work and stay out of service."""
        self.update({'server': server(), 'renamed': self.drained_by})

        self.assertStays('renamed')

    def test_removed_guard_of_a_server_that_is_updated_drains_nothing(self):
        """The server would stop its work and stay out of service."""
        self.update({'server': server(name='web')})

        self.assertStays()

    def test_deletion_of_the_stack_drains(self):
        """The sessions would be cut."""
        self.delete()

        self.assertDrained(self.server)

    def test_guard_and_server_removed_together_drain(self):
        """The sessions would be cut."""
        self.update({})

        self.assertDrained(self.server)

    def test_replaced_server_drains(self):
        """The sessions would be cut."""
        self.update({'server': server(image='new'),
                     'drained': self.drained_by})

        self.assertDrained(self.server)
        self.assertEqual(self.id_of('server'), self.id_of('drained'))

    def test_replaced_server_of_a_renamed_guard_drains(self):
        """The sessions would be cut."""
        self.update({'server': server(image='new'),
                     'renamed': self.drained_by})

        self.assertDrained(self.server)

    def test_replaced_server_of_a_removed_guard_drains(self):
        """The sessions would be cut."""
        self.update({'server': server(image='new')})

        self.assertDrained(self.server)

    def test_renamed_server_drains(self):
        """The sessions would be cut."""
        self.update({'web': server(), 'drained': self.guard(
            server={'get_resource': 'web'})})

        self.assertDrained(self.server)

    def test_server_that_heat_knows_no_more_drains(self):
        """Nobody could say whether it stays, and its sessions be cut."""
        [row] = self.engine.rows(self.stack_id)['server']
        resource_objects.Resource.delete(self.hook.context, row.id)

        self.update({})

        self.assertEqual([self.server], self.drained())

    def test_guards_of_one_server_removed_together_drain_nothing(self):
        """Each would take the other for the server."""
        self.update({'server': server(), 'drained': self.drained_by,
                     'another': self.drained_by})

        self.update({'server': server()})

        self.assertStays()

    def test_guard_that_is_switched_off_drains_nothing(self):
        """The server would stop its work and stay out of service."""
        self.update({'server': server(),
                     'drained': {'type': 'OS::Heat::None'}})

        self.assertEqual([], self.drained())
        self.assertEqual([], self.removed)

    def test_guard_comes_back_when_the_update_is_rolled_back(self):
        """The server would be out of service, or without a guard."""
        late = dict(server(fails=True), depends_on='renamed')
        for changes in ({'server': server(fails=True)},
                        {'other': server(fails=True)},
                        {'renamed': self.drained_by, 'late': late}):
            resources = {'server': server(), 'other': server()}
            self.create(dict(resources, drained=self.drained_by),
                        disable_rollback=False)
            self.server = self.id_of('server')

            self.update(dict(resources, **changes), 'ROLLBACK')

            self.assertEqual([], self.drained())
            self.assertEqual([self.server] * 2,
                             [self.id_of('server'), self.id_of('drained')])
            self.delete()
            self.assertEqual([self.server], self.drained())
            self.assertIn((self.server, True), self.removed)
            del self.zaqar.messages[:]

    def test_guard_whose_successor_is_refused_is_kept(self):
        """The server would be without a guard."""
        self.update({'server': server(), 'renamed': self.guard(
            hook='none', server={'get_resource': 'server'})}, status='FAILED')
        self.assertEqual([], self.drained())

        self.delete()

        self.assertDrained(self.server)

    def test_guard_of_a_server_whose_update_fails_is_kept(self):
        """The next update would replace the server without a drain."""
        self.update({'server': server(fails=True)}, status='FAILED')
        self.assertEqual([], self.drained())
        # What is wrong, and not that the guard was left.
        self.assertIn('told to fail',
                      self.engine.load(self.stack_id).status_reason)

        self.update({'server': server(image='new')})

        self.assertDrained(self.server)

    def test_guard_may_be_given_again_after_an_update_that_failed(self):
        """The server would stop its work and stay out of service."""
        self.update({'server': server(fails=True)}, status='FAILED')

        self.update({'server': server(), 'drained': self.drained_by})

        self.assertStays('drained')

    def test_creation_that_is_rolled_back_drains(self):
        """The sessions of the first seconds would be cut."""
        self.stack_id = self.engine.create(
            {'server': server(), 'drained': self.drained_by,
             'late': dict(server(fails=True), depends_on='drained')},
            disable_rollback=False)

        self.ends('ROLLBACK', 'COMPLETE')
        [(one, has_drained)] = self.removed
        self.assertTrue(has_drained)
        self.assertEqual([one], self.drained())


class ForeignServerTest(_RemovalTestCase):
    """The ID is a plain string, or a parameter."""

    def setUp(self):
        super().setUp()
        self.nova.servers = {'here': 'ACTIVE', 'there': 'ACTIVE'}
        self.create({'drained': self.guard(server='here')})

    def test_removed_guard_drains_nothing(self):
        """A server of another stack would stop its work."""
        self.update({})

        self.assertEqual([], self.drained())

    def test_guard_of_another_server_drains_nothing(self):
        """A server of another stack would stop its work."""
        self.update({'drained': self.guard(server='there')})

        self.assertEqual([], self.drained())
        self.assertEqual('there', self.id_of('drained'))

    def test_deletion_of_the_stack_drains(self):
        """Who deletes the guard before the server would cut its sessions."""
        self.delete()

        self.assertEqual(['here'], self.drained())

    def test_removed_guard_of_a_nested_stack_drains(self):
        """The outer stack may be about to replace the server."""
        self.create({'drained': self.guard(server='here')},
                    owner_id=self.engine.create({}))

        self.update({})

        self.assertEqual(['here'], self.drained())


class ServerInAnotherResourceTest(_RemovalTestCase):
    """The server is in a nested stack, a group, or the like."""

    def setUp(self):
        super().setUp()
        self.drained_by = self.guard(server={
            'get_attr': ['holder', 'guarded']})
        self.create({'holder': self.holder(), 'drained': self.drained_by})
        self.server = self.id_of('drained')

    @staticmethod
    def holder(**values):
        return {'type': 'Test::Holder', 'properties': values}

    def test_renamed_guard_drains(self):
        """The holder may be about to replace its server by itself."""
        self.update({'holder': self.holder(name='web'),
                     'renamed': self.drained_by})

        self.assertEqual([self.server], self.drained())

    def test_server_behind_a_value_that_stays_drains(self):
        """The sessions would be cut, because the value is not deleted."""
        def value(of):
            return {'type': 'OS::Heat::Value', 'properties': {'value': of}}
        self.create({
            'server': server(), 'value': value({'get_resource': 'server'}),
            'drained': self.guard(server={'get_attr': ['value', 'value']})})
        guarded = self.id_of('server')

        self.update({'value': value('another')})

        self.assertEqual([guarded], self.drained())
        self.assertEqual([(guarded, True)], self.removed)

    def test_resource_that_goes_too_drains(self):
        """The sessions would be cut."""
        for resources in ({}, {'holder': self.holder(image='new')}):
            self.create({'holder': self.holder(),
                         'drained': self.drained_by})
            self.server = self.id_of('drained')

            self.update(resources)

            self.assertEqual(self.server, self.drained()[-1])
            self.assertEqual((self.server, True), self.removed[-1])


class ClusterTest(_RemovalTestCase):

    def setUp(self):
        super().setUp()
        self.drained_by = self.guard(cluster={'get_resource': 'cluster'})
        self.create({'cluster': self.cluster(), 'drained': self.drained_by})
        self.id = self.id_of('cluster')
        self.assertTrue(self.senlin.bindings)

    @staticmethod
    def cluster(**values):
        return {'type': 'Test::Cluster', 'properties': values}

    def assertStays(self, guarded):
        """The cluster has its members, and the hook if that is wanted."""
        self.assertEqual([], self.removed)
        self.assertEqual(2, len(self.senlin.nodes_of(self.id)))
        self.assertEqual([self.hook.FnGetRefId()] * guarded, [
            binding['policy_name']
            for binding in self.senlin.bindings_of(self.id)])

    def test_removed_guard_takes_the_hook_off_and_drains_nothing(self):
        """The cluster would be emptied."""
        self.update({'cluster': self.cluster()})

        self.assertStays(guarded=False)

    def test_renamed_guard_leaves_the_hook_on_and_drains_nothing(self):
        """The cluster would be emptied, or be without a hook."""
        self.update({'cluster': self.cluster(), 'renamed': self.drained_by})

        self.assertStays(guarded=True)
        self.assertEqual([], self.senlin.unguarded)

    def test_guard_that_is_switched_off_takes_the_hook_off(self):
        """The hook could not be deleted."""
        self.update({'cluster': self.cluster(),
                     'drained': {'type': 'OS::Heat::None'}})

        self.assertStays(guarded=False)

    def test_hook_can_be_removed_together_with_the_guard(self):
        """Senlin would refuse, because the hook is still on the cluster."""
        self.senlin.bindings.clear()
        self.create({
            'hook': {'type': 'OS::Hooks::LifecycleHook'},
            'cluster': self.cluster(),
            'drained': self.guard(hook={'get_resource': 'hook'},
                                  cluster={'get_resource': 'cluster'})})
        self.id = self.id_of('cluster')
        self.assertTrue(self.senlin.bindings)

        self.update({'cluster': self.cluster()})

        self.assertStays(guarded=False)

    def test_cluster_that_goes_too_drains(self):
        """The sessions would be cut."""
        for resources in ({}, {'cluster': self.cluster(image='new')},
                          {'cluster': self.cluster(image='new'),
                           'drained': self.drained_by},
                          {'cluster': self.cluster(image='new'),
                           'renamed': self.drained_by}):
            self.create({'cluster': self.cluster(),
                         'drained': self.drained_by})
            self.id = self.id_of('cluster')

            self.update(resources)

            self.assertEqual((self.id, True), self.removed[-1])

    def test_deletion_of_the_stack_drains(self):
        """The sessions would be cut."""
        self.delete()

        self.assertEqual([(self.id, True)], self.removed)
        self.assertEqual([], self.senlin.bindings)
