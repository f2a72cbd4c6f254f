# SPDX-License-Identifier: Apache-2.0

import itertools
import re
import sys
import threading
from unittest import mock

from heat.common import context as heat_context
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import token_endpoint
from oslo_serialization import jsonutils
import requests
import requests_mock
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base
from tests.unit import fakes

# Before any test has put something else in its place.
CREATE_ZAQAR = base.zaqar_plugin.ZaqarClientPlugin._create

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

    def policies(self):
        return self.senlin.policies_of(self.hook.FnGetRefId())

    def policy(self):
        policy, = self.policies()
        return policy

    def hook_timeouts(self, cluster_id):
        """The timeouts of the hooks that a cluster has."""
        return [self.senlin.policies[binding['policy_id']]
                ['spec']['properties']['hooks']['timeout']
                for binding in self.senlin.bindings_of(cluster_id)]


class CreateTest(_HookTestCase):

    def test_policy_carries_the_hook(self):
        """Senlin would delete servers at once, or at another time."""
        self.create()

        policy = self.policy()
        self.assertEqual('senlin.policy.deletion-1.1', policy['type'])
        self.assertEqual(
            {'criteria': 'OLDEST_FIRST', 'grace_period': 0,
             'destroy_after_deletion': True, 'reduce_desired_capacity': True,
             'hooks': {'type': 'zaqar', 'timeout': 120,
                       'params': {'queue': self.hook.FnGetRefId()}}},
            policy['spec']['properties'])

    def test_goes_by_one_name(self):
        """A person could not tell what belongs to which hook."""
        self.create()

        name = self.hook.FnGetRefId()
        self.assertRegex(name, '^lifecycle-hook-[0-9a-f-]{36}$')
        self.assertEqual(name, self.hook.FnGetAtt('queue_name'))
        self.assertEqual(name, self.reload(self.hook).FnGetRefId())
        self.assertEqual(self.policy()['id'], self.hook.FnGetAtt('policy_id'))

    def test_queue_name_fits_and_belongs_to_one_hook(self):
        """Two stacks in a project would read each other's messages."""
        self.create()
        other = self.parse_stack(TEMPLATE)['hook']
        self.run_task(other.create)

        names = {r.FnGetAtt('queue_name') for r in (self.hook, other)}
        self.assertEqual(self.zaqar.existing, names)
        self.assertEqual(2, len(names))
        self.assertTrue(all(len(name) <= 64 for name in names))

    def test_request_that_hangs_has_an_end(self):
        """A Senlin that says nothing would hold the engine up for ever."""
        limits = set()
        self.senlin.before = lambda request: limits.add(request.timeout)

        self.create()

        self.assertEqual({30}, limits)

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

    def test_engine_dies_anywhere_and_an_update_carries_on(self):
        """The second try would make things twice, or give other user data."""
        for changes in itertools.count():
            self.start_over()
            if not self.dies(changes, self.create):
                break
            config = self.hook.FnGetAtt('agent_config')

            self.hook = self.reload(self.hook)
            self.update(self.hook)

            self.assertEqual(1, len(self.policies()))
            self.assertEqual({self.hook.FnGetRefId()}, self.zaqar.existing)
            self.assertEqual(1, self.journal.count('create user'))
            self.assertIn('signal_url', self.agent_config())
            if config is not None:
                self.assertEqual(config, self.hook.FnGetAtt('agent_config'))
        # User, queue, signature, policy.
        self.assertEqual(4, changes)

    def test_engine_dies_anywhere_and_a_deletion_cleans_up(self):
        """Policy, queue and user would stay in the project for ever."""
        for changes in itertools.count():
            self.start_over()
            if not self.dies(changes, self.create):
                break

            self.hook = self.reload(self.hook)
            self.delete()

            self.assertEqual({}, self.senlin.policies)
            self.assertEqual(set(), self.zaqar.existing)
            self.assertEqual(self.journal.count('create user'),
                             self.journal.count('delete user'))

    def test_engine_dies_before_it_hears_of_the_user(self):
        """Keystone takes a name once, and the stack could not be made."""
        keystone = self.hook.keystone()
        keystone.stack_domain_id = 'domain'
        keystone.domain_admin_client = mock.Mock()
        users = keystone.domain_admin_client.users
        users.list.return_value = [mock.Mock(id='left')]

        with mock.patch.object(keystone, 'create_stack_domain_user',
                               side_effect=[ksa_exceptions.Conflict(),
                                            'made']):
            self.create()

        users.list.assert_called_once_with(
            domain='domain', name=self.hook.physical_resource_name())
        self.assertEqual(1, self.journal.count('delete user'))
        self.assertEqual('made', self.hook.data()['user_id'])

    def test_engine_dies_before_it_hears_of_the_policy(self):
        """The cluster would be given one, and the other would stay."""
        self.assertTrue(self.dies(4, self.create, hears_of_the_last=False))
        self.assertEqual(1, len(self.policies()))

        self.update(self.reload(self.hook))

        self.assertEqual(1, len(self.policies()))

    def start_over(self):
        self.senlin.policies.clear()
        self.zaqar.existing.clear()
        del self.journal[:]
        self.hook = self.parse_stack(TEMPLATE)['hook']

    def test_senlin_is_away_for_a_while(self):
        """A restart of Senlin would fail the stack."""
        for after in range(3):
            self.start_over()
            self.senlin.down = self.outage(250, after=after)

            self.create()

            self.assertEqual(1, len(self.policies()))
            self.assertEqual(1, self.journal.count('create user'))
            self.assertEqual(1, self.journal.count('sign queue'))

    def test_senlin_is_away_for_long(self):
        """The stack would wait until it times out, and not say for whom."""
        self.senlin.down = self.outage(
            400, ksa_exceptions.ConnectFailure('no route to Senlin\nat all'))

        error = self.assertRaises(base.ResourceFailure, self.create)

        self.assertIn('hook: a service has not answered for 300 seconds: ',
                      str(error))
        self.assertIn('Repeat the operation when it is back.', str(error))

    def test_zaqar_is_away_for_a_while(self):
        """A restart of Zaqar would fail the stack."""
        runner = self.start_task(self.hook.create)
        self.zaqar.down = zaqar_errors.ServiceUnavailableError()
        self.stand_still(runner)
        self.zaqar.down = None

        runner.run_to_completion()

        self.assertEqual({self.hook.FnGetRefId()}, self.zaqar.existing)

    def test_zaqar_is_out_of_reach_for_a_while(self):
        """A network that hiccups would fail the stack."""
        runner = self.start_task(self.hook.create)
        self.zaqar.down = requests.ConnectionError('no route to Zaqar')
        self.stand_still(runner)
        self.zaqar.down = None

        runner.run_to_completion()

        self.assertEqual({self.hook.FnGetRefId()}, self.zaqar.existing)

    def test_zaqar_that_refuses_is_no_outage(self):
        """A mistake would be repeated for five minutes."""
        self.zaqar.down = zaqar_errors.UnauthorizedError()

        error = self.assertRaises(base.ResourceFailure, self.create)

        self.assertIn('401', str(error))

    def test_service_that_is_not_there_is_named(self):
        """Nobody would know that Zaqar is not installed."""
        self.zaqar.endpoint = None

        error = self.assertRaises(base.ResourceFailure, self.create)

        self.assertIn('messaging', str(error))


