# SPDX-License-Identifier: Apache-2.0

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  policy:
    type: OS::Hooks::Policy
    properties:
      type: senlin.policy.scaling-1.0
      properties: {event: CLUSTER_SCALE_OUT}
'''


class PolicyTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self):
        self.senlin.policies.clear()
        self.stack = self.parse_stack(TEMPLATE)
        self.policy = self.stack['policy']
        del self.journal[:]

    def create(self):
        self.run_task(self.policy.create)

    def test_created_as_the_template_says(self):
        """The cluster would go by other rules."""
        self.create()

        policy, = self.senlin.policies.values()
        self.assertEqual(
            {'type': 'senlin.policy.scaling', 'version': '1.0',
             'properties': {'event': 'CLUSTER_SCALE_OUT'}}, policy['spec'])
        self.assertEqual(policy['id'], self.policy.FnGetRefId())

    def test_refusal_by_senlin_is_told(self):
        """The stack would wait for Senlin to become well again."""
        self.senlin.refusals['policy'] = (
            500, "Required spec item 'event' not provided", 'ESchema')

        error = self.assertRaises(base.ResourceFailure, self.create)

        self.assertIn("policy: Senlin refuses the policy: Required spec item "
                      "'event' not provided. Correct", str(error))

    def test_engine_dies_anywhere_and_a_deletion_cleans_up(self):
        """The policy would stay in the project for ever."""
        for made in (0, 1):
            self.start_over()
            self.assertTrue(self.dies(made, self.create,
                                      hears_of_the_last=False))
            self.assertEqual(made, len(self.senlin.policies))

            self.run_task(self.reload(self.policy).delete)

            self.assertEqual({}, self.senlin.policies)

    def test_other_properties_replace_it(self):
        """Senlin cannot change them."""
        self.create()

        self.assertRaises(base.UpdateReplace, self.update, self.policy,
                          properties={'event': 'CLUSTER_SCALE_IN'})

    def test_policy_that_was_deleted_by_hand(self):
        """The cluster would never get it back."""
        self.create()
        self.update(self.policy)
        self.senlin.policies.clear()

        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.policy.check)

        self.assertIn('policy: policy %s is gone; update the stack'
                      % self.policy.resource_id, str(error))
        self.assertRaises(base.UpdateReplace, self.update, self.policy)

    def test_deletion_waits_for_a_busy_cluster(self):
        """The stack would end in DELETE_FAILED."""
        self.create()
        self.senlin.bind(self.senlin.add_cluster(), self.policy.resource_id)
        deletion = self.start_task(self.policy.delete)

        self.stand_still(deletion)
        self.senlin.bindings.clear()
        deletion.run_to_completion()

        self.assertEqual({}, self.senlin.policies)
        self.run_task(self.reload(self.policy).delete)

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.create()
        self.senlin.bind(self.senlin.add_cluster(), self.policy.resource_id)
        wait = self.policy.handle_delete()
        self.clock.advance_time_seconds(3600)

        error = self.assertRaises(
            base.HeatError, self.policy.check_delete_complete, wait)

        self.assertIn('policy: Policy %s is still on a cluster'
                      % self.policy.resource_id, str(error))
        self.assertIn('"openstack cluster policy detach"', str(error))
