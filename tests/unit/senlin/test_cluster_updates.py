# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Cluster: updates."""

import itertools

from tests.unit import base
from tests.unit.senlin import cluster_case

LOCKED = ('FAILED', 'Failed in locking cluster.')

DIED = ('FAILED', 'Engine died when executing this action.')


class UpdateTest(cluster_case.ClusterTestCase):

    def setUp(self):
        super().setUp()
        self.create_guarded()

    def test_nothing_to_do(self):
        """Each update would take the lock of the cluster."""
        self.update(self.rsrc)

        self.assertEqual([], self.journal)

    def test_profile_is_for_the_servers_that_come_later(self):
        """Senlin would rebuild the running servers."""
        other = self.senlin.add_profile('other')

        # The fake asserts that Senlin is asked for the profile only.
        self.update(self.rsrc, profile=other, metadata={'tag': 'second'},
                    timeout=2000)

        self.assertEqual(other, self.cluster['profile_id'])
        self.assertEqual({'tag': 'second'}, self.cluster['metadata'])
        self.assertEqual(2000, self.cluster['timeout'])
        self.assertEqual({self.profile}, {
            self.senlin.nodes[node]['profile_id'] for node in self.members()})
        self.assertEqual(['update cluster'], self.journal)

    def test_timeout_that_is_left_out_stays(self):
        """A drain would be cut by a default that nobody has chosen."""
        self.update(self.rsrc, timeout=None)
        # What Heat makes of null.
        self.update(self.rsrc, timeout=0)

        self.assertEqual(1800, self.cluster['timeout'])
        self.assertEqual([], self.journal)

    def test_hook_that_takes_longer_than_the_cluster(self):
        """Senlin would end every drain with the server alive."""
        message = self.update_fails(timeout=300)

        self.assertIn('cluster: "timeout", 300 seconds, is not above 300 '
                      'seconds, the timeout of the hook that is on cluster %s'
                      % self.rsrc.resource_id, message)
        self.assertEqual([], self.journal)
        self.update(self.rsrc, timeout=301)

    def test_waits_for_a_drain(self):
        """The update would cut the drain, or fail on Senlin's lock."""
        self.senlin.guests_answer = False
        self.senlin.scale_in(self.rsrc.resource_id)
        policy = self.senlin.add_policy('other', 'senlin.policy.zone-1.0')
        update = self.start_task(
            self.rsrc.update, self.changed(
                self.rsrc, timeout=2000, max_size=3,
                policies=[self.policy, policy]))

        self.stand_still(update)
        self.assertEqual([], self.journal)
        self.senlin.guests_answer = True
        update.run_to_completion()

        self.assertEqual(2000, self.cluster['timeout'])
        self.assertEqual(1, len(self.members()))
        self.assertIn(policy, self.policies())

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.locks[self.rsrc.resource_id] = 'somebody'
        args = self.rsrc.handle_update(
            self.changed(self.rsrc, timeout=2000), None, None)
        self.clock.advance_time_seconds(3600)

        error = self.assertRaises(
            base.HeatError, self.rsrc.check_update_complete, args)

        self.assertIn('cluster: Cluster %s is still busy (action of others)'
                      % self.rsrc.resource_id, str(error))

    def test_lost_race_for_the_lock_is_run_again(self):
        """A scale-in that comes at the same moment would fail the update."""
        for kind, values in (('CLUSTER_UPDATE', {'timeout': 2000}),
                             ('CLUSTER_RESIZE', {'desired_capacity': 3}),
                             ('CLUSTER_DETACH_POLICY', {'policies': []})):
            self.create_guarded()
            self.senlin.outcomes[kind] = [LOCKED, DIED]

            self.update(self.rsrc, **values)

            self.assertEqual(3, len(self.journal))

    def test_failure_is_told(self):
        """The stack would say that it has done what it has not."""
        self.senlin.outcomes['CLUSTER_UPDATE'] = [('FAILED', 'no quota')]

        self.assertIn('CLUSTER_UPDATE of cluster %s as FAILED: no quota. See'
                      % self.rsrc.resource_id,
                      self.update_fails(timeout=2000))

    def test_cluster_that_was_deleted_by_hand(self):
        """The stack would look well without a cluster."""
        self.run_task(self.rsrc.check)
        self.senlin.remove_cluster(self.rsrc.resource_id)

        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.rsrc.check)

        self.assertIn('cluster: cluster %s is gone; update the stack'
                      % self.rsrc.resource_id, str(error))
        self.assertRaises(base.UpdateReplace, self.update, self.rsrc)

    def test_check_tells_of_a_cluster_in_trouble(self):
        """The stack would look well with too few servers."""
        self.cluster.update(status='ERROR', status_reason='too few')

        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.rsrc.check)

        self.assertIn('cluster: cluster %s is in ERROR: too few; see'
                      % self.rsrc.resource_id, str(error))

    def test_cluster_in_trouble_gets_a_better_profile(self):
        """Senlin updates no cluster that has too few servers."""
        other = self.senlin.add_profile('other')
        self.senlin.broken = 'wrong image'
        self.update_fails(min_size=3, desired_capacity=3)
        self.assertEqual('ERROR', self.cluster['status'])
        self.senlin.broken = None

        self.update(self.rsrc, min_size=3, desired_capacity=3, profile=other)

        self.assertEqual(other, self.cluster['profile_id'])
        self.assertEqual(3, self.cluster['min_size'])

    def test_cluster_that_lost_its_only_server_gets_a_better_profile(self):
        """A cluster of one could not be put right by an update."""
        other = self.senlin.add_profile('other')
        self.update(self.rsrc, desired_capacity=1)
        [member] = self.members()
        self.senlin.nodes[member]['status'] = 'ERROR'
        self.cluster['status'] = 'ERROR'

        self.update(self.rsrc, desired_capacity=1, profile=other)

        self.assertEqual(other, self.cluster['profile_id'])
        self.assertEqual(1, self.cluster['min_size'])

    def test_cluster_in_other_trouble(self):
        """The update would wait for it to end."""
        self.create_guarded(min_size=0)
        self.cluster.update(status='ERROR', status_reason='nobody knows')

        self.assertIn('cluster: cluster %s is in ERROR, so Senlin changes '
                      'nothing: nobody knows. Put' % self.rsrc.resource_id,
                      self.update_fails(timeout=2000))

    def test_former_profiles_go_when_nothing_uses_them(self):
        """They would pile up in the project."""
        marked = {'left_by_stack': 'any'}
        used = self.senlin.add_profile('used', marked)
        unused = self.senlin.add_profile('unused', marked)
        self.senlin.nodes[self.members()[0]]['profile_id'] = used

        self.update(self.rsrc)

        self.assertIn(used, self.senlin.profiles)
        self.assertNotIn(unused, self.senlin.profiles)
        self.assertIn(self.profile, self.senlin.profiles)

    def test_senlin_is_away_for_a_while(self):
        """A restart of Senlin would fail the update."""
        for after in range(0, 8, 2):
            self.senlin.down = self.outage(250, 500, after)

            self.update(self.rsrc, timeout=2000 + after)

            self.assertEqual(2000 + after, self.cluster['timeout'])

    def test_engine_dies_anywhere_and_an_update_carries_on(self):
        """The cluster would be neither as before nor as it should be."""
        self.start_over()
        for hears, changes in itertools.product((True, False),
                                                range(1, 6)):
            self.create_guarded()
            profile = self.senlin.add_profile('other')
            policy = self.senlin.add_policy('other', cluster_case.SCALING)
            values = {'profile': profile, 'policies': [policy],
                      'min_size': 0, 'desired_capacity': 3}
            died = self.dies(changes - hears, self.update, self.rsrc,
                             hears_of_the_last=hears, **values)
            self.assertEqual(changes < 5, died)

            again = self.reload(self.rsrc)
            self.update(again, **values)

            self.assertEqual(profile, self.cluster['profile_id'])
            self.assertEqual({self.hook_policy(), policy},
                             set(self.policies()))
            self.assertEqual(3, len(self.members()))
            self.assertEqual(0, self.cluster['min_size'])


