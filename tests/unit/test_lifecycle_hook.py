# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from heat.engine import resource
from keystoneauth1 import exceptions as ksa_exceptions
from oslo_serialization import jsonutils

from tests.unit import base
from tests.unit import fakes

TEMPLATE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties:
      timeout: 120
      criteria: OLDEST_FIRST
'''

SHARED_QUEUE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties:
      queue: shared
'''


class _HookTestCase(base.ServiceTestCase):
    template = TEMPLATE

    def setUp(self):
        super().setUp()
        self.hook = self.parse_stack(self.template)['hook']

    def create(self):
        self.run_task(self.hook.create)

    def delete(self):
        self.run_task(self.hook.delete)

    def agent_config(self):
        return jsonutils.loads(self.hook.FnGetAtt('agent_config'))


class CreateTest(_HookTestCase):

    def test_policy_carries_the_hook(self):
        """Senlin would delete servers at once, or at another time."""
        self.create()

        policy = self.senlin.policies[self.hook.FnGetRefId()]
        self.assertEqual('senlin.policy.deletion-1.1', policy['type'])
        self.assertEqual(
            {'criteria': 'OLDEST_FIRST', 'grace_period': 0,
             'destroy_after_deletion': True, 'reduce_desired_capacity': True,
             'hooks': {'type': 'zaqar', 'timeout': 120,
                       'params': {'queue': self.hook._own_name()}}},
            policy['spec']['properties'])

    def test_queue_name_fits_and_belongs_to_one_hook(self):
        """Two stacks in a project would read each other's messages."""
        self.create()
        other = self.parse_stack(TEMPLATE)['hook']
        self.run_task(other.create)

        names = {r.FnGetAtt('queue_name') for r in (self.hook, other)}
        self.assertEqual(self.zaqar.queues, names)
        self.assertEqual(2, len(names))
        self.assertTrue(all(len(name) <= 64 for name in names))

    def test_attributes_are_empty_before_creation(self):
        """A look at a stack in creation would make users nobody removes."""
        for name in ('queue_name', 'signal_url', 'policy_id', 'agent_config',
                     'pending'):
            self.assertIsNone(self.hook._resolve_attribute(name))

        self.assertEqual([], self.journal)

    def test_transport_that_does_not_work_is_refused(self):
        """A guest would report to a place where nobody listens."""
        hook = self.parse_stack(TEMPLATE.replace(
            'timeout: 120', 'signal_transport: ZAQAR_SIGNAL'))['hook']

        self.assertRaises(base.StackValidationFailed, hook.validate)

    def test_creating_twice_makes_nothing_twice(self):
        """A restarted engine would leave a policy and a queue behind."""
        self.create()
        before = self.agent_config()

        again = self.reload(self.hook)
        again.handle_create()

        self.assertEqual(1, len(self.senlin.policies))
        self.assertEqual(1, self.journal.count('create user'))
        self.assertEqual(1, self.journal.count('sign queue'))
        self.assertEqual(before,
                         jsonutils.loads(again.FnGetAtt('agent_config')))

    def test_engine_dies_before_it_knows_the_policy(self):
        """The policy would stay in the project for ever."""
        with mock.patch.object(resource.Resource, 'resource_id_set',
                               side_effect=SystemExit):
            self.assertRaises(SystemExit, self.create)

        again = self.reload(self.hook)
        self.assertIsNone(again.resource_id)
        again.handle_delete()

        self.assertEqual({}, self.senlin.policies)
        self.assertEqual(set(), self.zaqar.queues)

    def test_engine_dies_before_the_policy_and_carries_on(self):
        """The second try would give other user data, or fail."""
        with mock.patch.object(self.senlin, '_post_policies',
                               side_effect=SystemExit):
            self.assertRaises(SystemExit, self.create)

        again = self.reload(self.hook)
        again.handle_create()

        self.assertEqual([again.resource_id], list(self.senlin.policies))
        self.assertEqual(1, self.journal.count('create user'))
        self.assertEqual(1, self.journal.count('sign queue'))