class ValidateTest(base.ServiceTestCase):

    def validate(self, timeout_mins=None, **values):
        lines = '\n'.join('      %s: %s' % (key, jsonutils.dumps(value))
                          for key, value in values.items())
        stack = self.parse_stack('\n'.join(
            TEMPLATE.splitlines()[:-2] + [lines]), timeout_mins=timeout_mins)
        stack['hook'].validate()

    def refusal(self, **kwargs):
        return str(self.assertRaises(base.StackValidationFailed,
                                     self.validate, **kwargs))

    def test_adoption_is_refused(self):
        """Guests would signal to a stack that is not there."""
        stack = self.parse_stack(TEMPLATE)
        stack.adopt_stack_data = {'resources': {}}

        error = self.assertRaises(base.StackValidationFailed,
                                  stack['hook'].validate)

        self.assertIn('a hook cannot be adopted', str(error))
        self.assertIn('create a new stack', str(error))
        self.assertEqual([], self.journal)

    def test_timeout_must_fit_into_the_one_of_the_stack(self):
        """A stack delete would end in the middle of a drain."""
        for timeout in (300, 301, 86400):
            message = self.refusal(timeout=timeout, timeout_mins=5)
            self.assertIn('"timeout", %d seconds, is not below 300 seconds'
                          % timeout, message)
            self.assertIn('--timeout', message)

        self.validate(timeout=299, timeout_mins=5)

    def test_timeout_that_is_left_out_must_fit_too(self):
        """The default of five minutes is too long for a stack of five."""
        self.assertIn('300 seconds', self.refusal(criteria='RANDOM',
                                                  timeout_mins=5))
        self.validate(criteria='RANDOM', timeout_mins=6)

    def test_timeout_out_of_range_is_refused(self):
        """Senlin would fail in the middle of the stack."""
        for timeout in (0, -1, 86401):
            self.refusal(timeout=timeout, timeout_mins=2000)

        self.validate(timeout=86400, timeout_mins=2000)
        self.validate(timeout=1)

    def test_queue_name_that_zaqar_does_not_take_is_refused(self):
        """The stack would fail half-way, with words of Zaqar's."""
        for name in ('q' * 65, 'a queue', ' queue', 'queue ', 'queue\n',
                     'a/queue', 'wartelöschen', '../queue', 'a%20b'):
            self.refusal(queue=name)

        for name in ('', 'q', 'q' * 64, 'A.queue_of-1'):
            self.validate(queue=name)


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
        name = self.hook.FnGetRefId()
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
                         % self.hook.FnGetRefId(),
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

        self.assertIn('agent_config', redacted)
        self.assertIn('secret_key', redacted)
        self.assertNotIn('queue-secret', self.log.output)
        self.assertNotIn('heat-secret', self.log.output)
        self.assertNotIn('Signature=', self.log.output)