class SizeTest(cluster_case.ClusterTestCase):

    def setUp(self):
        super().setUp()
        self.create_guarded()

    def test_smaller_size_drains(self):
        """An update would cut what a scale-in does not."""
        self.senlin.guests_answer = False
        update = self.start_task(self.rsrc.update, self.changed(
            self.rsrc, desired_capacity=1))

        self.stand_still(update)
        self.assertEqual(2, len(self.members()))
        self.senlin.guests_answer = True
        update.run_to_completion()

        self.assertEqual(1, len(self.members()))

    def test_other_updates_leave_the_number_to_the_alarms(self):
        """Each update would undo what the load has asked for."""
        self.senlin.add_node(self.rsrc.resource_id)
        self.cluster['desired_capacity'] = 3

        self.update(self.rsrc, min_size=2)

        self.assertEqual(3, len(self.members()))
        self.assertEqual(2, self.cluster['min_size'])

    def test_bounds_move_the_number(self):
        """A bound would be written down and not kept."""
        self.create_guarded(desired_capacity=None)

        self.update(self.rsrc, desired_capacity=None, min_size=3)
        self.assertEqual(3, len(self.members()))
        self.update(self.rsrc, desired_capacity=None, min_size=0, max_size=2)

        self.assertEqual(2, len(self.members()))
        # Senlin counts once it has the lock.
        self.assertEqual([None, None],
                         [r.get('number') for r in self.resizes()])

    def test_number_within_the_bounds_is_left_alone(self):
        """Each update would lock the cluster, and wait for its drains."""
        for min_size, max_size in ((2, 4), (1, 2), (2, 2), (2, -1)):
            self.create_guarded(desired_capacity=None, min_size=min_size,
                                max_size=max_size)
            while len(self.members()) < 2:
                self.senlin.add_node(self.rsrc.resource_id)

            self.update(self.rsrc)

            self.assertEqual([], self.resizes())

    def test_number_outside_the_bounds_is_repaired(self):
        """Servers that were lost would stay lost, whatever is updated."""
        for members in (1, 4):
            self.create_guarded(desired_capacity=None, min_size=2,
                                max_size=3)
            for node in self.members():
                del self.senlin.nodes[node]
            for _i in range(members):
                self.senlin.add_node(self.rsrc.resource_id)

            self.update(self.rsrc)

            self.assertIn(len(self.members()), (2, 3))

    def test_new_servers_are_made_as_the_update_says(self):
        """They would be of the old profile, and lack the new policies."""
        policy = self.senlin.add_policy('other', 'senlin.policy.zone-1.0')

        self.update(self.rsrc, profile=self.senlin.add_profile(),
                    policies=[self.policy, policy], desired_capacity=4)

        self.assertEqual(['update cluster', 'policy_attach', 'resize'],
                         self.journal)

    def test_number_that_is_asked_for_after_a_while(self):
        """A capacity that comes back into the template would do nothing."""
        self.update(self.rsrc, desired_capacity=None)
        self.assertEqual([], self.journal)
        self.senlin.add_node(self.rsrc.resource_id)

        self.update(self.rsrc, desired_capacity=2)

        self.assertEqual(2, len(self.members()))

    def test_failed_size_is_taken_back(self):
        """A rollback would leave the size that could not be reached."""
        before = self.rsrc.t
        self.senlin.broken = 'No valid host was found.'

        message = self.update_fails(desired_capacity=4)
        self.senlin.broken = None
        # What the template has said all the time.
        self.rsrc.t = before
        self.update(self.rsrc)

        self.assertIn('No valid host was found', message)
        self.assertEqual(2, len(self.members()))

    def test_failed_size_is_asked_for_again(self):
        """The second update would say that all is well."""
        self.senlin.outcomes['CLUSTER_RESIZE'] = [('FAILED', 'no quota')]

        self.assertIn('FAILED: no quota', self.update_fails(
            desired_capacity=4))
        self.update(self.rsrc, desired_capacity=4)

        self.assertEqual(4, len(self.members()))

    def test_servers_that_were_never_built_do_not_count(self):
        """The second update would say that all is well."""
        self.senlin.broken = 'No valid host was found.'
        self.update_fails(desired_capacity=4)
        self.senlin.broken = None
        served = set(self.members()[:2])

        self.update(self.rsrc, desired_capacity=4)

        self.assertEqual(4, len(self.members()))
        self.assertEqual({'ACTIVE'}, {
            self.senlin.nodes[node]['status'] for node in self.members()})
        self.assertLess(served, set(self.members()))
        self.assertEqual(4, self.cluster['max_size'])

    def test_server_that_an_alarm_did_not_get_is_no_failure(self):
        """An update of something else would fail for what an alarm asked."""
        self.senlin.add_node(self.rsrc.resource_id, 'ERROR', 'no quota')

        self.update(self.rsrc, max_size=5, timeout=1900)

        self.assertEqual(5, self.cluster['max_size'])

    def test_guest_can_refuse(self):
        """The update would say that it has done what it has not."""
        self.senlin.guests_answer = False
        update = self.start_task(self.rsrc.update, self.changed(
            self.rsrc, desired_capacity=1, min_size=0))
        self.stand_still(update)
        drain, = [a['id'] for a in self.senlin.actions.values()
                  if a['action'] == 'NODE_DELETE']
        self.senlin.end(drain, 'CANCELLED')

        error = self.assertRaises(base.ResourceFailure,
                                  update.run_to_completion)

        self.assertIn('as CANCELLED: a guest answered ROLLBACK', str(error))
        self.assertEqual(2, len(self.members()))

    def test_refusal_that_comes_after_the_end_of_an_update(self):
        """The next update would fail for what the last one has asked."""
        self.senlin.guests_answer = False
        update = self.start_task(self.rsrc.update, self.changed(
            self.rsrc, desired_capacity=1))
        self.stand_still(update)
        self.clock.advance_time_seconds(3600)
        self.assertRaises(base.ResourceFailure, update.run_to_completion)
        self.senlin.end(self.senlin.only_action('NODE_DELETE'), 'CANCELLED')

        self.update(self.rsrc, desired_capacity=3)

        self.assertEqual(3, len(self.members()))

    def writes(self):
        """How often Senlin was asked to change something."""
        return sum(not request.startswith('GET ')
                   for request in self.senlin.requests)

    def test_others_drain_on_when_one_refuses(self):
        """The update would end in the middle of a drain."""
        self.senlin.guests_answer = False
        update = self.start_task(self.rsrc.update, self.changed(
            self.rsrc, desired_capacity=0, min_size=0))
        self.stand_still(update)
        stays, goes = [a['id'] for a in self.senlin.actions.values()
                       if a['action'] == 'NODE_DELETE']
        self.senlin.end(stays, 'CANCELLED')
        before = self.writes()

        self.stand_still(update)
        self.assertEqual(before, self.writes())
        self.senlin.end(goes)
        self.assertRaises(base.ResourceFailure, update.run_to_completion)

        self.assertEqual(1, len(self.members()))

    def test_drain_that_senlin_has_lost(self):
        """Its servers would wait for ever, and stop the next drain."""
        self.senlin.guests_answer = False
        update = self.start_task(self.rsrc.update, self.changed(
            self.rsrc, desired_capacity=1))
        self.stand_still(update)
        lost = self.senlin.only_action('NODE_DELETE')
        self.senlin.end(self.senlin.only_action('CLUSTER_RESIZE'), *DIED)
        self.senlin.guests_answer = True

        update.run_to_completion()

        self.assertEqual('CANCELLED', self.senlin.status(lost))
        self.assertEqual(1, len(self.members()))
