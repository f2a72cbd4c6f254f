# SPDX-License-Identifier: Apache-2.0

"""Guard of a cluster: deletion."""

import itertools

from keystoneauth1 import exceptions as ksa_exceptions
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base
from tests.unit import condition_case
from tests.unit import fakes

# Senlin has not even tried, or was stopped while it did.
LOCKED = ('FAILED', 'Failed in locking cluster.')

STOPPED = ('FAILED', 'Engine died when executing this action.')

NODE_LOST = ('FAILED', 'node lost')


class DeleteTest(condition_case.ConditionTestCase):

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
        runner = self.start_task(self.condition.delete)

        self.stand_still(runner)

        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))
        self.assertEqual(['resize'], self.journal)
        self.senlin.guests_answer = True
        runner.run_to_completion()
        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_waits_for_a_drain_that_is_running(self):
        """Senlin's lock would turn a stack delete into an error."""
        self.senlin.locks[self.cluster] = 'a scale-in'
        runner = self.start_task(self.condition.delete)

        self.stand_still(runner)

        self.assertEqual([], self.journal)
        del self.senlin.locks[self.cluster]
        runner.run_to_completion()
        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_poll_costs_the_same_for_two_members_and_for_twenty(self):
        """A large cluster would load Senlin every three seconds."""
        costs = []
        for size in (2, 20):
            self.start_over(size)
            self.create()
            self.senlin.guests_answer = False
            wait = self.deletion_started()
            del self.senlin.requests[:]
            self.poll(self.condition.check_delete_complete, wait)
            costs.append(len(self.senlin.requests))
            self.senlin.guests_answer = True

        self.assertEqual([1, 1], costs)

    def test_lost_race_for_the_lock_is_run_again(self):
        """Senlin gives up after three tries; we have longer."""
        self.senlin.outcomes = {'CLUSTER_RESIZE': [LOCKED],
                                'CLUSTER_DETACH_POLICY': [LOCKED]}

        self.delete()

        self.assertEqual(['resize', 'resize', 'policy_detach',
                          'policy_detach'], self.journal)

    def test_drain_that_fails_is_begun_anew(self):
        """A stack delete would fail for a hiccup of Nova's."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = [NODE_LOST] * 2

        self.delete()

        self.assertEqual(['resize'] * 3 + ['policy_detach'], self.journal)
        self.assertEqual([], self.senlin.nodes_of(self.cluster))
        self.assertIn('node lost', self.log.output)

    def test_drain_that_fails_for_good_is_told_and_may_be_repeated(self):
        """Servers would be deleted that Senlin could not drain."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = [NODE_LOST] * 3

        message = self.delete_fails()

        self.assertIn('CLUSTER_RESIZE of cluster %s as FAILED: node lost'
                      % self.cluster, message)
        self.assertEqual(['resize'] * 3, self.journal)
        self.assertIsGuarded()
        self.senlin.outcomes['CLUSTER_RESIZE'] = [NODE_LOST] * 2
        self.delete()
        self.assertEqual([], self.senlin.bindings)

    def test_what_was_not_tried_does_not_count(self):
        """A busy cluster, or an upgrade, would use up the attempts."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = (
            [LOCKED] * 5 + [NODE_LOST] + [STOPPED] * 5 + [NODE_LOST])

        self.delete()

        self.assertEqual([], self.senlin.nodes_of(self.cluster))

    def test_drains_of_an_attempt_that_failed_are_cancelled(self):
        """They wait for ever, and guests drain for nobody."""
        self.senlin.guests_answer = False
        wait = self.deletion_started()
        first, second = self.resizes()[0]['depends_on']
        self.senlin.end(first, 'FAILED', 'node lost')

        self.poll(self.condition.check_delete_complete, wait)

        self.assertEqual('CANCELLED', self.senlin.status(second))
        self.senlin.guests_answer = True
        self.finish(self.condition.check_delete_complete, wait)
        self.assertEqual(2, self.journal.count('resize'))
        self.assertEqual([], self.senlin.nodes_of(self.cluster))

    def test_drain_that_ends_before_it_is_cancelled_is_no_trouble(self):
        """Senlin does not cancel what is over, and the deletion would fail."""
        self.senlin.guests_answer = False
        wait = self.deletion_started()
        first, second = self.resizes()[0]['depends_on']
        self.senlin.end(first, 'FAILED', 'node lost')
        self.senlin.guests_answer = True

        def before(request):
            if request.method == 'PATCH':
                self.senlin.end(second)
        self.senlin.before = before

        self.finish(self.condition.check_delete_complete, wait)

        self.assertEqual([], self.senlin.bindings)

    def test_guest_that_refuses_ends_the_deletion_of_the_stack(self):
        """A game would be cut, or the stack hang until its timeout."""
        self.start_over(size=3, min_size=2)
        self.create()
        self.senlin.guests_answer = False
        runner = self.start_task(self.condition.delete)
        for _i in range(10):
            runner.step()
        stays, first, second = self.resizes()[0]['depends_on']
        self.senlin.end(stays, 'CANCELLED')

        # The others go on, and the cluster is Senlin's until they have gone.
        self.stand_still(runner)
        self.senlin.end(first)
        self.stand_still(runner)
        self.assertEqual(1, len(self.resizes()))
        self.senlin.end(second)
        error = self.assertRaises(base.ResourceFailure,
                                  runner.run_to_completion)

        self.assertIn('1 members of cluster %s stay' % self.cluster,
                      str(error))
        self.assertIn('delete the stack again', str(error))
        self.senlin.work()
        cluster = self.senlin.clusters[self.cluster]
        self.assertEqual(1, cluster['desired_capacity'])
        # Two, as before, would be more than there are.
        self.assertEqual(1, cluster['min_size'])
        self.assertIsGuarded()

    def test_minimum_size_is_put_back(self):
        """A cluster that stays could be scaled to nothing."""
        self.start_over(size=5, min_size=2)
        self.create()
        self.refuses(stay=3)

        cluster = self.senlin.clusters[self.cluster]
        self.assertEqual(3, cluster['desired_capacity'])
        self.assertEqual(2, cluster['min_size'])

    def test_minimum_size_is_the_one_from_before_the_first_attempt(self):
        """A drain that failed would be taken for what the tenant wants."""
        self.start_over(size=3, min_size=2)
        self.create()
        self.senlin.outcomes['CLUSTER_RESIZE'] = [NODE_LOST]
        # What the attempt had done before it failed.
        self.senlin.after = self.lower_the_minimum
        runner = self.start_task(self.condition.delete)
        while len(self.resizes()) < 2:
            runner.step()
        self.senlin.guests_answer = False
        for _i in range(10):
            runner.step()
        for child in list(self.resizes()[-1]['depends_on']):
            self.senlin.end(child, 'CANCELLED')

        self.assertRaises(base.ResourceFailure, runner.run_to_completion)

        self.senlin.work()
        self.assertEqual(2, self.senlin.clusters[self.cluster]['min_size'])

    def lower_the_minimum(self, request):
        if request.method == 'POST':
            self.senlin.clusters[self.cluster]['min_size'] = 0
            self.senlin.after = lambda request: None

    def test_minimum_size_that_was_changed_meanwhile_counts(self):
        """The tenant's own value would be overwritten by an old one."""
        self.start_over(size=5, min_size=3)
        self.create()
        self.refuses(stay=4)
        self.senlin.clusters[self.cluster]['min_size'] = 1

        self.refuses(stay=4)

        self.assertEqual(1, self.senlin.clusters[self.cluster]['min_size'])

    def refuses(self, stay):
        """Delete; so many guests answer ROLLBACK."""
        self.senlin.guests_answer = False
        self.deletion_started()
        for number, child in enumerate(list(self.resizes()[-1]
                                            ['depends_on'])):
            self.senlin.end(child,
                            'CANCELLED' if number < stay else 'SUCCEEDED')
        self.senlin.guests_answer = True
        # By an engine that was started meanwhile.
        self.condition = self.reload(self.condition)
        message = self.delete_fails()
        self.senlin.work()
        return message

    def test_second_deletion_asks_again(self):
        """A stack whose guest once refused could never be deleted."""
        self.start_over(size=4, min_size=3)
        self.create()
        for stay in (3, 1):
            self.assertIn('%d members' % stay, self.refuses(stay))
        cluster = self.senlin.clusters[self.cluster]
        self.assertEqual((1, 1), (cluster['desired_capacity'],
                                  cluster['min_size']))

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual([], self.senlin.nodes_of(self.cluster))
        self.assertEqual([], self.senlin.bindings)
        self.assertEqual([], self.senlin.unguarded)

    def test_engine_dies_while_it_puts_the_capacity_back(self):
        """The restarted one would ask a guest again that has answered."""
        self.senlin.guests_answer = False
        self.deletion_started()
        for child in list(self.resizes()[0]['depends_on']):
            self.senlin.end(child, 'CANCELLED')
        self.condition = self.reload(self.condition)
        self.assertTrue(self.dies(1, self.delete, hears_of_the_last=False))

        self.condition = self.reload(self.condition)
        message = self.delete_fails()

        self.assertIn('2 members', message)
        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))
        self.assertEqual([], [a for a in self.senlin.actions.values()
                              if a['status'] == fakes.WAITING])

    def test_refusal_and_a_cluster_that_is_locked(self):
        """The desired capacity would stay at zero."""
        self.senlin.guests_answer = False
        wait = self.deletion_started()
        self.senlin.locks[self.cluster] = 'the drain, for a moment'
        for child in list(self.resizes()[0]['depends_on']):
            self.senlin.end(child, 'CANCELLED')

        for _i in range(10):
            self.poll(self.condition.check_delete_complete, wait)
        del self.senlin.locks[self.cluster]
        error = self.assertRaises(
            base.HeatError, self.condition.check_delete_complete, wait)

        self.assertIn('2 members', str(error))
        self.senlin.work()
        self.assertEqual(
            2, self.senlin.clusters[self.cluster]['desired_capacity'])

    def test_refusal_and_a_cluster_that_goes_is_no_trouble(self):
        """Nothing is left to put back, yet the deletion would fail."""
        self.senlin.guests_answer = False
        wait = self.deletion_started()
        for child in list(self.resizes()[0]['depends_on']):
            self.senlin.end(child, 'CANCELLED')
        self.senlin.remove_cluster(self.cluster)

        self.finish(self.condition.check_delete_complete, wait)

    def test_drain_that_is_cancelled_by_hand_is_told(self):
        """Somebody's cancel would be taken for success."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = [('CANCELLED', 'by hand')]

        self.assertIn('the action was cancelled', self.delete_fails())

        self.assertIsGuarded()

    def test_wait_has_an_end_and_the_drain_goes_on(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.guests_answer = False
        wait = self.deletion_started()
        action = self.senlin.only_action('CLUSTER_RESIZE')
        self.clock.advance_time_seconds(3590)

        error = self.assertRaises(
            base.HeatError, self.condition.check_delete_complete, wait)

        self.assertIn('Cluster %s is still busy (action %s)'
                      % (self.cluster, action), str(error))
        self.assertIn('--timeout', str(error))
        again = self.reload(self.condition)
        self.poll(again.check_delete_complete, again.handle_delete())
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
        wait = self.deletion_started()
        self.senlin.actions.clear()
        self.senlin.remove_cluster(self.cluster)

        self.finish(self.condition.check_delete_complete, wait)

    def test_cluster_that_goes_at_this_moment_is_no_trouble(self):
        """Somebody's cluster delete would fail ours now and then."""
        def before(request):
            if request.path == '/v1/clusters/%s' % self.cluster:
                self.senlin.before = lambda request: None
                self.senlin.remove_cluster(self.cluster)
        self.senlin.before = before

        self.delete()

        self.assertEqual([], self.journal)

    def test_cluster_without_the_hook_is_left_alone(self):
        """Who took the hook off does not want a drain."""
        self.senlin.bindings = []

        self.delete()

        self.assertEqual([], self.journal)

    def test_hook_of_somebody_else_is_left_on(self):
        """The policy of another stack would be taken off with ours."""
        foreign = self.senlin.add_hook_policy(
            type_='senlin.policy.deletion-1.0')
        self.senlin.bind(self.cluster, foreign)

        self.delete()

        self.assertEqual([foreign],
                         [b['policy_id'] for b in self.senlin.bindings])

    def test_another_engine_follows_the_same_drain(self):
        """Each restart would start over, or find a locked cluster."""
        self.deletion_started()
        self.assertEqual(['resize'], self.journal)

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_engine_dies_anywhere(self):
        """The drain would be started twice, or never waited for."""
        for changes, hears in itertools.product(range(3), (True, False)):
            self.start_over()
            self.create()
            del self.journal[:]
            self.assertEqual(
                changes < 2 + (not hears),
                self.dies(changes, self.delete, hears_of_the_last=hears))

            self.run_task(self.reload(self.condition).delete)

            self.assertEqual(['resize', 'policy_detach'], self.journal)
            self.assertEqual([], self.senlin.bindings)
            self.assertEqual([], self.senlin.unguarded)

    def test_senlin_is_away_for_a_while(self):
        """A restart of Senlin would fail the deletion."""
        for after in range(0, 10, 2):
            self.start_over()
            self.create()
            del self.senlin.requests[:]
            self.senlin.down = self.outage(250, 500, after)

            self.delete()

            # The outage began in the middle of it.
            self.assertLess(after, len(self.senlin.requests))
            self.assertEqual([], self.senlin.bindings)
            self.assertEqual([], self.senlin.nodes_of(self.cluster))

    def test_senlin_is_away_for_long(self):
        """The stack would wait until it times out, and not say for whom."""
        self.senlin.down = self.outage(
            1000, ksa_exceptions.ConnectFailure('no route to Senlin'))

        message = self.delete_fails()

        self.assertIn('a service has not answered for 300 seconds', message)
        self.assertIn('no route to Senlin', message)

    def test_zaqar_is_away_for_a_while(self):
        """Senlin cannot tell the guests then, and would fail in the drain."""
        self.zaqar.down = zaqar_errors.ServiceUnavailableError()
        runner = self.start_task(self.condition.delete)

        self.stand_still(runner)

        self.assertEqual([], self.journal)
        self.zaqar.down = None
        runner.run_to_completion()
        self.assertEqual(['resize', 'policy_detach'], self.journal)

    @base.needs_senlin
    def test_senlin_that_is_not_in_the_catalogue_is_told(self):
        """A slip in the catalogue would let a cluster go without a drain."""
        self.condition = self.reload(self.condition)
        self.senlin.in_catalogue = False

        message = self.delete_fails()

        self.assertIn('clustering', message)
        self.assertIn('repeat the operation', message)
        self.senlin.in_catalogue = True
        self.condition = self.reload(self.condition)
        self.delete()
        self.assertEqual([], self.senlin.bindings)

    def test_heat_was_upgraded(self):
        """A stack that was left behind could not be deleted any more."""
        self.patchobject(base.clients, 'has_client', return_value=False)

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual([], self.journal)
        self.assertIn('is left in Senlin', self.log.output)

    def test_says_once_what_it_starts(self):
        """Each poll of a long drain would add a line to the log."""
        self.senlin.guests_answer = False
        wait = self.deletion_started()
        lines = self.log.output.count(self.cluster)
        for _i in range(10):
            self.poll(self.condition.check_delete_complete, wait)

        self.assertEqual(1, self.log.output.count('remove_every_node'))
        self.assertEqual(lines, self.log.output.count(self.cluster))


