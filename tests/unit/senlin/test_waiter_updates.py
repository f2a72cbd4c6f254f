# SPDX-License-Identifier: Apache-2.0

"""Update of a hook that clusters have."""

import itertools
from unittest import mock

from tests.unit import base
from tests.unit import hook_case


class UpdateTest(hook_case.HookTestCase):
    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self):
        self.senlin.policies.clear()
        self.senlin.clusters.clear()
        self.senlin.bindings.clear()
        self.hook = self.parse_stack(hook_case.TEMPLATE)['hook']
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
        self.hook = self.parse_stack(hook_case.TEMPLATE)['hook']
        self.dies(3, self.create)
        name = self.hook.FnGetRefId()
        self.hook = self.reload(self.hook)

        self.update(self.hook, timeout=200)

        self.assertEqual(name, self.hook.FnGetRefId())
        self.assertEqual(1, len(self.policies()))

    def test_creation_that_never_began_is_replaced(self):
        """Heat has nothing there that an update could finish."""
        hook = self.parse_stack(hook_case.TEMPLATE)['hook']
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