class _SignalTestCase(_HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.cluster = self.senlin.add_cluster(size=3)
        self.senlin.bind_hook(self.cluster, self.hook.FnGetRefId())
        self.senlin.guests_answer = False

    def signal(self, details):
        """Signal the way the engine does, check methods included."""
        self.hook._signal_check_action()
        self.hook._signal_check_hook(details)
        self.assertFalse(self.hook.signal(details, need_check=False))

    def answer(self, token, **extra):
        return dict(base.contract('signal.json'),
                    lifecycle_action_token=token, **extra)

    def rollback(self, token, **extra):
        self.signal(self.answer(token, lifecycle_action_result='ROLLBACK',
                                **extra))

    def node_of(self, token):
        return self.senlin.nodes[self.senlin.actions[token]['target']]

    def sentence(self):
        """The one event of this test."""
        sentence, = self.events(self.hook)
        return sentence

    def asked(self, what):
        """The actions that Senlin was asked to complete, or to cancel."""
        return [line.split()[1] for line in self.journal
                if line.startswith(what + ' ')]

    def completed(self):
        return self.asked('complete')

    def assertRefused(self, *words):
        self.assertEqual([], self.completed() + self.asked('cancel'))
        self.assertEqual(1, len(self.warnings()), self.log.output)
        for word in words:
            self.assertIn(word, self.warnings()[0])
            self.assertIn(word, self.sentence())
        self.assertNotIn('Traceback', self.log.output)


class SignalTest(_SignalTestCase):

    def test_continue_completes_the_action(self):
        """A drained server would stay until the timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        node = self.node_of(token)

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        self.assertEqual(
            'Signal: CONTINUE for server %s (%s) after 31 s, by the signal '
            'URL: drained 12 sessions in 31 s.'
            % (node['physical_id'], node['name']), self.sentence())
        self.assertEqual([], self.warnings())

    def given_up(self, **changes):
        """Return the token of a drain that Senlin has given up."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.end(token, 'FAILED', 'Engine failure')
        self.senlin.actions[token].update(changes)
        self.journal.clear()
        return token

    def test_deletion_that_senlin_gave_up_is_made_up_for(self):
        """A server that has drained would stay, and serve nobody."""
        token = self.given_up()
        node = self.node_of(token)['id']

        self.signal(self.answer(token))
        self.signal(self.answer(token))
        self.senlin.work()
        self.signal(self.answer(token))

        self.assertEqual(['del_nodes'], self.journal)
        self.assertNotIn(node, self.senlin.nodes)
        self.assertEqual(2, len(self.senlin.nodes))
        self.assertIn('CONTINUE for server', self.sentence())

    def test_deletion_that_senlin_gave_up_is_rolled_back(self):
        """The capacity that the scale-in has lowered would stay."""
        token = self.given_up()

        self.rollback(token)
        self.senlin.work()

        self.assertEqual(['resize'], self.journal)
        self.assertEqual(3, len(self.senlin.nodes))
        self.assertEqual(
            3, self.senlin.clusters[self.cluster]['desired_capacity'])

    def test_busy_cluster_keeps_what_senlin_gave_up(self):
        """The guest would be told that it failed, or the server be lost."""
        token = self.given_up()
        self.senlin.locks[self.cluster] = 1

        self.signal(self.answer(token))

        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())
        self.assertIn(self.node_of(token)['id'], self.senlin.nodes)

    def assertIgnored(self, token):
        """Whatever the guest says of a deletion, nothing comes of it."""
        self.signal(self.answer(token))
        self.rollback(token)

        self.assertEqual([], self.journal)
        self.assertEqual([], self.events(self.hook))
        self.assertEqual(3, len(self.senlin.nodes))

    def test_answer_to_a_former_question_deletes_nothing(self):
        """A server that was asked again would go before it has answered."""
        token = self.given_up()
        self.senlin.add_action('NODE_DELETE', self.node_of(token)['id'],
                               fakes.WAITING)

        self.assertIgnored(token)

    def test_answer_after_the_timeout_deletes_nothing(self):
        """A server that has long served others again would go."""
        # Of 120 seconds, none is left.
        self.assertIgnored(self.given_up(created_at='2024-05-01T11:58:31Z'))

    def test_answer_before_the_timeout_is_in_time(self):
        """A server that has drained would stay, and serve nobody."""
        self.signal(self.answer(
            self.given_up(created_at='2024-05-01T11:58:32Z')))

        self.assertEqual(['del_nodes'], self.journal)

    def test_answer_for_a_deletion_that_failed_deletes_nothing(self):
        """What Senlin has tried in vain would be tried behind its back."""
        self.assertIgnored(
            self.given_up(status_reason='Failed in deleting the server.'))

    def test_heartbeat_changes_nothing_in_senlin(self):
        """A guest that says that it still works would keep its server."""
        token = self.senlin.wait_for_guest(self.cluster)
        before = len(self.senlin.requests)

        self.signal(self.answer(token, lifecycle_action_result='HEARTBEAT'))

        self.assertEqual([], self.senlin.requests[before:])
        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_foreign_deletion_that_senlin_gave_up_is_refused(self):
        """An old token would delete a server of somebody else."""
        self.senlin.bindings.clear()

        self.signal(self.answer(self.given_up()))

        self.assertRefused('belongs to no cluster')
        self.assertEqual(3, len(self.senlin.nodes))

    def test_signals_of_one_stack_share_a_token_of_keystone(self):
        """A hundred guests would have a hundred tokens made and checked."""
        auths = []
        for number in range(2):
            # Heat loads the stack anew for each signal.
            self.hook = self.reload(self.hook)
            context = self.hook.context
            context.trust_id = 'trust of this test'
            context._auth_plugin = object()

            self.signal(self.answer(self.senlin.wait_for_guest(
                self.cluster, number)))
            auths.append(context.keystone_session.auth)

        self.assertIs(*auths)
        self.assertEqual(2, len(self.completed()))

    def test_no_connection_stays_open_after_a_signal(self):
        """A thousand signals would take all connections of Senlin."""
        token = self.senlin.wait_for_guest(self.cluster)
        unknown = '8a5f0c1e-3c0e-4a52-9d7a-51a9f2f4c6b1'
        session = self.patchobject(self.hook.context.keystone_session,
                                   'session')
        for number, (said, down) in enumerate((
                (token, None), (unknown, None),
                (token, ksa_exceptions.ConnectFailure('no route'))), 1):
            self.senlin.down = down
            self.signal(self.answer(said))
            self.assertEqual(number, session.close.call_count)

    def test_event_says_who_it_was(self):
        """Nobody could tell a guest from a person who ended the drain."""
        for user, name, who in (('u-1', 'alice', 'user alice'),
                                ('u-1', None, 'user u-1'),
                                (self.hook._get_user_id(), 'hook-user',
                                 'the signal URL'),
                                (None, None, 'the signal URL')):
            token = self.senlin.wait_for_guest(self.cluster)
            heat_context.RequestContext(user_id=user, username=name,
                                        is_admin=False)
            self.signal(self.answer(token))

            self.assertIn(' s, by %s: ' % who, self.events(self.hook)[-1])

    def test_copies_that_come_at_once_are_one(self):
        """Each copy would be one more event and one more completion."""
        token = self.senlin.wait_for_guest(self.cluster)
        texts = []

        def guest():
            try:
                texts.append(self.hook.handle_signal(self.answer(token)))
            except base.NoActionRequired:
                pass

        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1e-6)
        guests = [threading.Thread(target=guest, daemon=True)
                  for _i in range(50)]
        for thread in guests:
            thread.start()
        for thread in guests:
            thread.join()

        self.assertEqual([token], self.completed())
        self.assertEqual(1, len(texts))

    def test_copy_that_another_engine_has_is_waited_for(self):
        """Senlin would begin the deletion of the server a second time."""
        token = self.senlin.wait_for_guest(self.cluster)
        lease = self.plugin_module('_engine.lease')

        def other_engine():
            held.__exit__(None, None, None)
            self.senlin.end(token)

        held = lease.hold(self.hook.context, self.hook.stack.id, token)
        held.__enter__()
        self.time.meanwhile = other_engine

        self.assertRaises(base.NoActionRequired, self.hook.handle_signal,
                          self.answer(token))
        self.assertEqual([], self.completed())

    def test_claim_of_a_dead_engine_ends(self):
        """The drain would take until its timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        lease = self.plugin_module('_engine.lease')
        dead = lease.hold(self.hook.context, self.hook.stack.id, token)
        dead.__enter__()

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        # Less, and an engine that waits for Senlin would be taken for dead.
        limit = self.plugin_module('_engine.clients').REQUEST_TIMEOUT
        self.assertGreaterEqual(self.time.slept, 2 * limit)
        self.assertLess(self.time.slept, 3 * limit)
        # Nor is anything of it left.
        slept = self.time.slept
        with lease.hold(self.hook.context, self.hook.stack.id, token):
            self.assertEqual(slept, self.time.slept)

    def test_suspended_stack_still_hears_its_guests(self):
        """Senlin goes on, so a drained server would stay until the timeout."""
        self.run_task(self.hook.suspend)
        self.hook = self.reload(self.hook)
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal(self.answer(token))
        self.run_task(self.hook.resume)

        self.assertEqual([token], self.completed())
        self.assertEqual([], [entry for entry in self.journal
                              if entry in ('disable user', 'enable user')])

    def test_stack_that_is_being_deleted_still_hears_its_guests(self):
        """The last drains would all take until the timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        for action in ('DELETE', 'UPDATE', 'CHECK', 'ROLLBACK'):
            self.hook.state_set(action, 'IN_PROGRESS')
            self.signal(self.answer(token))
            self.assertEqual([token], self.completed())

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
        self.assertIn('CONTINUE', self.sentence())
        self.assertEqual([], self.warnings())

    def test_late_signal_is_harmless(self):
        """A slow guest would trouble a server that has gone."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.end(token)
        self.senlin.nodes.clear()

        self.signal(self.answer(token))

        self.assertEqual([], self.completed())
        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_token_of_a_cluster_without_this_hook_is_refused(self):
        """A guest could delete servers of its neighbours."""
        foreign = self.senlin.add_cluster()
        self.senlin.bind_hook(foreign, self.senlin.add_hook())
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

    def test_test_changes_nothing_and_leaves_an_event(self):
        """Trying a server out would end its drain, or prove nothing."""
        token = self.senlin.wait_for_guest(self.cluster)
        for body in ({}, {'lifecycle_action_token': token}):
            self.signal(dict(body, lifecycle_action_result='TEST',
                             reason='drain-agent check'))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertEqual([], self.completed())
        self.assertEqual(
            ['Signal: TEST, by the signal URL: drain-agent check.'] * 2,
            self.events(self.hook))
        self.assertEqual([], self.warnings())

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
            self.signal(body)
            self.assertIn('Signal: refused: ', self.events(self.hook)[-1])

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
        # The last one is a UUID as far as Python goes.
        for token in ('', 'short', '../clusters', 5, {}, [], 'x' * 5000,
                      '-' * 9000 + fakes._uuid()):
            self.signal(self.answer(token))
            sentence = self.events(self.hook)[-1]
            self.assertIn('lifecycle_action_token', sentence)
            self.assertTrue(sentence.endswith('.'), sentence)

        self.assertEqual(8, len(self.warnings()))
        self.assertEqual([], self.completed())

    def test_value_that_is_deeper_than_python_goes_is_refused(self):
        """A guest could fill the log with tracebacks."""
        value = []
        for _level in range(5000):
            value = [value]

        said = self.hook.handle_signal(self.answer(value))

        self.assertTrue(
            said.startswith('refused: lifecycle_action_token "[['), said)

    def test_guest_cannot_write_log_lines(self):
        """A guest could forge what an operator reads."""
        self.signal(self.answer('x\n2024-05-01 ERROR forged'))

        self.assertRefused('x 2024-05-01 ERROR forged')

    def test_long_reason_is_cut(self):
        """An event that does not fit its column would lose its end."""
        self.clock.advance_time_seconds(86000)
        token = self.senlin.wait_for_guest(self.cluster)
        heat_context.RequestContext(user_id='u', username='operator',
                                    is_admin=False)

        self.signal(self.answer(token, reason='r' * 5000))

        self.assertTrue(self.sentence().endswith('rrr....'), self.sentence())
        self.assertEqual([token], self.completed())

    def test_senlin_is_away_for_a_while(self):
        """A guest was told that all is well, and would not say it again."""
        for after in range(5):
            for answer in (500, ksa_exceptions.ConnectFailure('no route')):
                token = self.senlin.wait_for_guest(self.cluster)
                self.senlin.down = self.outage(250, answer, after)

                self.signal(self.answer(token))

                self.assertEqual(token, self.completed()[-1])
        self.assertNotEqual(0, self.time.slept)
        self.assertEqual(10, len(self.completed()))
        self.assertEqual(10, len(self.events(self.hook)))
        self.assertEqual([], self.warnings())

    def test_senlin_is_away_when_the_engine_is_new(self):
        """The client itself could not be made, and the signal be lost."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.hook = self.reload(self.hook)
        self.senlin.down = self.outage(
            100, ksa_exceptions.ConnectFailure('no route'))

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())

    def test_senlin_that_is_away_for_long_leaves_one_line(self):
        """An outage would put one traceback per guest in the log."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.down = ksa_exceptions.ConnectFailure('no route to Senlin')

        self.signal(self.answer(token))

        self.assertRefused('no route to Senlin', 'lost, to be sent again')
        self.assertGreaterEqual(self.time.slept, 300)
        self.assertLess(self.time.slept, 310)
        self.senlin.down = None
        self.signal(self.answer(token))
        self.assertEqual([token], self.completed())

    def test_answer_of_senlin_is_lost(self):
        """The server would go, and nobody hear why."""
        token = self.senlin.wait_for_guest(self.cluster)

        def after(request):
            if request.method == 'POST':
                self.senlin.after = lambda request: None
                return 504
        self.senlin.after = after

        self.signal(self.answer(token))

        self.assertEqual({token}, set(self.completed()))
        self.assertIn('CONTINUE', self.sentence())
        self.assertEqual([], self.warnings())


class RollbackTest(_SignalTestCase):

    def desired(self):
        return self.senlin.clusters[self.cluster]['desired_capacity']

    def test_server_stays_and_is_desired(self):
        """A server that asks to stay would be deleted, or not be missed."""
        token, = self.senlin.scale_in(self.cluster)
        node = self.node_of(token)
        self.assertEqual(2, self.desired())

        self.rollback(token, reason='two games are on')

        self.assertEqual('CANCELLED', self.senlin.status(token))
        self.assertEqual([token], self.asked('cancel'))
        self.assertIn(node['id'], self.senlin.nodes)
        self.assertEqual(3, self.desired())
        self.assertEqual([], self.completed())
        self.assertEqual(
            ['Signal: ROLLBACK for server %s (%s) after 31 s, by the signal '
             'URL: two games are on.' % (node['physical_id'], node['name']),
             'Signal: the desired capacity of cluster %s counts that server '
             'again.' % self.cluster], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_number_of_servers_does_not_change(self):
        """Putting the capacity back would make a server, or delete one."""
        before = set(self.senlin.nodes)
        token, = self.senlin.scale_in(self.cluster)

        self.rollback(token)
        self.senlin.work()

        self.assertEqual(before, set(self.senlin.nodes))
        resize = self.senlin.actions[
            self.senlin.only_action('CLUSTER_RESIZE')]
        self.assertEqual('SUCCEEDED', resize['status'])
        # Else Senlin makes servers up to the minimum size.
        self.assertIs(True, resize['inputs']['strict'])

    def test_others_of_the_same_scale_in_may_go(self):
        """One server that stays would keep the others, or be counted out."""
        stays, goes = self.senlin.scale_in(self.cluster, 2)
        seen = []

        def meanwhile():
            seen.append(list(self.events(self.hook)))
            if len(seen) == 20:
                self.signal(self.answer(goes))
        self.time.meanwhile = meanwhile

        self.rollback(stays)

        # A person reads at once what the guest has said.
        self.assertIn('ROLLBACK', seen[0][0])
        self.assertEqual(2, self.desired())
        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))
        self.assertEqual('CANCELLED', self.senlin.status(stays))
        self.assertEqual('SUCCEEDED', self.senlin.status(goes))
        self.assertEqual(['ROLLBACK', 'CONTINUE', 'the'],
                         [event.split()[1] for event in
                          self.events(self.hook)])

    def test_one_that_comes_after_a_continue_for_another(self):
        """The first answer would be taken for that of all."""
        goes, stays = self.senlin.scale_in(self.cluster, 2)

        self.signal(self.answer(goes))
        self.rollback(stays)

        self.assertEqual(2, self.desired())
        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))

    def test_all_of_them_may_stay(self):
        """The second to refuse would find its action gone."""
        first, second = self.senlin.scale_in(self.cluster, 2)
        self.time.meanwhile = lambda: self.rollback(second)

        self.rollback(first)

        self.assertEqual(3, self.desired())
        self.assertEqual(['CANCELLED'] * 2,
                         [self.senlin.status(t) for t in (first, second)])

    def test_comes_twice(self):
        """A retry of the agent would fill the event list, or wait again."""
        token, = self.senlin.scale_in(self.cluster)
        self.rollback(token)
        events, slept = self.events(self.hook), self.time.slept

        self.rollback(token)

        self.assertEqual(events, self.events(self.hook))
        self.assertEqual([token], self.asked('cancel'))
        self.assertEqual(slept, self.time.slept)
        self.assertEqual(1, self.journal.count('resize'))
        self.assertEqual([], self.warnings())

    def test_second_copy_does_not_wait(self):
        """Each copy would block a thread of the engine for minutes."""
        token, _other = self.senlin.scale_in(self.cluster, 2)
        self.senlin.end(token, 'CANCELLED')

        self.rollback(token)

        self.assertEqual(0, self.time.slept)
        self.assertEqual([], self.events(self.hook))

    def test_second_copy_does_what_a_dead_engine_has_left(self):
        """The cluster would stay one short for ever."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.end(token, 'CANCELLED')

        self.rollback(token)
        self.senlin.work()

        self.assertEqual(3, self.desired())
        self.assertEqual([], self.events(self.hook))

    def test_comes_after_the_timeout(self):
        """A server that has gone would be said to stay."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.end(token)

        self.rollback(token)

        self.assertEqual([], self.asked('cancel'))
        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_comes_after_continue(self):
        """Of two answers the first counts: the server is half gone."""
        token, _other = self.senlin.scale_in(self.cluster, 2)
        self.signal(self.answer(token))

        self.rollback(token)

        self.assertEqual([], self.asked('cancel'))
        self.assertIn('CONTINUE', self.sentence())

    def test_continue_after_it_changes_nothing(self):
        """A server that was said to stay would be deleted after all."""
        token, = self.senlin.scale_in(self.cluster)
        self.rollback(token)

        self.signal(self.answer(token))

        self.assertEqual([], self.completed())
        self.assertEqual(2, len(self.events(self.hook)))

    def test_deletion_that_begins_at_this_moment_is_told(self):
        """The guest would be told that it stays, and then be deleted."""
        for status in ('RUNNING', 'SUCCEEDED', 'FAILED'):
            token = self.senlin.wait_for_guest(self.cluster)

            def before(request, token=token, status=status):
                if request.method == 'PATCH':
                    self.senlin.actions[token]['status'] = status
            self.senlin.before = before

            self.rollback(token)

            self.assertIn('came too late, its deletion has begun',
                          self.events(self.hook)[-1])
        self.assertEqual(3, len(self.events(self.hook)))
        self.assertNotIn('resize', self.journal)
        self.assertNotIn('Traceback', self.log.output)

    def test_cluster_that_stops_its_servers_first_cannot_keep_them(self):
        """Cancelled, the stop counts as done, and the server would go."""
        token, = self.senlin.scale_in(self.cluster, kind='NODE_OPERATION')

        self.rollback(token)

        self.assertRefused('cannot be kept',
                           'cluster.stop_node_before_delete')
        self.assertEqual(fakes.WAITING, self.senlin.status(token))

    def test_token_of_somebody_else_is_refused(self):
        """A guest could keep its neighbours from being scaled in."""
        foreign = self.senlin.add_cluster()
        self.senlin.bind_hook(foreign, self.senlin.add_hook())
        token, = self.senlin.scale_in(foreign)
        ended, = self.senlin.scale_in(self.senlin.add_cluster())
        self.senlin.end(ended, 'CANCELLED')

        self.rollback(token)

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertRefused('belongs to no cluster with this hook')
        self.rollback(ended)
        self.assertNotIn('resize', self.journal)
        self.assertIn('belongs to no cluster', self.events(self.hook)[-1])

    def test_senlin_is_away_for_a_while(self):
        """The server would stay, and the cluster be one short."""
        for after in range(10):
            token, = self.senlin.scale_in(self.cluster)
            self.senlin.down = self.outage(250, 500, after)

            self.rollback(token)

            self.assertEqual('CANCELLED', self.senlin.status(token))
            self.assertEqual(3, self.desired())
            self.assertIn('counts that server again',
                          self.events(self.hook)[-1])
        self.assertEqual(20, len(self.events(self.hook)))
        self.assertEqual([], self.warnings())

    def test_senlin_goes_away_in_the_middle_of_it(self):
        """The server would stay, and nobody hear of it."""
        for busy in (False, True):
            tokens = self.senlin.scale_in(self.cluster, 1 + busy)
            self.senlin.after = self.goes_away
            if busy:
                self.time.meanwhile = lambda: self.senlin.end(tokens[-1])

            self.rollback(tokens[0])

            self.assertEqual('CANCELLED', self.senlin.status(tokens[0]))
            self.assertEqual(3 - busy, self.desired())
            self.assertIn('ROLLBACK', self.events(self.hook)[-2])
            self.assertIn('again', self.events(self.hook)[-1])

    def goes_away(self, request):
        if request.method == 'PATCH':
            self.senlin.after = lambda request: None
            self.senlin.down = self.outage(20)
            return 504

    def test_waits_for_the_deletion_of_the_others_too(self):
        """A cluster with one silent guest would stay one short."""
        stays, _silent = self.senlin.scale_in(self.cluster, 2)

        def meanwhile():
            # The timeout is over, and Nova has taken its time.
            if self.time.slept >= 120 + 60:
                self.senlin.guests_answer = True
        self.time.meanwhile = meanwhile

        self.rollback(stays)

        self.assertEqual(2, self.desired())
        self.assertIn('counts that server again',
                      self.events(self.hook)[-1])

    def test_cluster_that_stays_busy_is_not_waited_for_for_ever(self):
        """A thread of the engine would be gone until its restart."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.locks[self.cluster] = 'somebody'

        self.rollback(token)

        self.assertGreaterEqual(self.time.slept, 120)
        self.assertLess(self.time.slept, 3600)
        rollback, end = self.events(self.hook)
        self.assertIn('ROLLBACK', rollback)
        self.assertIn('capacity of cluster %s is too low' % self.cluster, end)
        self.assertNotIn('Traceback', self.log.output)

    def test_cluster_that_goes_meanwhile_is_no_trouble(self):
        """A stack delete would leave a traceback for each such guest."""
        token, _other = self.senlin.scale_in(self.cluster, 2)
        self.time.meanwhile = (
            lambda: self.senlin.clusters.pop(self.cluster, None))

        self.rollback(token)

        self.assertEqual(3, self.time.slept)
        self.assertNotIn('Traceback', self.log.output)