class AgentConfigTest(_HookTestCase):

    def test_has_the_shape_of_the_contract(self):
        """The agent in the server would not understand its configuration."""
        self.create()

        expected = base.contract('agent_config.json')
        config = self.agent_config()
        self.assertEqual(_shape(expected), _shape(config))

    def test_describes_this_hook(self):
        """The agent would read another queue or signal another resource."""
        self.create()

        config = self.agent_config()
        name = self.hook._own_name()
        path = '/v2/queues/%s/messages' % name
        self.assertEqual(name, config['queue']['name'])
        self.assertEqual(fakes.Zaqar.PUBLIC + path, config['queue']['url'])
        self.assertEqual([path], config['queue']['paths'])
        self.assertEqual(['GET'], config['queue']['methods'])
        self.assertEqual(fakes.Zaqar.PROJECT, config['queue']['project_id'])
        self.assertEqual(120, config['timeout'])
        self.assertEqual(self.hook.FnGetAtt('signal_url'),
                         config['signal_url'])

    def test_endpoint_with_a_version_is_understood(self):
        """The agent would ask for /v2/v2 and get nothing."""
        self.zaqar.endpoint = 'https://cloud/messaging/v2/'
        self.create()

        self.assertEqual('https://cloud/messaging/v2/queues/%s/messages'
                         % self.hook._own_name(),
                         self.agent_config()['queue']['url'])

    def test_queue_access_outlives_the_servers(self):
        """Zaqar's default is a day; after that an agent would be deaf."""
        self.create()

        self.assertEqual('+315360000 seconds, call 1',
                         self.agent_config()['queue']['expires'])

    def test_is_the_same_each_time(self):
        """Other user data would replace every server on a stack update."""
        self.create()
        first = self.hook.FnGetAtt('agent_config')

        self.assertEqual(
            first, self.reload(self.hook).FnGetAtt('agent_config'))
        self.assertEqual(1, self.journal.count('sign queue'))

    def test_signal_url_never_expires(self):
        """A server older than a signature could not end its drain."""
        self.create()

        url = self.hook.FnGetAtt('signal_url')
        self.assertIn('/resources/hook?', url)
        self.assertIn('AWSAccessKeyId=heat-access', url)
        self.assertNotIn('Timestamp', url)
        self.assertNotIn('Expires', url)

    def test_secrets_are_encrypted_at_rest_and_stay_out_of_the_log(self):
        """Whoever reads the database or the log could end drains."""
        self.create()
        self.hook.FnGetAtt('agent_config')
        redacted = self.redacted_data(self.hook)
        self.delete()

        self.assertIn('queue_access', redacted)
        self.assertIn('secret_key', redacted)
        self.assertNotIn('queue-secret', self.log.output)
        self.assertNotIn('heat-secret', self.log.output)
        self.assertNotIn('Signature=', self.log.output)


