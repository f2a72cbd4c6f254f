# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Cluster: creation, policies, deletion, attributes."""

import itertools

from tests.unit import base
from tests.unit.senlin import cluster_case

LOCKED = ('FAILED', 'Failed in locking cluster.')

DIED = ('FAILED', 'Engine died when executing this action.')


class CreateTest(cluster_case.ClusterTestCase):

    def test_created_as_the_template_says(self):
        """The stack would get another cluster."""
        self.create()

        self.assertEqual(
            {'profile_id': self.profile, 'min_size': 1, 'max_size': 4,
             'desired_capacity': 2, 'timeout': 1800,
             'metadata': {'tag': 'first'}},
            {key: self.cluster[key] for key in (
                'profile_id', 'min_size', 'max_size', 'desired_capacity',
                'timeout', 'metadata')})
        self.assertEqual(2, len(self.members()))
        self.assertEqual([self.policy], self.policies())
        self.assertEqual(self.cluster['id'], self.rsrc.FnGetRefId())
        self.assertEqual(['create cluster', 'policy_attach'], self.journal)

    def test_smallest_number_is_what_it_starts_with(self):
        """A cluster without a capacity would be refused."""
        self.start_over(desired_capacity=None, min_size=3)

        self.create()

        self.assertEqual(3, len(self.members()))
        self.assertEqual(['create cluster', 'policy_attach'], self.journal)

    def test_no_server_at_all_is_not_any_number(self):
        """Senlin takes a largest size of zero for none."""
        self.start_over(desired_capacity=0, min_size=0, max_size=0)

        self.create()

        self.assertEqual(0, self.cluster['max_size'])

    def test_names_will_do(self):
        """A template would have to look up IDs."""
        self.start_over(policies=['scaling'])
        by_name = self.senlin.policies
        by_name['scaling'] = by_name[self.policy]

        self.create()
        self.update(self.rsrc)

        self.assertEqual([self.policy], self.policies())
        self.assertEqual(1, self.journal.count('policy_attach'))

    def test_server_that_fails_is_told(self):
        """The stack would wait, or say that a node has failed, not why."""
        self.senlin.broken = 'No valid host was found.'

        message = self.create_fails()

        self.assertIn('Senlin ended CLUSTER_CREATE of cluster %s as FAILED: '
                      'Failed in creating nodes: No valid host was found. See'
                      % self.cluster['id'], message)

    def test_server_that_fails_unnoticed_is_told(self):
        """The stack would be complete, and have no server."""
        self.start_over(min_size=0, desired_capacity=1)
        self.senlin.broken = 'No valid host was found.'
        self.senlin.overlooks = True

        message = self.create_fails()

        self.assertIn('Senlin ended CLUSTER_CREATE of cluster %s as '
                      'SUCCEEDED, but 1 of its nodes failed: No valid host '
                      'was found. See "openstack cluster members list'
                      % self.cluster['id'], message)
        self.assertRaises(base.UpdateReplace, self.update, self.rsrc)

    def test_server_that_fails_later_is_no_failure(self):
        """A cluster that has served would be taken for one that has not."""
        end = self.senlin.end

        def end_and_break(action_id, *outcome):
            end(action_id, *outcome)
            for node in self.senlin.nodes.values():
                node['status'] = 'ERROR'
        self.patchobject(self.senlin, 'end', new=end_and_break)

        self.create()

        self.assertEqual(2, len(self.members()))

    def test_cluster_that_was_deleted_before_its_creation_was_seen(self):
        """The stack could not be deleted, nor the cluster be replaced."""
        for task, error in ((lambda: self.update(self.rsrc),
                             base.UpdateReplace), (self.delete, None)):
            self.start_over()
            self.create()
            action_id = self.senlin.only_action('CLUSTER_CREATE')
            self.senlin.remove_cluster(self.rsrc.resource_id)
            self.rsrc.data_set('action_id', action_id)
            if error:
                self.assertRaises(error, task)
            else:
                task()

    def test_action_that_failed_of_a_cluster_that_was_deleted(self):
        """The reason would be the words of an HTTP client."""
        self.create()
        self.senlin.outcomes['CLUSTER_RESIZE'] = [('FAILED', 'no quota')]
        resize = self.senlin.end

        def end(action_id, *outcome):
            resize(action_id, *outcome)
            if outcome[:1] == ('FAILED',):
                self.senlin.remove_cluster(self.rsrc.resource_id)
        self.patchobject(self.senlin, 'end', new=end)
        error = self.assertRaises(base.ResourceFailure, self.update,
                                  self.rsrc, desired_capacity=3)
        self.assertIn('as FAILED: no quota. See', str(error))

    def test_cluster_that_failed_is_replaced(self):
        """Its broken nodes would count as members for ever."""
        self.senlin.broken = 'No valid host was found.'
        self.create_fails()

        self.assertRaises(base.UpdateReplace, self.update, self.rsrc)

    def test_creation_is_not_tried_again(self):
        """A cluster with half of its servers would look well."""
        self.senlin.outcomes['CLUSTER_CREATE'] = [DIED]

        self.assertIn('CLUSTER_CREATE', self.create_fails())

    def test_refusal_by_senlin_is_told(self):
        """The stack would end with the words of an HTTP client."""
        self.senlin.refusals['cluster'] = 403, 'quota exceeded'

        self.assertIn('cluster: Senlin refuses the cluster: quota exceeded. '
                      'Correct', self.create_fails())

    def test_profile_and_policy_that_are_none(self):
        """Newer Heat gives a made-up ID for what it has not created."""
        self.start_over(profile='made-up')
        self.assertIn('cluster: Senlin knows no profile "made-up". From Heat '
                      '23.0.0 on', self.create_fails())
        self.assertEqual([], self.journal)

        self.start_over(policies=['made-up'])
        self.assertIn('cluster: Senlin knows no policy "made-up"; give an',
                      self.create_fails())

    def test_answer_that_is_lost(self):
        """Two clusters would be made, and one of them never deleted."""
        answers = itertools.chain([503], itertools.repeat(None))
        self.senlin.after = lambda request: (
            next(answers) if request.method == 'POST' else None)

        self.create()

        self.assertEqual(['create cluster', 'policy_attach'], self.journal)
        self.assertEqual(2, len(self.members()))

    def test_failure_is_told_though_an_answer_was_lost(self):
        """A cluster with half of its servers would look well."""
        answers = itertools.chain([503], itertools.repeat(None))
        self.senlin.after = lambda request: (
            next(answers) if request.method == 'POST' else None)
        self.senlin.outcomes['CLUSTER_CREATE'] = [DIED]

        self.assertIn('CLUSTER_CREATE', self.create_fails())
        self.assertEqual(['create cluster'], self.journal)

    def test_lost_race_for_the_lock_is_run_again(self):
        """Senlin gives up after three tries; we have longer."""
        self.senlin.outcomes['CLUSTER_ATTACH_POLICY'] = [LOCKED, LOCKED]

        self.create()

        self.assertEqual([self.policy], self.policies())
        self.assertEqual(3, self.journal.count('policy_attach'))

    def test_engine_dies_anywhere_and_a_deletion_cleans_up(self):
        """Servers would run for nobody, and cost money."""
        for hears, changes in itertools.product((True, False), range(1, 3)):
            self.start_over()
            self.assertTrue(self.dies(changes - hears, self.create,
                                      hears_of_the_last=hears))

            self.run_task(self.reload(self.rsrc).delete)

            self.assertEqual({}, self.senlin.clusters)
            self.assertEqual([], self.senlin.cut)

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.senlin.outcomes['CLUSTER_CREATE'] = [('RUNNING', '')] * 99
        self.rsrc.store()
        args = self.rsrc.handle_create()
        self.assertRaises(base.PollDelay, self.rsrc.check_create_complete,
                          args)
        self.clock.advance_time_seconds(3600)

        error = self.assertRaises(
            base.HeatError, self.rsrc.check_create_complete, args)

        self.assertIn('cluster: Cluster %s is still busy (action '
                      % self.rsrc.resource_id, str(error))


