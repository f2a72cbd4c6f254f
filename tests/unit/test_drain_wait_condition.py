# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::DrainWaitCondition: validation and replacement."""

from tests.unit import base
from tests.unit import condition_case


class ValidateTest(base.ServiceTestCase):

    def validate(self, **values):
        lines = ['      %s: %s' % item for item in values.items()]
        stack = self.parse_stack('\n'.join(
            condition_case.TEMPLATE.splitlines()[:-2] + ['      hook: h'] +
            lines + ['  other:', '    type: OS::Heat::None']))
        stack.validate()

    def refusal(self, **values):
        return str(self.assertRaises(base.StackValidationFailed,
                                     self.validate, **values))

    def test_what_is_guarded_is_given_once(self):
        """The stack would fail half-way, or guard the wrong thing."""
        self.assertIn('both "cluster" and "server"',
                      self.refusal(cluster='c', server='s'))
        self.assertIn('neither "cluster" nor "server"', self.refusal())

    def test_cluster_of_the_same_stack_is_taken(self):
        """It has no ID yet, and every real template would be refused."""
        self.validate(cluster='{get_resource: other}')
        self.validate(cluster='{get_attr: [other, value]}')
        self.validate(cluster='c')


class ReplaceTest(condition_case.ConditionTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        del self.journal[:]
        self.stack.state_set('UPDATE', 'IN_PROGRESS', '')
        self.twin = self.make_twin(self.condition)

    def create_twin(self):
        self.finish(self.twin.check_create_complete,
                    self.twin.handle_create())

    def test_replaced_condition_leaves_the_cluster_to_its_twin(self):
        """Marking a condition unhealthy would empty a live cluster."""
        self.create_twin()

        self.delete()

        self.assertEqual([], self.journal)
        self.assertIsGuarded()

    def test_rollback_leaves_the_cluster_to_the_first(self):
        """An update that fails elsewhere would empty a live cluster."""
        self.create_twin()

        self.assertIsNone(self.twin.handle_delete())
        self.assertIsGuarded()

    def test_twin_with_another_cluster_is_no_excuse(self):
        """A replaced cluster would be deleted without a drain."""
        self.twin.resource_id_set(self.senlin.add_cluster())

        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_twin_that_is_gone_is_no_excuse(self):
        """Nobody would drain the cluster."""
        self.condition.replaced_by = 4711

        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)

    def test_deletion_of_the_stack_drains_whoever_is_left(self):
        """Each twin would wait for the other to do it."""
        self.create_twin()
        self.stack.state_set('DELETE', 'IN_PROGRESS', '')

        self.delete()

        self.assertEqual(['resize', 'policy_detach'], self.journal)
