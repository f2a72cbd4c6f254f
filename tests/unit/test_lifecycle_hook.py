# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::LifecycleHook: creation, validation, agent_config."""

import itertools
from unittest import mock

from keystoneauth1 import exceptions as ksa_exceptions
from oslo_serialization import jsonutils
import requests
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base
from tests.unit import fakes
from tests.unit import hook_case


class CreateTest(hook_case.HookTestCase):

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

    def test_signals_come_from_a_user_of_its_own(self):
        """A guest could not signal, or would with more rights than that."""
        self.create()

        self.assertEqual(1, self.journal.count('create user'))
        self.assertIn('user_id', self.hook.data())
        self.assertIn('access_key', self.hook.data())

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
        other = self.parse_stack(hook_case.TEMPLATE)['hook']
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
        hook = self.parse_stack(hook_case.TEMPLATE.replace(
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
        self.hook = self.parse_stack(hook_case.TEMPLATE)['hook']

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
            hook_case.TEMPLATE.splitlines()[:-2] + [lines]),
            timeout_mins=timeout_mins)
        stack['hook'].validate()

    def refusal(self, **kwargs):
        return str(self.assertRaises(base.StackValidationFailed,
                                     self.validate, **kwargs))

    def test_adoption_is_refused(self):
        """Guests would signal to a stack that is not there."""
        stack = self.parse_stack(hook_case.TEMPLATE)
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


class AgentConfigTest(hook_case.HookTestCase):

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


class SharedQueueTest(hook_case.HookTestCase):
    template = hook_case.SHARED_QUEUE

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
            hook_case.SHARED_QUEUE.replace('shared', '""'))['hook']

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