class ValidateTest(cluster_case.ClusterTestCase):

    def refusal(self, **values):
        self.start_over(**values)
        error = self.assertRaises(base.StackValidationFailed,
                                  self.rsrc.validate)
        return str(error)

    def test_sizes_that_do_not_go_together(self):
        """Senlin would refuse them when half of the stack is there."""
        said = ('cluster: "desired_capacity", %d, is not between "min_size", '
                '%d, and "max_size", %d; give')
        self.assertIn(said % (2, 3, 4), self.refusal(min_size=3))
        self.assertIn(said % (5, 1, 4), self.refusal(desired_capacity=5))
        self.assertIn(said % (9, 9, 4), self.refusal(desired_capacity=None,
                                                     min_size=9))

    def test_property_that_heat_refuses(self):
        """Senlin would refuse it when half of the stack is there."""
        self.assertIn('-1 is out of range (min: 0, max: None)',
                      self.refusal(timeout=-1))

    def test_sizes_that_go_together(self):
        """A template that is right would be refused."""
        for values in ({'max_size': -1, 'desired_capacity': 9},
                       {'min_size': 4, 'desired_capacity': None},
                       {'min_size': 2, 'max_size': 2},
                       {'min_size': 0, 'max_size': 0,
                        'desired_capacity': 0}):
            self.start_over(**values)
            self.rsrc.validate()


