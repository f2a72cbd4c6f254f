# SPDX-License-Identifier: Apache-2.0

"""Base classes of the tests of OS::Hooks::LifecycleHook."""

from oslo_serialization import jsonutils

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties:
      timeout: 120
      criteria: OLDEST_FIRST
'''

SHARED_QUEUE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties:
      queue: shared
'''


class HookTestCase(base.ServiceTestCase):
    template = TEMPLATE

    def setUp(self):
        super().setUp()
        self.hook = self.parse_stack(self.template)['hook']

    def create(self):
        self.run_task(self.hook.create)

    def delete(self):
        self.run_task(self.hook.delete)

    def agent_config(self):
        return jsonutils.loads(self.hook.FnGetAtt('agent_config'))

    def policies(self):
        return self.senlin.policies_of(self.hook.FnGetRefId())

    def policy(self):
        policy, = self.policies()
        return policy

    def hook_timeouts(self, cluster_id):
        """The timeouts of the hooks that a cluster has."""
        return [self.senlin.policies[binding['policy_id']]
                ['spec']['properties']['hooks']['timeout']
                for binding in self.senlin.bindings_of(cluster_id)]


class SignalTestCase(HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.cluster = self.senlin.add_cluster(size=3)
        self.senlin.bind_hook(self.cluster, self.hook.FnGetRefId())
        self.senlin.guests_answer = False

    def signal(self, details):
        """Signal the way the engine does, check methods included."""
        self.hook._signal_check_action()
        self.hook._signal_check_hook(details)
        self.assertFalse(self.hook.signal(details, need_check=False))

    def answer(self, token, **extra):
        return dict(base.contract('signal.json'),
                    lifecycle_action_token=token, **extra)

    def rollback(self, token, **extra):
        self.signal(self.answer(token, lifecycle_action_result='ROLLBACK',
                                **extra))

    def node_of(self, token):
        return self.senlin.nodes[self.senlin.actions[token]['target']]

    def sentence(self):
        """The one event of this test."""
        sentence, = self.events(self.hook)
        return sentence

    def asked(self, what):
        """The actions that Senlin was asked to complete, or to cancel."""
        return [line.split()[1] for line in self.journal
                if line.startswith(what + ' ')]

    def completed(self):
        return self.asked('complete')

    def assertRefused(self, *words):
        self.assertEqual([], self.completed() + self.asked('cancel'))
        self.assertEqual(1, len(self.warnings()), self.log.output)
        for word in words:
            self.assertIn(word, self.warnings()[0])
            self.assertIn(word, self.sentence())
        self.assertNotIn('Traceback', self.log.output)
