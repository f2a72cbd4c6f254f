# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::LifecycleHook: check and deletion."""

import itertools
import re

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import token_endpoint
import requests_mock
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base
from tests.unit import hook_case

# Before any test has put something else in its place.
CREATE_ZAQAR = base.zaqar_plugin.ZaqarClientPlugin._create


class CheckTest(hook_case.HookTestCase):

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
        hook = self.parse_stack(hook_case.SHARED_QUEUE)['hook']
        self.run_task(hook.create)
        self.zaqar.existing.clear()

        self.run_task(hook.check)


class DeleteTest(hook_case.HookTestCase):

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
        # The queue is not made again, only to go.
        self.assertEqual(1, self.journal.count('create queue'))

    def test_engine_dies_anywhere(self):
        """The second try would stop at what the first has done."""
        for changes in itertools.count():
            self.hook = self.parse_stack(hook_case.TEMPLATE)['hook']
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
            self.hook = self.parse_stack(hook_case.TEMPLATE)['hook']
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