class PoliciesTest(cluster_case.ClusterTestCase):

    def setUp(self):
        super().setUp()
        self.create_guarded()

    def test_hook_is_left_alone(self):
        """An update would take the hook off, and cut the next scale-in."""
        self.update(self.rsrc, policies=[])

        self.assertEqual([self.hook_policy()], self.policies())
        self.assertEqual([], self.senlin.unguarded)

    def test_policy_of_the_same_type_takes_the_place(self):
        """Senlin would refuse it: a cluster has one policy of a type."""
        other = self.senlin.add_policy('other', cluster_case.SCALING)

        self.update(self.rsrc, policies=[other])

        self.assertEqual({self.hook_policy(), other}, set(self.policies()))
        self.assertEqual(['policy_detach', 'policy_attach'], self.journal)

    def test_policy_that_somebody_has_put_there_stays(self):
        """An update would undo what it does not know."""
        other = self.senlin.add_policy('other', 'senlin.policy.zone-1.0')
        self.senlin.bind(self.rsrc.resource_id, other)

        self.update(self.rsrc, policies=[])

        self.assertEqual({self.hook_policy(), other}, set(self.policies()))

    def test_policy_that_somebody_has_taken_off(self):
        """It would never come back."""
        self.senlin.bindings = [b for b in self.senlin.bindings
                                if b['policy_id'] != self.policy]

        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.rsrc.check)
        self.update(self.rsrc)

        self.assertIn('has lost the policies %s; update' % self.policy,
                      str(error))
        self.assertIn(self.policy, self.policies())
        self.run_task(self.rsrc.check)

    def test_failed_attachment_is_told_and_taken_back(self):
        """A rollback would leave what the update has put there."""
        other = self.senlin.add_policy('other', 'senlin.policy.zone-1.0')
        another = self.senlin.add_policy('another', cluster_case.SCALING)

        message = self.update_fails(policies=[self.policy, other, another])
        self.assertIn('Only one instance of policy type', message)
        self.assertIn(other, self.policies())
        self.update(self.rsrc, policies=[self.policy])

        self.assertEqual({self.hook_policy(), self.policy},
                         set(self.policies()))