class SignalTest(_HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.cluster = self.senlin.add_cluster(size=3)
        self.senlin.bind(self.cluster, self.hook.resource_id)
        self.add_event = self.patchobject(self.hook, '_add_event')

    def signal(self, details):
        """Signal the way the engine does, check methods included."""
        self.hook._signal_check_action()
        self.hook._signal_check_hook(details)
        self.assertFalse(self.hook.signal(details, need_check=False))

    def answer(self, token, **extra):
        return dict(base.contract('signal.json'),
                    lifecycle_action_token=token, **extra)

    def sentence(self):
        """The one event of this test."""
        self.add_event.assert_called_once()
        (_action, _status, reason), _kwargs = self.add_event.call_args
        return reason

    def completed(self):
        return [line.split()[1] for line in self.journal
                if line.startswith('complete ')]

    def assertRefused(self, *words):
        self.assertEqual([], self.completed())
        self.assertEqual(1, len(self.warnings()), self.log.output)
        for word in words:
            self.assertIn(word, self.warnings()[0])
            self.assertIn(word, self.sentence())
        self.assertNotIn('Traceback', self.log.output)

    def test_continue_completes_the_action(self):
        """A drained server would stay until the timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        node = self.senlin.nodes[self.senlin.actions[token]['target']]

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        self.assertEqual('Signal: CONTINUE for server %s: drained 12 sessions '
                         'in 31 s.' % node['physical_id'], self.sentence())
        self.assertEqual([], self.warnings())

    def test_result_that_is_missing_means_continue(self):
        """A one-line curl in user data would not do."""
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal({'lifecycle_action_token': token, 'unknown': [1]})

        self.assertEqual([token], self.completed())

    def test_two_servers_at_once_each_end_their_own_drain(self):
        """One guest would end the drain of the other."""
        first = self.senlin.wait_for_guest(self.cluster, 0)
        second = self.senlin.wait_for_guest(self.cluster, 1)

        self.signal(self.answer(second))

        self.assertEqual(fakes.WAITING, self.senlin.status(first))
        self.signal(self.answer(first))
        self.assertEqual([second, first], self.completed())

    def test_signal_that_comes_twice_does_nothing_the_second_time(self):
        """A retry of the agent would fill the log and the event list."""
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal(self.answer(token))
        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        self.add_event.assert_called_once()
        self.assertEqual([], self.warnings())

    def test_late_signal_is_harmless(self):
        """A slow guest would trouble a server that has gone."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.end(token)
        self.senlin.nodes.clear()

        self.signal(self.answer(token))

        self.assertEqual([], self.completed())
        self.add_event.assert_not_called()
        self.assertEqual([], self.warnings())

    def test_token_of_a_cluster_without_this_hook_is_refused(self):
        """A guest could delete servers of its neighbours."""
        foreign = self.senlin.add_cluster()
        self.senlin.bind(foreign, self.senlin.add_hook_policy())
        token = self.senlin.wait_for_guest(foreign)

        self.signal(self.answer(token))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertRefused(token, 'belongs to no cluster with this hook')

    def test_token_of_a_node_without_a_cluster_is_refused(self):
        """A lookup without a cluster would fail in the middle."""
        token = self.senlin.wait_for_guest(self.cluster)
        node_id = self.senlin.actions[token]['target']
        self.senlin.nodes[node_id]['cluster_id'] = ''

        self.signal(self.answer(token))

        self.assertRefused('belongs to no cluster with this hook')

    def test_token_of_a_node_that_is_gone_is_refused(self):
        """A guest that signals from the grave would leave a traceback."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.nodes.clear()

        self.signal(self.answer(token))

        self.assertRefused('belongs to no cluster with this hook')

    def test_token_of_a_cluster_that_is_gone_is_refused(self):
        """A cluster deleted by force would leave a traceback."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.remove_cluster(self.cluster)

        self.signal(self.answer(token))

        self.assertRefused('belongs to no cluster with this hook')

    def test_token_that_is_missing_is_named_so(self):
        """A person would look for a value where there is none."""
        self.signal({'lifecycle_action_result': 'CONTINUE'})

        self.assertRefused('lifecycle_action_token is missing')

    def test_token_that_nobody_gave_out_is_refused(self):
        """A guess would reach Senlin."""
        token = base.contract('signal.json')['lifecycle_action_token']

        self.signal(self.answer(token))

        self.assertRefused('Senlin knows no action', token)

    def test_action_that_only_answers_to_the_token_is_refused(self):
        """Senlin finds actions by name too, so a name could be a token."""
        real = self.senlin.wait_for_guest(self.cluster)
        alias = base.contract('signal.json')['lifecycle_action_token']
        self.senlin.actions[alias] = self.senlin.actions[real]

        self.signal(self.answer(alias))

        self.assertRefused('Senlin knows no action')

    def test_rollback_is_refused_by_name(self):
        """A server that asks to stay would be deleted."""
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal(self.answer(token, lifecycle_action_result='ROLLBACK'))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertRefused('lifecycle_action_result', '"ROLLBACK"')

    def test_unknown_result_is_refused_by_name(self):
        """A slip of the pen would delete a server."""
        token = self.senlin.wait_for_guest(self.cluster)

        for result in ('CONTINEU', 'continue', '', 5, ['CONTINUE'], False):
            self.signal(self.answer(token, lifecycle_action_result=result))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertEqual(6, len(self.warnings()))
        self.assertIn('"CONTINEU"', self.warnings()[0])
        self.assertIn('"[\'CONTINUE\']"', self.warnings()[4])

    def test_body_that_is_not_an_object_is_refused(self):
        """A stray request would put a traceback in the log."""
        for body in (None, '', 'text', 'unset_hook', 7, 0.5, True, [],
                     ['unset_hook'], [[]]):
            self.add_event.reset_mock()
            self.signal(body)
            self.assertIn('Signal: refused: ', self.sentence())

        self.assertEqual(10, len(self.warnings()))
        self.assertEqual([], self.completed())
        self.assertNotIn('Traceback', self.log.output)

    def test_handler_on_its_own_takes_any_body(self):
        """Heat hands over what was posted, and may stop checking it."""
        for body in (None, 'text', 7, []):
            self.assertEqual('refused: the body is not a JSON object.',
                             self.hook.handle_signal(body))

    def test_token_that_is_no_uuid_is_refused(self):
        """The token becomes part of a URL."""
        for token in ('', 'short', '../clusters', 5, {}, [], 'x' * 5000):
            self.add_event.reset_mock()
            self.signal(self.answer(token))
            self.assertIn('lifecycle_action_token', self.sentence())
            self.assertLess(len(self.sentence()), 255)

        self.assertEqual(7, len(self.warnings()))
        self.assertEqual([], self.completed())

    def test_guest_cannot_write_log_lines(self):
        """A guest could forge what an operator reads."""
        self.signal(self.answer('x\n2024-05-01 ERROR forged'))

        self.assertRefused('x 2024-05-01 ERROR forged')

    def test_long_reason_is_cut(self):
        """An event that does not fit its column would lose its end."""
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal(self.answer(token, reason='r' * 5000))

        self.assertLess(len(self.sentence()), 255)
        self.assertEqual([token], self.completed())

    def test_senlin_that_is_away_leaves_one_line(self):
        """An outage would put one traceback per guest in the log."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.down = ksa_exceptions.ConnectFailure('no route to Senlin')

        self.signal(self.answer(token))

        self.assertRefused('no route to Senlin')
        self.senlin.down = None
        self.signal(self.answer(token))
        self.assertEqual([token], self.completed())


class PendingTest(_HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.cluster = self.senlin.add_cluster(size=2)
        self.senlin.bind(self.cluster, self.hook.resource_id)

    def test_lists_what_waits_and_only_that(self):
        """A person could not see whom a scale-in waits for."""
        token = self.senlin.wait_for_guest(self.cluster, 1)
        foreign = self.senlin.add_cluster()
        self.senlin.wait_for_guest(foreign)
        self.senlin.add_action('NODE_DELETE',
                               self.senlin.nodes_of(self.cluster)[0],
                               'RUNNING')
        node_id = self.senlin.actions[token]['target']

        self.assertEqual(
            [{'lifecycle_action_token': token, 'node_id': node_id,
              'server': self.senlin.nodes[node_id]['physical_id'],
              'since': '2024-05-01T12:00:00Z'}],
            self.hook.FnGetAtt('pending'))

    def test_is_never_a_copy(self):
        """A drain that has ended would be shown as waiting."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.assertEqual(1, len(self.hook.FnGetAtt('pending')))

        self.senlin.end(token)

        self.assertEqual([], self.hook.FnGetAtt('pending'))

    def test_node_that_goes_meanwhile_is_left_out(self):
        """A look at the stack would fail when a drain ends."""
        self.senlin.wait_for_guest(self.cluster)
        self.senlin.nodes.clear()

        self.assertEqual([], self.hook.FnGetAtt('pending'))


class DeleteTest(_HookTestCase):

    def test_everything_goes_in_order(self):
        """The user must be the last: guests signal with its key."""
        self.create()
        del self.journal[:]

        self.delete()

        self.assertEqual(['delete policy', 'delete queue', 'delete keypair',
                          'delete user'], self.journal)
        self.assertEqual({}, self.reload(self.hook).data())

    def test_attributes_of_a_deleted_hook_make_no_user(self):
        """Asked for a signed URL, Heat makes a user that nobody removes."""
        self.create()
        self.delete()
        del self.journal[:]

        self.assertIsNone(self.hook._resolve_attribute('signal_url'))
        self.assertIsNone(self.hook._resolve_attribute('agent_config'))
        self.assertEqual([], self.journal)

    def test_what_is_gone_is_no_trouble(self):
        """A stack whose queue was removed by hand could not be deleted."""
        self.create()
        self.senlin.policies.clear()
        self.zaqar.queues.clear()

        self.delete()

        self.assertEqual((self.hook.DELETE, self.hook.COMPLETE),
                         self.hook.state)

    def test_engine_dies_in_the_middle(self):
        """The second try would stop at what the first has done."""
        self.create()
        with mock.patch.object(fakes._Queue, 'delete',
                               side_effect=SystemExit):
            self.assertRaises(SystemExit, self.delete)
        self.assertEqual({}, self.senlin.policies)

        again = self.reload(self.hook)
        again.handle_delete()

        self.assertIn('delete user', self.journal)
        self.assertEqual({}, again.data())

    def test_hook_that_was_never_created_asks_nobody(self):
        """A stack that failed early could not be deleted."""
        self.delete()

        self.assertEqual([], self.journal)

    def test_policy_in_use_is_named(self):
        """A person would have to guess what still needs the hook."""
        self.create()
        self.senlin.bind(self.senlin.add_cluster(), self.hook.resource_id)

        error = self.assertRaises(base.ResourceFailure, self.delete)

        self.assertIn('the policy %s is still attached'
                      % self.hook.resource_id, str(error))
        self.assertEqual(1, len(self.zaqar.queues))


class SharedQueueTest(_HookTestCase):
    template = SHARED_QUEUE

    def test_given_queue_is_used_and_kept(self):
        """The queue of somebody else would be deleted with the stack."""
        self.zaqar.queues.add('shared')

        self.create()
        self.assertEqual('shared', self.hook.FnGetAtt('queue_name'))
        self.assertEqual('shared', self.agent_config()['queue']['name'])
        self.delete()

        self.assertEqual({'shared'}, self.zaqar.queues)
        self.assertNotIn('create queue', self.journal)


def _shape(document):
    """The keys of a document and the types of its values."""
    if isinstance(document, dict):
        return {key: _shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_shape(item) for item in document]
    return type(document).__name__