class DeleteAfterFailedCreateTest(condition_case.ConditionTestCase):

    def test_never_created_asks_nobody(self):
        """A stack that failed early could not be deleted."""
        self.delete()

        self.assertEqual([], self.senlin.requests)

    def test_refused_cluster_is_not_drained(self):
        """A cluster that was never guarded would be emptied."""
        self.make(timeout_mins=5)
        self.create_fails()
        del self.senlin.requests[:]

        self.delete()

        self.assertEqual([], self.senlin.requests)

    def test_attach_that_failed_does_not_stop_the_deletion(self):
        """The failure has been told; a second time it would be in the way."""
        self.poll(self.condition.check_create_complete,
                  self.condition_started())
        self.condition.state_set('CREATE', 'FAILED')
        self.senlin.end(self.senlin.only_action('CLUSTER_ATTACH_POLICY'),
                        'FAILED', 'no such thing')

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual(['policy_attach'], self.journal)

    def test_attach_under_way_is_waited_for(self):
        """It would take hold later, and keep the policy from going."""
        self.poll(self.condition.check_create_complete,
                  self.condition_started())
        self.condition.state_set('CREATE', 'FAILED')

        self.run_task(self.reload(self.condition).delete)

        self.assertEqual(['policy_attach', 'resize', 'policy_detach'],
                         self.journal)
        self.assertEqual([], self.senlin.bindings)