class DeleteTest(cluster_case.ClusterTestCase):

    def test_goes_with_what_was_left_to_it(self):
        """Servers and profiles would stay in the project."""
        self.create()
        left = self.senlin.add_profile('left', {'left_by_stack': 'any'})
        self.senlin.nodes[self.members()[0]]['profile_id'] = left

        self.delete()

        self.assertEqual({}, self.senlin.clusters)
        self.assertEqual({}, self.senlin.nodes)
        self.assertEqual([self.profile], list(self.senlin.profiles))
        self.run_task(self.reload(self.rsrc).delete)

    def test_waits_for_a_drain(self):
        """Senlin takes the lock from the drain, and cuts it."""
        self.create_guarded()
        self.senlin.guests_answer = False
        self.senlin.scale_in(self.rsrc.resource_id)
        deletion = self.start_task(self.rsrc.delete)

        self.stand_still(deletion)
        self.assertEqual([], self.journal)
        self.senlin.guests_answer = True
        deletion.run_to_completion()

        self.assertEqual([], self.senlin.cut)
        self.assertEqual({}, self.senlin.clusters)

    def test_waits_for_an_action_of_its_own(self):
        """An update that was cut short would be cut once more."""
        self.create_guarded()
        self.senlin.guests_answer = False
        update = self.start_task(self.rsrc.update, self.changed(
            self.rsrc, desired_capacity=1))
        self.stand_still(update)
        again = self.reload(self.rsrc)
        deletion = self.start_task(again.delete)

        self.stand_still(deletion)
        self.senlin.guests_answer = True
        deletion.run_to_completion()

        self.assertEqual([], self.senlin.cut)
        self.assertEqual({}, self.senlin.clusters)

    def test_cluster_that_is_gone_is_fine(self):
        """The stack could not be deleted any more."""
        self.create()
        self.senlin.remove_cluster(self.rsrc.resource_id)
        self.senlin.nodes.clear()

        self.delete()

    def test_tries_again_and_then_tells(self):
        """One hiccup of Nova would fail the stack, or none ever would."""
        self.create()
        failure = ('FAILED', 'Failed in deleting nodes.')
        self.senlin.outcomes['CLUSTER_DELETE'] = [failure] * 3

        error = self.assertRaises(base.ResourceFailure, self.delete)

        self.assertIn('Senlin ended CLUSTER_DELETE of cluster %s as FAILED: '
                      'Failed in deleting nodes. See'
                      % self.rsrc.resource_id, str(error))
        self.assertEqual(3, self.journal.count('delete cluster'))
        self.senlin.outcomes['CLUSTER_DELETE'] = [failure] * 2
        self.run_task(self.reload(self.rsrc).delete)
        self.assertEqual({}, self.senlin.clusters)

    def test_deletion_that_senlin_has_not_tried(self):
        """Restarts of Senlin would count as failures."""
        self.create()
        self.senlin.outcomes['CLUSTER_DELETE'] = [DIED] * 5

        self.delete()

        self.assertEqual({}, self.senlin.clusters)

    def test_only_deletions_that_were_tried_count(self):
        """A restart of Senlin would take an attempt."""
        self.create()
        failure = ('FAILED', 'Failed in deleting nodes.')
        self.senlin.outcomes['CLUSTER_DELETE'] = (
            [DIED] * 2 + [failure] * 2 + [DIED] + [failure])

        error = self.assertRaises(base.ResourceFailure, self.delete)

        self.assertIn('Failed in deleting nodes', str(error))
        self.assertEqual(6, self.journal.count('delete cluster'))

    def test_failure_counts_once(self):
        """It would count again at each poll, while others act."""
        self.create_guarded()
        self.senlin.guests_answer = False
        self.senlin.outcomes['CLUSTER_DELETE'] = [
            ('FAILED', 'Failed in deleting nodes.')]
        delete_cluster = self.plugin_module('senlin._client').delete_cluster

        def delete(client, cluster_id):
            action_id = delete_cluster(client, cluster_id)
            # Somebody is faster than the next attempt.
            self.senlin.scale_in(cluster_id)
            return action_id
        delete.__name__ = 'delete_cluster'
        self.patchobject(self.plugin_module('senlin._client'),
                         'delete_cluster', new=delete)
        deletion = self.start_task(self.rsrc.delete)
        self.stand_still(deletion)
        self.patchobject(self.plugin_module('senlin._client'),
                         'delete_cluster', new=delete_cluster)

        self.senlin.guests_answer = True
        deletion.run_to_completion()
        self.assertEqual({}, self.senlin.clusters)

    def test_engine_dies_anywhere_and_a_deletion_carries_on(self):
        """The stack would stay in DELETE_FAILED."""
        for hears in (True, False):
            self.start_over()
            self.create()
            del self.journal[:]
            self.assertTrue(self.dies(1 - hears, self.delete,
                                      hears_of_the_last=hears))

            self.run_task(self.reload(self.rsrc).delete)

            self.assertEqual({}, self.senlin.clusters)
            self.assertEqual(['delete cluster'], self.journal)

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.create_guarded()
        self.senlin.guests_answer = False
        self.senlin.scale_in(self.rsrc.resource_id)
        args = self.rsrc.handle_delete()
        self.clock.advance_time_seconds(3600)

        error = self.assertRaises(
            base.HeatError, self.rsrc.check_delete_complete, args)

        self.assertIn('cluster: Cluster %s is still busy'
                      % self.rsrc.resource_id, str(error))

    @base.needs_senlin
    def test_senlin_was_taken_away(self):
        """The stack could not be deleted any more."""
        self.create()
        self.senlin.in_catalogue = False

        self.run_task(self.reload(self.rsrc).delete)

    def test_heat_was_upgraded(self):
        """A stack that was left behind could not be deleted any more."""
        self.create_guarded()
        self.patchobject(base.clients, 'has_client', return_value=False)

        self.run_task(self.reload(self.rsrc).delete)

        self.assertEqual([], self.journal)
        self.assertIn(self.rsrc.resource_id, self.senlin.clusters)
        self.assertIn('is left in Senlin', self.log.output)


