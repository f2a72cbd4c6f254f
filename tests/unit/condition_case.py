# SPDX-License-Identifier: Apache-2.0

"""Base class of the tests of a condition that guards a cluster."""

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


class ConditionTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self, size=2, **kwargs):
        self.senlin.clusters.clear()
        self.senlin.policies.clear()
        self.senlin.bindings.clear()
        self.senlin.nodes.clear()
        self.senlin.actions.clear()
        self.hook = self.senlin.add_hook(timeout=300)
        self.cluster = self.senlin.add_cluster(size=size, **kwargs)
        self.make()
        del self.journal[:]

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

    def assertIsGuarded(self, hook=None):
        """The cluster has this hook, and no other, and was never without."""
        self.assertEqual([hook or self.hook],
                         [b['policy_name']
                          for b in self.senlin.bindings_of(self.cluster)])
        self.assertEqual([], self.senlin.unguarded)

    def poll(self, check, wait):
        self.assertRaises(base.PollDelay, check, wait)

    def finish(self, check, wait):
        for _i in range(50):
            try:
                return self.assertTrue(check(wait))
            except base.PollDelay:
                pass
        self.fail('no end in sight')

    def condition_started(self):
        self.condition.store()
        return self.condition.handle_create()

    def deletion_started(self):
        """Begin the deletion, up to the drain."""
        wait = self.condition.handle_delete()
        for _i in range(2):
            self.poll(self.condition.check_delete_complete, wait)
        return wait

    def resizes(self):
        return [a for a in self.senlin.actions.values()
                if a['action'] == 'CLUSTER_RESIZE']
