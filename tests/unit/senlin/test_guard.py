# SPDX-License-Identifier: Apache-2.0

"""Guard of a cluster: creation, update, check."""

import itertools

from keystoneauth1 import exceptions as ksa_exceptions

from tests.unit import base
from tests.unit import condition_case

# Senlin has not even tried, or was stopped while it did.
LOCKED = ('FAILED', 'Failed in locking cluster.')

STOPPED = ('FAILED', 'Engine died when executing this action.')


class CreateTest(condition_case.ConditionTestCase):

    def test_puts_the_hook_on_the_cluster(self):
        """Servers would be deleted without being asked."""
        self.create()

        self.assertIsGuarded()
        self.assertTrue(self.senlin.bindings[0]['enabled'])
        self.assertEqual(self.cluster, self.condition.FnGetRefId())

    def test_hook_that_is_on_already_is_left_alone(self):
        """Senlin would be asked for what it has done."""
        self.senlin.bind_hook(self.cluster, self.hook)

        self.create()

        self.assertEqual([], self.journal)
        self.assertIsGuarded()

    def test_waits_for_the_lock_of_the_cluster(self):
        """A cluster that is still busy would fail the stack."""
        self.senlin.locks[self.cluster] = 'somebody'
        runner = self.start_task(self.condition.create)

        self.stand_still(runner)
        del self.senlin.locks[self.cluster]
        runner.run_to_completion()

        self.assertIsGuarded()

    def test_lost_race_for_the_lock_is_run_again(self):
        """Senlin gives up after three tries; we have longer."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [LOCKED, LOCKED,
                                                         STOPPED]

        self.create()

        self.assertIsGuarded()
        self.assertEqual(4, self.journal.count('policy_attach'))

    def test_refusal_by_senlin_is_told(self):
        """The stack would wait for a hook that never comes."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [
            ('FAILED', 'no such thing')]

        message = self.create_fails()

        self.assertIn('CLUSTER_ATTACH_POLICY of cluster %s as FAILED: no such '
                      'thing' % self.cluster, message)

    def test_cancel_by_somebody_is_told(self):
        """The stack would wait for a hook that never comes."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [
            ('CANCELLED', 'by hand')]

        self.assertIn('as CANCELLED: by hand', self.create_fails())

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.locks[self.cluster] = 'somebody'
        wait = self.condition_started()
        self.clock.advance_time_seconds(3600 - 10 - 1)
        self.poll(self.condition.check_create_complete, wait)
        self.clock.advance_time_seconds(1)

        error = self.assertRaises(
            base.HeatError, self.condition.check_create_complete, wait)

        self.assertIn('Cluster %s is still busy' % self.cluster, str(error))
        self.assertIn('3600 seconds', str(error))

    def test_hook_that_is_none_is_named(self):
        """The cluster would be left without a hook."""
        self.senlin.add_policy('plain', criteria='RANDOM')
        self.senlin.add_policy('webhook', hooks={'type': 'webhook',
                                                 'timeout': 5})
        self.senlin.add_policy('scaling', 'senlin.policy.scaling-1.0',
                               hooks={'type': 'zaqar', 'timeout': 5})
        self.senlin.add_policy('no-timeout', hooks={'type': 'zaqar'})

        for hook in ('unknown', 'plain', 'webhook', 'scaling', 'no-timeout'):
            self.make(hook=hook)
            message = self.create_fails()
            self.assertIn('"hook" is not an OS::Hooks::LifecycleHook',
                          message)
            self.assertIn('"%s"' % hook, message)

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
        self.senlin.bind_hook(self.cluster, self.hook, enabled=False)

        self.assertIn('switched off', self.create_fails())

    def test_engine_dies_anywhere_and_an_update_carries_on(self):
        """A second attach would fail, or the condition be replaced."""
        for hears in (True, False):
            self.start_over()
            self.assertTrue(self.dies(1 - hears, self.create,
                                      hears_of_the_last=hears))

            again = self.reload(self.condition)
            self.update(again)

            self.assertIsGuarded()
            self.assertEqual(self.cluster, again.FnGetRefId())
            self.assertEqual(1, self.journal.count('policy_attach'))

    def test_engine_dies_anywhere_and_a_deletion_cleans_up(self):
        """The hook would stay on the cluster, and could not be deleted."""
        for hears in (True, False):
            self.start_over()
            self.assertTrue(self.dies(1 - hears, self.create,
                                      hears_of_the_last=hears))
            self.senlin.work()

            self.run_task(self.reload(self.condition).delete)

            self.assertEqual([], self.senlin.bindings)
            self.assertEqual([], self.senlin.unguarded)

    def test_another_engine_follows_the_same_action(self):
        """What is under way would be forgotten with the process."""
        self.poll(self.condition.check_create_complete,
                  self.condition_started())

        again = self.reload(self.condition)
        self.finish(again.check_create_complete, again.handle_create())

        self.assertIsGuarded()
        self.assertEqual(['policy_attach'], self.journal)

    def test_senlin_is_away_for_a_while(self):
        """A restart of Senlin would fail the stack."""
        for after in range(0, 8, 2):
            self.start_over()
            self.senlin.down = self.outage(250, 503, after)

            self.create()

            self.assertIsGuarded()

    def test_senlin_is_away_for_long(self):
        """The stack would wait until it times out, and not say for whom."""
        self.senlin.down = self.outage(
            1000, ksa_exceptions.ConnectFailure('no route to Senlin'), after=1)

        message = self.create_fails()

        self.assertIn('a service has not answered for 300 seconds: ', message)
        self.assertIn('no route to Senlin', message)

    def test_senlin_comes_and_goes(self):
        """Two short outages would be taken for a long one."""
        self.senlin.down = itertools.chain(
            self.outage(250), [None] * 6, self.outage(250))

        self.create()

        self.assertIsGuarded()

    def test_hook_that_is_being_updated_gives_its_new_values(self):
        """The cluster would get the old ones, and then need a swap."""
        # Nothing but its date may tell which is the newest.
        for timeout in itertools.count(200):
            new = self.senlin.add_hook_policy(
                self.hook, timeout, type_='senlin.policy.deletion-1.0')
            if new != max(self.senlin.policies):
                break

        self.create()

        self.assertIsGuarded()
        self.assertEqual(new, self.senlin.bindings[0]['policy_id'])


class UpdateTest(condition_case.ConditionTestCase):
    def setUp(self):
        super().setUp()
        self.start_over_guarded()

    def start_over_guarded(self):
        self.start_over()
        self.create()
        self.other = self.senlin.add_hook(timeout=200)
        del self.journal[:]

    def test_another_hook_takes_over(self):
        """The condition would be replaced, and drain the cluster."""
        self.update(self.condition, hook=self.other)

        self.assertIsGuarded(self.other)
        self.assertEqual(self.cluster, self.condition.FnGetRefId())
        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))
        self.assertNotIn('resize', self.journal)

    def test_hook_that_was_replaced_is_ours_no_more(self):
        """Put on by somebody else, it would be taken off by us."""
        self.update(self.condition, hook=self.other)
        self.senlin.bind_hook(self.cluster, self.hook)

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual([self.hook], [b['policy_name']
                                       for b in self.senlin.bindings])

    def test_there_and_back(self):
        """The place on the cluster would be used up."""
        for hook in (self.other, self.hook, self.other):
            self.update(self.condition, hook=hook)
            self.assertIsGuarded(hook)

    def test_another_cluster_is_another_condition(self):
        """The first cluster would keep the hook and never be drained."""
        self.assertRaises(base.UpdateReplace, self.update, self.condition,
                          cluster=self.senlin.add_cluster())

        self.assertEqual([], self.journal)

    def test_busy_cluster_is_waited_for(self):
        """A drain that is running would fail the update."""
        self.senlin.locks[self.cluster] = 'a drain'
        runner = self.start_task(
            self.condition.update,
            self.changed(self.condition, hook=self.other))

        self.stand_still(runner)

        self.assertIsGuarded(self.hook)
        del self.senlin.locks[self.cluster]
        runner.run_to_completion()
        self.assertIsGuarded(self.other)

    def test_new_hook_must_fit_too(self):
        """The drain would end with the server alive."""
        long = self.senlin.add_hook(timeout=3600)

        error = self.assertRaises(base.ResourceFailure, self.update,
                                  self.condition, hook=long)

        self.assertIn('3600 seconds, is not below 3600 seconds', str(error))
        self.assertIsGuarded(self.hook)
        self.assertEqual([], self.journal)

    def test_engine_dies_anywhere(self):
        """The cluster would be left with two hooks, or with none."""
        self.dies_anywhere(lambda: self.other, hears=(True, False))

    def test_engine_dies_anywhere_and_the_update_is_taken_back(self):
        """Heat sees no difference then, and the new hook would stay."""
        self.dies_anywhere(lambda: self.hook)

    def test_engine_dies_anywhere_and_a_third_hook_follows(self):
        """Both places on the cluster would be taken."""
        self.dies_anywhere(lambda: self.senlin.add_hook(timeout=100))

    def dies_anywhere(self, wanted, hears=(True,)):
        for changes, hears in itertools.product(range(4), hears):
            self.start_over_guarded()
            died = self.dies(changes, self.update, self.condition,
                             hook=self.other, hears_of_the_last=hears)
            self.assertEqual(changes < 3 + (not hears), died)
            self.senlin.work()
            hook = wanted()

            self.condition = self.reload(self.condition)
            self.update(self.condition, hook=hook)

            self.assertIsGuarded(hook)

    def test_engine_dies_anywhere_and_the_stack_is_deleted(self):
        """A hook would stay on the cluster, and could not be deleted."""
        for changes, hears in itertools.product(range(4), (True, False)):
            self.start_over_guarded()
            died = self.dies(changes, self.update, self.condition,
                             hook=self.other, hears_of_the_last=hears)
            self.assertEqual(changes < 3 + (not hears), died)

            self.run_task(self.reload(self.condition).delete)

            self.assertEqual([], self.senlin.bindings)
            self.assertEqual([], self.senlin.nodes_of(self.cluster))
            self.assertEqual([], self.senlin.unguarded)

    def test_hook_that_was_taken_off_is_put_back(self):
        """Nothing short of a new condition would guard the cluster again."""
        self.senlin.bindings.clear()
        self.assertRaises(base.ResourceFailure, self.run_task,
                          self.condition.check)

        self.update(self.reload(self.condition))

        self.assertIsGuarded()

    def test_creation_that_was_refused_is_replaced(self):
        """Heat has nothing there that an update could finish."""
        self.make(timeout_mins=5)
        self.create_fails()

        self.assertRaises(base.UpdateReplace, self.update,
                          self.reload(self.condition))

    def test_update_without_a_change_changes_nothing(self):
        """Each stack update would lock the cluster."""
        del self.journal[:]

        self.update(self.condition)

        self.assertEqual([], self.journal)

    def test_update_without_a_change_puts_back_what_is_gone(self):
        """A hook that somebody took off would stay off."""
        before = [dict(b, id=None) for b in self.senlin.bindings]
        self.senlin.bindings.clear()

        self.update(self.condition)

        self.assertEqual(before, [dict(b, id=None)
                                  for b in self.senlin.bindings])


class CheckTest(condition_case.ConditionTestCase):

    def setUp(self):
        super().setUp()
        self.create()

    def problem(self):
        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.condition.check)
        return str(error)

    def test_healthy_condition_passes(self):
        """A check would cry wolf."""
        self.run_task(self.condition.check)

        self.assertEqual((self.condition.CHECK, self.condition.COMPLETE),
                         self.condition.state)

    def test_cluster_that_is_gone_is_named(self):
        """Nobody would look for it in a stack that is complete."""
        self.senlin.remove_cluster(self.cluster)

        self.assertIn('cluster %s is gone' % self.cluster, self.problem())

    def test_hook_that_was_taken_off_is_named(self):
        """Nobody would know that servers go without a drain."""
        self.senlin.bindings.clear()
        # A policy of others is no help.
        self.senlin.bind_hook(self.cluster, self.senlin.add_hook())

        self.assertIn('cluster %s has lost its hook' % self.cluster,
                      self.problem())

    def test_hook_that_is_switched_off_is_named(self):
        """Nobody would know that servers go without a drain."""
        self.senlin.bindings[0]['enabled'] = False

        self.assertIn('switched off', self.problem())
