# SPDX-License-Identifier: Apache-2.0

from oslo_utils import fixture as time_fixture

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  drained:
    type: OS::Hooks::DrainWaitCondition
    properties:
      hook: %(hook)s
      cluster: %(cluster)s
'''

LOCKED = ('FAILED', 'Failed in locking cluster.')


class _ConditionTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.clock = self.useFixture(time_fixture.TimeFixture())
        self.hook = self.senlin.add_hook_policy(timeout=300)
        self.cluster = self.senlin.add_cluster(size=2)
        self.make()

    def make(self, timeout_mins=60, **values):
        values = dict({'hook': self.hook, 'cluster': self.cluster}, **values)
        self.stack = self.parse_stack(TEMPLATE % values,
                                      timeout_mins=timeout_mins)
        self.condition = self.stack['drained']

    def create(self):
        self.run_task(self.condition.create)

    def delete(self):
        self.run_task(self.condition.delete)

    def create_fails(self):
        error = self.assertRaises(base.ResourceFailure, self.create)
        return str(error)

    def delete_fails(self):
        error = self.assertRaises(base.ResourceFailure, self.delete)
        return str(error)

    def assertIsGuarded(self):
        self.assertEqual([(self.cluster, self.hook)],
                         [(b['cluster_id'], b['policy_id'])
                          for b in self.senlin.bindings])

    def poll(self, condition, deadline):
        self.assertRaises(base.PollDelay, condition.check_delete_complete,
                          deadline)


class CreateTest(_ConditionTestCase):

    def test_puts_the_hook_on_the_cluster(self):
        """Servers would be deleted without being asked."""
        self.create()

        self.assertIsGuarded()
        self.assertTrue(self.senlin.bindings[0]['enabled'])
        self.assertEqual(self.senlin.bindings[0]['id'],
                         self.condition.FnGetRefId())

    def test_hook_that_is_on_already_is_left_alone(self):
        """Senlin would be asked for what it has done."""
        self.senlin.bind(self.cluster, self.hook)

        self.create()

        self.assertEqual([], self.journal)
        self.assertIsGuarded()

    def test_waits_for_the_lock_of_the_cluster(self):
        """A cluster that is still busy would fail the stack."""
        self.senlin.locks[self.cluster] = 'somebody'
        deadline = self.condition_started()

        for _i in range(20):
            self.assertRaises(base.PollDelay,
                              self.condition.check_create_complete, deadline)
        del self.senlin.locks[self.cluster]
        self.assertRaises(base.PollDelay,
                          self.condition.check_create_complete, deadline)

        self.assertTrue(self.condition.check_create_complete(deadline))

    def condition_started(self):
        self.condition.store()
        return self.condition.handle_create()

    def test_lost_race_for_the_lock_is_run_again(self):
        """Senlin gives up after three tries; we have longer."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [LOCKED, LOCKED]

        self.create()

        self.assertIsGuarded()
        self.assertEqual(3, self.journal.count('policy_attach'))

    def test_refusal_by_senlin_is_told(self):
        """The stack would wait for a hook that never comes."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [
            ('FAILED', 'no such thing')]

        message = self.create_fails()

        self.assertIn('CLUSTER_ATTACH_POLICY of cluster %s as FAILED: no such '
                      'thing' % self.cluster, message)

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.locks[self.cluster] = 'somebody'
        deadline = self.condition_started()
        self.clock.advance_time_seconds(3600 - 10 - 1)
        self.assertRaises(base.PollDelay,
                          self.condition.check_create_complete, deadline)
        self.clock.advance_time_seconds(1)

        error = self.assertRaises(
            base.HeatError, self.condition.check_create_complete, deadline)

        self.assertIn('cluster %s is still busy' % self.cluster, str(error))
        self.assertIn('3600 seconds', str(error))

    def test_hook_that_is_none_is_named(self):
        """The cluster would be left without a hook."""
        plain = self.senlin.add_policy(criteria='RANDOM')
        webhook = self.senlin.add_policy(hooks={'type': 'webhook',
                                                'timeout': 5})
        scaling = self.senlin.add_policy(
            type_='senlin.policy.scaling-1.0',
            hooks={'type': 'zaqar', 'timeout': 5})

        for hook in ('unknown', plain, webhook, scaling):
            self.make(hook=hook)
            self.assertIn('"hook" is not an OS::Hooks::LifecycleHook',
                          self.create_fails())

        self.assertEqual([], self.journal)

    def test_cluster_that_is_none_is_named(self):
        """Newer Heat gives a made-up ID for a cluster it has not created."""
        self.make(cluster='73f9d3f5-4f3b-4d6d-9a68-34bb0b1e5c11')

        message = self.create_fails()

        self.assertIn('Senlin knows no cluster "73f9d3f5', message)
        self.assertIn('Heat 23.0.0', message)

    def test_cluster_timeout_must_be_longer(self):
        """The drain would end with the server alive and the scale-in lost."""
        self.cluster = self.senlin.add_cluster(timeout=300)
        self.make()

        message = self.create_fails()

        self.assertIn('300 seconds, is not below 300 seconds, the timeout of '
                      'cluster %s' % self.cluster, message)
        self.assertEqual([], self.journal)

    def test_cluster_timeout_that_is_longer_by_a_second_will_do(self):
        """A template that is right would be refused."""
        self.cluster = self.senlin.add_cluster(timeout=301)
        self.make()

        self.create()

        self.assertIsGuarded()

    def test_stack_timeout_must_be_longer(self):
        """The stack would end in DELETE_FAILED while its members drain."""
        self.make(timeout_mins=5)

        message = self.create_fails()

        self.assertIn('300 seconds, is not below 300 seconds, the timeout of '
                      'the stack', message)
        self.assertIn('--timeout', message)

    def test_other_deletion_policy_is_named(self):
        """Senlin allows one, and says so only after the fact."""
        other = self.senlin.add_policy()
        self.senlin.bind(self.cluster, self.senlin.add_policy(
            type_='senlin.policy.health-1.1'))
        self.senlin.bind(self.cluster, other)

        message = self.create_fails()

        self.assertIn('another deletion policy, %s' % other, message)
        self.assertEqual([], self.journal)

    def test_hook_that_is_switched_off_is_named(self):
        """The stack would look guarded and not be."""
        self.senlin.bind(self.cluster, self.hook, enabled=False)

        self.assertIn('switched off', self.create_fails())

    def test_engine_dies_after_it_asked_senlin(self):
        """A second attach would fail, or be waited for in vain."""
        deadline = self.condition_started()
        self.assertRaises(base.PollDelay,
                          self.condition.check_create_complete, deadline)
        self.condition.data_delete('action_id')

        again = self.reload(self.condition)
        deadline = again.handle_create()
        self.assertRaises(base.PollDelay, again.check_create_complete,
                          deadline)
        self.senlin._work(self.senlin.only_action('CLUSTER_ATTACH_POLICY'))

        self.assertTrue(again.check_create_complete(deadline))
        self.assertIsGuarded()

    def test_another_engine_follows_the_same_action(self):
        """What is under way would be forgotten with the process."""
        deadline = self.condition_started()
        self.assertRaises(base.PollDelay,
                          self.condition.check_create_complete, deadline)

        again = self.reload(self.condition)

        self.assertTrue(again.check_create_complete(again.handle_create()))
        self.assertEqual(['policy_attach'], self.journal)


class DeleteTest(_ConditionTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        del self.journal[:]

    def test_drains_every_member_then_takes_the_hook_off(self):
        """A stack delete would cut every session."""
        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)
        self.assertEqual([], self.senlin.nodes_of(self.cluster))
        self.assertEqual([], self.senlin.bindings)
        resize = self.senlin.actions[self.senlin.only_action(
            'CLUSTER_RESIZE')]
        self.assertEqual({'adjustment_type': 'EXACT_CAPACITY', 'number': 0,
                          'min_size': 0, 'strict': False}, resize['inputs'])

    def test_waits_as_long_as_a_guest_drains(self):
        """The slowest session would be cut."""
        self.senlin.guests_answer = False
        deadline = self.condition.handle_delete()

        for _i in range(50):
            self.poll(self.condition, deadline)

        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))
        self.assertEqual(['resize'], self.journal)
        self.senlin.guests_answer = True
        self.run_task(self.reload(self.condition).delete)
        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_waits_for_a_drain_that_is_running(self):
        """Senlin's lock would turn a stack delete into an error."""
        self.senlin.locks[self.cluster] = 'a scale-in'
        deadline = self.condition.handle_delete()

        for _i in range(50):
            self.poll(self.condition, deadline)

        self.assertEqual([], self.journal)
        del self.senlin.locks[self.cluster]
        self.delete()
        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_lost_race_for_the_lock_is_run_again(self):
        """Senlin gives up after three tries; we have longer."""
        self.senlin.outcomes = {'CLUSTER_RESIZE': [LOCKED],
                                'CLUSTER_DETACH_POLICY': [LOCKED]}

        self.delete()

        self.assertEqual(['resize', 'resize', 'policy_detach',
                          'policy_detach'], self.journal)

    def test_drain_that_fails_is_told_and_may_be_repeated(self):
        """Servers would be deleted that Senlin could not drain."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = [('FAILED', 'node lost')]

        message = self.delete_fails()

        self.assertIn('CLUSTER_RESIZE of cluster %s as FAILED: node lost'
                      % self.cluster, message)
        self.assertIsGuarded()
        self.delete()
        self.assertEqual([], self.senlin.bindings)

    def test_drain_that_is_cancelled_is_told(self):
        """Somebody's cancel would be taken for success."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = [('CANCELLED', 'by hand')]

        self.assertIn('as CANCELLED', self.delete_fails())

    def test_wait_has_an_end_and_the_drain_goes_on(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.guests_answer = False
        deadline = self.condition.handle_delete()
        self.poll(self.condition, deadline)
        action = self.senlin.only_action('CLUSTER_RESIZE')
        self.clock.advance_time_seconds(3590)

        error = self.assertRaises(
            base.HeatError, self.condition.check_delete_complete, deadline)

        self.assertIn('cluster %s is still busy (action %s)'
                      % (self.cluster, action), str(error))
        self.assertIn('--timeout', str(error))
        again = self.reload(self.condition)
        self.poll(again, again.handle_delete())
        self.assertEqual(['resize'], self.journal)

    def test_empty_cluster_is_not_resized(self):
        """Senlin would be made to do nothing for some seconds."""
        self.senlin.nodes.clear()

        self.delete()

        self.assertEqual(['policy_detach'], self.journal)

    def test_cluster_that_is_gone_is_no_trouble(self):
        """A stack whose cluster was removed by hand could not be deleted."""
        self.senlin.remove_cluster(self.cluster)

        self.delete()

        self.assertEqual([], self.journal)

    def test_cluster_that_goes_during_the_drain_is_no_trouble(self):
        """Nothing is left to wait for, yet it would be waited for."""
        self.senlin.guests_answer = False
        deadline = self.condition.handle_delete()
        self.poll(self.condition, deadline)
        self.senlin.actions.clear()
        self.senlin.remove_cluster(self.cluster)

        self.assertTrue(self.condition.check_delete_complete(deadline))

    def test_cluster_without_the_hook_is_left_alone(self):
        """Who took the hook off does not want a drain."""
        self.senlin.bindings = []

        self.delete()

        self.assertEqual([], self.journal)

    def test_another_engine_follows_the_same_drain(self):
        """Each restart would start over, or find a locked cluster."""
        self.poll(self.condition, self.condition.handle_delete())
        self.assertEqual(['resize'], self.journal)

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_engine_dies_after_it_asked_senlin(self):
        """The drain would be started twice, or never waited for."""
        self.senlin.guests_answer = False
        self.poll(self.condition, self.condition.handle_delete())
        self.condition.data_delete('action_id')

        again = self.reload(self.condition)
        deadline = again.handle_delete()
        for _i in range(3):
            self.poll(again, deadline)
        self.assertEqual(['resize'], self.journal)
        self.senlin.guests_answer = True
        action = self.senlin.only_action('CLUSTER_RESIZE')
        while self.senlin.status(action) != 'SUCCEEDED':
            self.senlin._work(action)
        self.run_task(again.delete)

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_says_once_what_it_starts(self):
        """Each poll of a long drain would add a line to the log."""
        self.senlin.guests_answer = False
        deadline = self.condition.handle_delete()
        for _i in range(10):
            self.poll(self.condition, deadline)

        self.assertEqual(1, self.log.output.count('remove_every_node'))
        self.assertEqual(2, self.log.output.count(self.cluster))


class DeleteAfterFailedCreateTest(_ConditionTestCase):

    def test_never_created_asks_nobody(self):
        """A stack that failed early could not be deleted."""
        self.delete()

        self.assertEqual([], self.journal)

    def test_refused_cluster_is_not_drained(self):
        """A cluster that was never guarded would be emptied."""
        self.make(timeout_mins=5)
        self.create_fails()

        self.delete()

        self.assertEqual([], self.journal)

    def test_attach_that_failed_does_not_stop_the_deletion(self):
        """The failure has been told; a second time it would be in the way."""
        self.condition.store()
        deadline = self.condition.handle_create()
        self.assertRaises(base.PollDelay,
                          self.condition.check_create_complete, deadline)
        self.condition.state_set('CREATE', 'FAILED')
        self.senlin.end(self.senlin.only_action('CLUSTER_ATTACH_POLICY'),
                        'FAILED', 'no such thing')

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual(['policy_attach'], self.journal)

    def test_attach_under_way_is_waited_for(self):
        """It would take hold later, and keep the policy from going."""
        self.condition.store()
        deadline = self.condition.handle_create()
        self.assertRaises(base.PollDelay,
                          self.condition.check_create_complete, deadline)
        self.condition.state_set('CREATE', 'FAILED')

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual(['policy_attach', 'resize', 'policy_detach'],
                         self.journal)
        self.assertEqual([], self.senlin.bindings)


class ReplaceTest(_ConditionTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        del self.journal[:]
        self.stack.state_set('UPDATE', 'IN_PROGRESS', '')
        self.twin = self.make_twin(self.condition)

    def test_replaced_condition_leaves_the_cluster_to_its_twin(self):
        """Marking a condition unhealthy would empty a live cluster."""
        self.twin.handle_create()

        self.delete()

        self.assertEqual([], self.journal)
        self.assertIsGuarded()

    def test_rollback_leaves_the_cluster_to_the_first(self):
        """An update that fails elsewhere would empty a live cluster."""
        self.twin.handle_create()

        self.assertIsNone(self.twin.handle_delete())
        self.assertIsGuarded()

    def test_twin_with_another_cluster_is_no_excuse(self):
        """A replaced cluster would be deleted without a drain."""
        self.twin.data_set('cluster_id', self.senlin.add_cluster())
        self.twin.data_set('policy_id', self.hook)

        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_twin_that_is_gone_is_no_excuse(self):
        """Nobody would drain the cluster."""
        self.condition.replaced_by = 4711

        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_deletion_of_the_stack_drains_whoever_is_left(self):
        """Each twin would wait for the other to do it."""
        self.twin.handle_create()
        self.stack.state_set('DELETE', 'IN_PROGRESS', '')

        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)