class PendingTest(_HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.cluster = self.senlin.add_cluster(size=2)
        self.senlin.bind_hook(self.cluster, self.hook.FnGetRefId())

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

    def test_many_drains_cost_as_much_as_one(self):
        """A look at a large stack would take minutes, and load Senlin."""
        costs = []
        for drains in (1, 20):
            cluster = self.senlin.add_cluster(size=drains)
            self.senlin.bind_hook(cluster, self.hook.FnGetRefId())
            for index in range(drains):
                self.senlin.wait_for_guest(cluster, index)
            del self.senlin.requests[:]
            self.assertEqual(drains, len(self.hook.FnGetAtt('pending')))
            costs.append(len(self.senlin.requests))
            self.senlin.actions.clear()

        self.assertEqual(costs[0], costs[1])

    def test_nothing_that_waits_costs_one_request(self):
        """Each look at a quiet stack would load Senlin."""
        del self.senlin.requests[:]

        self.assertEqual([], self.hook.FnGetAtt('pending'))

        self.assertEqual(1, len(self.senlin.requests))


class UpdateTest(_HookTestCase):
    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self):
        self.senlin.policies.clear()
        self.senlin.clusters.clear()
        self.senlin.bindings.clear()
        self.hook = self.parse_stack(TEMPLATE)['hook']
        self.create()
        self.cluster = self.senlin.add_cluster(size=3)
        self.senlin.bind_hook(self.cluster, self.hook.FnGetRefId())
        del self.journal[:]

    def assertHas(self, timeout, *clusters):
        """The hook has one policy, with this timeout, on these clusters."""
        hooks = self.policy()['spec']['properties']['hooks']
        self.assertEqual(timeout, hooks['timeout'])
        for cluster in clusters or (self.cluster,):
            self.assertEqual([timeout], self.hook_timeouts(cluster))
        self.assertEqual(self.policy()['id'], self.hook.FnGetAtt('policy_id'))
        # Not even for a moment.
        self.assertEqual([], self.senlin.unguarded)

    def assertUnchanged(self):
        # The queue is made again at each update, in case it was lost.
        self.assertEqual({'create queue'}, set(self.journal))

    def refused(self, **values):
        error = self.assertRaises(base.ResourceFailure, self.update,
                                  self.hook, **values)
        return str(error)

    def test_new_values_reach_the_cluster(self):
        """The hook would be replaced, and with it every server."""
        self.update(self.hook, timeout=200, criteria='YOUNGEST_FIRST')

        self.assertHas(200)
        self.assertEqual('YOUNGEST_FIRST',
                         self.policy()['spec']['properties']['criteria'])
        self.assertEqual('senlin.policy.deletion-1.0', self.policy()['type'])

    def test_again_and_again(self):
        """The second update would find no place for its policy."""
        for timeout in (200, 250, 120, 300):
            self.update(self.hook, timeout=timeout)
            self.assertHas(timeout)

    def test_every_cluster_is_reached(self):
        """The second cluster would keep the old values for ever."""
        other = self.senlin.add_cluster()
        self.senlin.bind_hook(other, self.hook.FnGetRefId())
        foreign = self.senlin.add_cluster()
        hook = self.senlin.add_hook(timeout=77)
        self.senlin.bind_hook(foreign, hook)

        self.update(self.hook, timeout=200)

        self.assertHas(200, self.cluster, other)
        self.assertEqual([77], self.hook_timeouts(foreign))

    def test_hook_without_a_cluster_is_updated(self):
        """Its first cluster would get the old values."""
        self.senlin.bindings.clear()
        self.senlin.remove_cluster(self.cluster)

        self.update(self.hook, timeout=200)

        self.assertEqual([200], [p['spec']['properties']['hooks']['timeout']
                                 for p in self.policies()])
        self.assertEqual(self.policy()['id'], self.hook.FnGetAtt('policy_id'))

    def test_user_data_stays_the_same(self):
        """Every server would be replaced for a new timeout."""
        before = {name: self.hook.FnGetAtt(name) for name in
                  ('agent_config', 'signal_url', 'queue_name')}
        reference = self.hook.FnGetRefId()

        self.update(self.hook, timeout=200)

        again = self.reload(self.hook)
        for name, value in before.items():
            self.assertEqual(value, self.hook.FnGetAtt(name))
            self.assertEqual(value, again.FnGetAtt(name))
        self.assertEqual(reference, again.FnGetRefId())
        self.assertEqual(0, self.journal.count('sign queue'))

    def test_another_queue_is_another_hook(self):
        """Agents would read a queue on which nothing comes."""
        self.assertRaises(base.UpdateReplace, self.update, self.hook,
                          queue='shared')

        self.assertEqual([], self.journal)

    def test_busy_cluster_is_waited_for(self):
        """A drain that is running would fail the update."""
        other = self.senlin.add_cluster()
        self.senlin.bind_hook(other, self.hook.FnGetRefId())
        self.senlin.locks[self.cluster] = 'a drain'
        runner = self.start_task(self.hook.update,
                                 self.changed(self.hook, timeout=200))

        self.stand_still(runner)

        # Who is free does not wait for who is not.
        self.assertEqual([200], self.hook_timeouts(other))
        self.assertEqual([120], self.hook_timeouts(self.cluster))
        newest = max(self.policies(), key=lambda p: p['created_at'])
        self.assertEqual(newest['id'], self.hook.FnGetAtt('policy_id'))
        del self.senlin.locks[self.cluster]
        runner.run_to_completion()
        self.assertHas(200, self.cluster, other)

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.locks[self.cluster] = 'a drain'
        runner = self.start_task(self.hook.update,
                                 self.changed(self.hook, timeout=200))
        self.stand_still(runner)
        self.clock.advance_time_seconds(3590)

        error = self.assertRaises(base.ResourceFailure,
                                  runner.run_to_completion)

        self.assertIn('have not reached cluster %s' % self.cluster,
                      str(error))
        self.assertIn('3600 seconds', str(error))
        self.assertEqual([120], self.hook_timeouts(self.cluster))

    def test_timeout_must_be_below_the_one_of_each_cluster(self):
        """The drain would end with the server alive."""
        small = self.senlin.add_cluster(timeout=200)
        self.senlin.bind_hook(small, self.hook.FnGetRefId())

        message = self.refused(timeout=200)

        self.assertIn('"timeout", 200 seconds, is not below 200 seconds, the '
                      'timeout of cluster %s' % small, message)
        self.assertUnchanged()
        self.update(self.reload(self.hook), timeout=199)
        self.assertHas(199, self.cluster, small)

    def test_cluster_of_others_sets_no_limit(self):
        """A small cluster elsewhere in the project would be in the way."""
        foreign = self.senlin.add_cluster(timeout=10)
        self.senlin.bind_hook(foreign, self.senlin.add_hook(timeout=5))

        self.update(self.hook, timeout=200)

        self.assertHas(200)

    def test_other_deletion_policy_is_named(self):
        """It would take the place that the swap needs."""
        other = self.senlin.add_policy(type_='senlin.policy.deletion-1.0')
        self.senlin.bind(self.cluster, other)

        message = self.refused(timeout=200)

        self.assertIn('another deletion policy, %s' % other, message)
        self.assertUnchanged()

    def test_cluster_that_has_the_hook_twice(self):
        """Two swaps that were cut short would leave it so for ever."""
        self.senlin.bind(self.cluster, self.senlin.add_hook_policy(
            self.hook.FnGetRefId(), 120,
            type_='senlin.policy.deletion-1.0'))

        for timeout in (200, 120):
            self.update(self.hook, timeout=timeout)
            self.assertHas(timeout)

    def test_cluster_that_has_the_right_hook_twice(self):
        """Each scale-in would run two hooks."""
        properties = self.policy()['spec']['properties']
        self.senlin.bind(self.cluster, self.senlin.add_policy(
            self.hook.FnGetRefId(), 'senlin.policy.deletion-1.0',
            **properties))
        self.hook.state_set('UPDATE', 'FAILED')

        self.update(self.hook)

        self.assertEqual([120], self.hook_timeouts(self.cluster))
        self.assertEqual([], self.senlin.unguarded)

    def test_policy_that_others_made_is_no_obstacle(self):
        """A health policy has nothing to do with it."""
        self.senlin.bind(self.cluster, self.senlin.add_policy(
            type_='senlin.policy.health-1.1'))

        self.update(self.hook, timeout=200)

        self.assertEqual(2, len(self.senlin.bindings_of(self.cluster)))
        self.assertEqual(1, len(self.policies()))

    def test_attach_that_fails_is_repeated(self):
        """A lost race for the lock would leave the old values."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [
            ('FAILED', 'Failed in locking cluster.')] * 2

        self.update(self.hook, timeout=200)

        self.assertHas(200)

    def test_engine_dies_anywhere(self):
        """An update that was cut short could not be finished."""
        self.dies_anywhere(wanted=200, hears=(True, False))

    def test_engine_dies_anywhere_and_the_update_is_taken_back(self):
        """Heat sees no difference then, and the new values would stay."""
        self.dies_anywhere(wanted=120)

    def test_engine_dies_anywhere_and_other_values_follow(self):
        """Two places on the cluster would be taken, and a third be needed."""
        self.dies_anywhere(wanted=250)

    def dies_anywhere(self, wanted, hears=(True,)):
        for hears_of_the_last in hears:
            for changes in itertools.count(1 - hears_of_the_last):
                self.start_over()
                died = self.dies(changes, self.update, self.hook, timeout=200,
                                 hears_of_the_last=hears_of_the_last)
                self.senlin.work()
                if not died:
                    break
                self.hook = self.reload(self.hook)
                self.update(self.hook, timeout=wanted)
                self.assertHas(wanted)
            # A policy, its place on the cluster, and the old one's end twice.
            self.assertGreaterEqual(changes, 4)

    def test_engine_dies_again_and_again(self):
        """Each death would leave one policy more."""
        for timeout in (200, 250, 200, 300, 250):
            self.dies(2, self.update, self.hook, timeout=timeout)
            self.senlin.work()
            self.hook = self.reload(self.hook)
        self.assertEqual([], self.senlin.unguarded)

        self.update(self.hook, timeout=130)

        self.assertHas(130)

    def test_senlin_is_away_for_a_while(self):
        """A restart of Senlin would fail the update."""
        for after in range(0, 21, 4):
            self.start_over()
            self.senlin.down = self.outage(250, 503, after)

            self.update(self.hook, timeout=200)

            self.assertHas(200)

    def test_failed_creation_is_finished_in_place(self):
        """A new hook would mean new user data, hence new servers."""
        self.hook = self.parse_stack(TEMPLATE)['hook']
        self.dies(3, self.create)
        name = self.hook.FnGetRefId()
        self.hook = self.reload(self.hook)

        self.update(self.hook, timeout=200)

        self.assertEqual(name, self.hook.FnGetRefId())
        self.assertEqual(1, len(self.policies()))

    def test_creation_that_never_began_is_replaced(self):
        """Heat has nothing there that an update could finish."""
        hook = self.parse_stack(TEMPLATE)['hook']
        with mock.patch.object(type(hook), 'handle_create',
                               side_effect=ValueError):
            self.assertRaises(base.ResourceFailure, self.run_task,
                              hook.create)

        self.assertRaises(base.UpdateReplace, self.update,
                          self.reload(hook), timeout=200)

    def test_what_was_lost_is_made_again(self):
        """A hook whose policy somebody deleted could not be repaired."""
        self.senlin.remove_cluster(self.cluster)
        self.senlin.policies.clear()
        self.zaqar.existing.clear()

        self.assertRaises(base.ResourceFailure, self.run_task,
                          self.hook.check)
        self.hook = self.reload(self.hook)
        self.update(self.hook)

        self.assertEqual(1, len(self.policies()))
        self.assertIn(self.hook.FnGetRefId(), self.zaqar.existing)

    def test_update_without_a_change_changes_nothing(self):
        """Each stack update would lock the clusters."""
        policies = dict(self.senlin.policies)
        del self.journal[:]

        self.update(self.hook)

        # Made again or not, it is the same queue.
        self.assertEqual(['create queue'], self.journal)
        self.assertEqual(policies, self.senlin.policies)


class CheckTest(_HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()

    def problem(self):
        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.hook.check)
        return str(error)

    def test_healthy_hook_passes(self):
        """A check would cry wolf."""
        self.run_task(self.hook.check)

        self.assertEqual((self.hook.CHECK, self.hook.COMPLETE),
                         self.hook.state)

    def test_policy_that_is_gone_is_named(self):
        """Nobody would know that servers go without a drain."""
        self.senlin.policies.clear()

        message = self.problem()

        self.assertIn('gone: policy %s;' % self.hook.FnGetRefId(), message)
        self.assertIn('update the stack', message)
        self.assertNotIn('queue', message)

    def test_queue_that_is_gone_is_named(self):
        """Nobody would know that the agents are deaf."""
        self.zaqar.existing = {'other'}

        message = self.problem()

        self.assertIn('gone: queue %s;' % self.hook.FnGetRefId(), message)
        self.assertNotIn('policy', message)

    def test_queue_is_found_among_many(self):
        """A check would fail in a project with more than ten queues."""
        self.zaqar.existing.update('app-%02d' % i for i in range(30))

        self.run_task(self.hook.check)

        self.zaqar.existing.remove(self.hook.FnGetRefId())
        self.assertIn('gone: queue', self.problem())

    def test_queue_is_asked_for_in_one_request_that_changes_nothing(self):
        """A check would take longer with each queue, or be an update."""
        url = 'http://zaqar.example.com'
        self.patchobject(base.zaqar_plugin.ZaqarClientPlugin, '_create',
                         new=CREATE_ZAQAR)
        for status, exists in ((409, True), (404, False)):
            self.hook = self.reload(self.hook)
            self.hook.context._auth_plugin = token_endpoint.Token(url, 'token')
            asked = self.senlin.http.register_uri(
                requests_mock.ANY, re.compile('^%s/' % re.escape(url)),
                status_code=status, json={'title': 'no', 'description': 'no'})

            self.assertIs(exists, self.hook._queue_exists())

            [request] = asked.request_history
            self.assertEqual(
                ('PATCH', '%s/v2/queues/%s' % (url, self.hook.FnGetRefId()),
                 'application/openstack-messaging-v2.0-json-patch'),
                (request.method, request.url,
                 request.headers['content-type']))
            [change] = request.json()
            # Zaqar refuses it, whatever the queue has.
            self.assertEqual({'op': 'remove', 'path':
                              '/metadata/no_hook_sets_this'}, change)

    def test_both_are_named_at_once(self):
        """A person would repair one, to hear of the other."""
        self.senlin.policies.clear()
        self.zaqar.existing.clear()

        message = self.problem()

        self.assertIn('policy', message)
        self.assertIn('queue', message)

    def test_given_queue_is_not_ours_to_check(self):
        """Zaqar makes a queue with its first message."""
        hook = self.parse_stack(SHARED_QUEUE)['hook']
        self.run_task(hook.create)
        self.zaqar.existing.clear()

        self.run_task(hook.check)


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
        self.zaqar.existing.clear()

        self.delete()

        self.assertEqual((self.hook.DELETE, self.hook.COMPLETE),
                         self.hook.state)

    def test_engine_dies_anywhere(self):
        """The second try would stop at what the first has done."""
        for changes in itertools.count():
            self.hook = self.parse_stack(TEMPLATE)['hook']
            self.create()
            if not self.dies(changes, self.delete):
                break

            again = self.reload(self.hook)
            self.run_task(again.delete)

            self.assertEqual({}, self.senlin.policies)
            self.assertEqual(set(), self.zaqar.existing)
            self.assertEqual({}, again.data())
        # Policy, queue, key pair, user.
        self.assertEqual(4, changes)

    def test_hook_that_was_never_created_asks_nobody(self):
        """A stack that failed early could not be deleted."""
        self.delete()

        self.assertEqual([], self.journal)

    def test_policy_in_use_is_named(self):
        """A person would have to guess what still needs the hook."""
        self.create()
        self.senlin.bind_hook(self.senlin.add_cluster(),
                              self.hook.FnGetRefId())

        error = self.assertRaises(base.ResourceFailure, self.delete)

        self.assertIn('Policy %s is still attached to a cluster'
                      % self.policy()['id'], str(error))
        self.assertIn('openstack cluster policy detach', str(error))
        self.assertEqual(1, len(self.zaqar.existing))
        self.assertNotIn('delete user', self.journal)

    def test_every_policy_of_the_hook_goes(self):
        """What an update has left would stay in the project for ever."""
        self.create()
        self.senlin.add_hook_policy(self.hook.FnGetRefId(),
                                    type_='senlin.policy.deletion-1.0')
        other = self.senlin.add_hook()

        self.delete()

        self.assertEqual([other], [policy['name'] for policy in
                                   self.senlin.policies.values()])

    def test_services_are_away_for_a_while(self):
        """A restart of Senlin or Zaqar would fail the deletion."""
        for after in range(3):
            self.hook = self.parse_stack(TEMPLATE)['hook']
            self.create()
            self.senlin.down = self.outage(250, 500, after)
            self.zaqar.down = zaqar_errors.InternalServerError()
            runner = self.start_task(self.hook.delete)
            self.stand_still(runner)
            self.zaqar.down = None
            runner.run_to_completion()

            self.assertEqual({}, self.senlin.policies)
            self.assertEqual(set(), self.zaqar.existing)

    def test_senlin_is_away_for_long(self):
        """What it still has would be left behind without a word."""
        self.create()
        self.senlin.down = self.outage(
            1000, ksa_exceptions.ConnectFailure('no route to Senlin'))

        error = self.assertRaises(base.ResourceFailure, self.delete)

        self.assertIn('a service has not answered for 300 seconds',
                      str(error))
        self.assertIn('no route to Senlin', str(error))

    def test_senlin_that_was_taken_away_is_no_trouble(self):
        """No stack could be deleted after Senlin was retired."""
        self.create()
        again = self.reload(self.hook)
        self.senlin.in_catalogue = False

        self.run_task(again.delete)

        self.assertEqual(set(), self.zaqar.existing)
        self.assertIn('delete user', self.journal)
        self.assertEqual({}, again.data())
        self.assertNotIn('Traceback', self.log.output)

    def test_zaqar_that_was_taken_away_is_no_trouble(self):
        """No stack could be deleted after Zaqar was retired."""
        self.create()
        again = self.reload(self.hook)
        self.zaqar.down = ksa_exceptions.EndpointNotFound('no messaging')

        self.run_task(again.delete)

        self.assertEqual({}, self.senlin.policies)
        self.assertIn('delete user', self.journal)


class SharedQueueTest(_HookTestCase):
    template = SHARED_QUEUE

    def test_given_queue_is_used_and_kept(self):
        """The queue of somebody else would be deleted with the stack."""
        self.zaqar.existing.add('shared')

        self.create()
        self.assertEqual('shared', self.hook.FnGetAtt('queue_name'))
        self.assertEqual('shared', self.agent_config()['queue']['name'])
        self.delete()

        self.assertEqual({'shared'}, self.zaqar.existing)
        self.assertNotIn('create queue', self.journal)

    def test_empty_name_is_a_queue_of_its_own(self):
        """A template with an "if" would have to know a name."""
        self.hook = self.parse_stack(
            SHARED_QUEUE.replace('shared', '""'))['hook']

        self.create()
        self.assertEqual({self.hook.FnGetRefId()}, self.zaqar.existing)
        self.assertEqual(self.hook.FnGetRefId(),
                         self.hook.FnGetAtt('queue_name'))
        self.delete()

        self.assertEqual(set(), self.zaqar.existing)


def _shape(document):
    """The keys of a document and the types of its values."""
    if isinstance(document, dict):
        return {key: _shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_shape(item) for item in document]
    return type(document).__name__