class AttributesTest(cluster_case.ClusterTestCase):

    def setUp(self):
        super().setUp()
        self.create_guarded()

    def test_collect(self):
        """A load balancer, or a script, would not find the servers."""
        servers = [self.senlin.nodes[node]['physical_id']
                   for node in self.members()]

        self.assertEqual(servers, self.rsrc.FnGetAtt('collect',
                                                     'physical_id'))
        self.assertEqual(servers[1], self.rsrc.FnGetAtt(
            'collect', 'physical_id', 1))

    def test_collect_leaves_out_what_is_not_there_yet(self):
        """A list of servers would have holes in it."""
        self.senlin.nodes[self.members()[0]]['physical_id'] = None

        self.assertEqual(1, len(self.rsrc.FnGetAtt('collect',
                                                   'physical_id')))

    def test_collect_wants_a_path_that_is_one(self):
        """The author of the template would not learn what is wrong."""
        for path in ((), ('$$[',)):
            error = self.assertRaises(
                base.InvalidTemplateAttribute, self.rsrc.FnGetAtt,
                'collect', *path)
            self.assertIn('(cluster collect', str(error))

    def test_what_senlin_says_now(self):
        """A template would go by what was true when it was created."""
        self.senlin.add_node(self.rsrc.resource_id)
        self.cluster['desired_capacity'] = 3

        self.assertEqual(self.members(), self.rsrc.FnGetAtt('nodes'))
        self.assertEqual(3, self.rsrc.FnGetAtt('desired_capacity'))
        self.assertEqual(1, self.rsrc.FnGetAtt('min_size'))
        self.assertEqual(4, self.rsrc.FnGetAtt('max_size'))
        self.assertEqual({'tag': 'first'}, self.rsrc.FnGetAtt('metadata'))
        self.assertEqual(self.cluster['name'], self.rsrc.FnGetAtt('name'))
        self.assertEqual({self.policy, self.hook_policy()},
                         set(self.rsrc.FnGetAtt('policies')))
        self.assertEqual(self.members(), self.rsrc.FnGetAtt('show')['nodes'])
        self.assertEqual(self.rsrc.FnGetAtt('policies'),
                         self.rsrc.FnGetAtt('show')['policies'])
        # What openstacksdk adds of its own is none of Senlin's.
        self.assertNotIn('location', self.rsrc.FnGetAtt('show'))

    def test_nothing_is_known_of_a_cluster_that_is_not_there(self):
        """A template would fail on its outputs."""
        self.senlin.remove_cluster(self.rsrc.resource_id)
        for attribute in ('nodes', 'policies', 'show'):
            self.assertIsNone(self.rsrc.FnGetAtt(attribute))
        self.start_over()
        for attribute in ('nodes', 'policies'):
            self.assertIsNone(self.rsrc.FnGetAtt(attribute))
        self.assertIsNone(self.rsrc.FnGetAtt('collect', 'physical_id'))
