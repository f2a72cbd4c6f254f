# SPDX-License-Identifier: Apache-2.0

"""Base class of the tests of a condition that guards a server."""

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties:
      timeout: 120
      %(hook)s
'''

GUARD = '''
heat_template_version: wallaby
resources:
  drained:
    type: OS::Hooks::DrainWaitCondition
    properties:
      hook: %(hook)s
      server: %(server)s
'''

SERVER = 'c0b6a5d4-9e31-4a7f-b1d2-7f8e9a0b1c2d'


class GuardTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self, hook='', senlin=True, **kwargs):
        # The IDs of rows begin anew with each database.
        self.plugin_module('native._drains')._read.clear()
        self.nova.servers = {SERVER: 'ACTIVE'}
        self.senlin.in_catalogue = senlin
        del self.zaqar.messages[:]
        self.hook = self.parse_stack(TEMPLATE % {'hook': hook})['hook']
        self.run_task(self.hook.create)
        self.make(**kwargs)

    def make(self, timeout_mins=60, **values):
        values = dict({'hook': self.hook.FnGetRefId(), 'server': SERVER},
                      **values)
        self.guard = self.parse_stack(GUARD % values,
                                      timeout_mins=timeout_mins)['drained']

    def create(self):
        self.run_task(self.guard.create)

    def delete(self):
        self.run_task(self.guard.delete)

    def fails(self, task):
        return str(self.assertRaises(base.ResourceFailure, task))

    def deletion_started(self):
        runner = self.start_task(self.guard.delete)
        self.assertFalse(runner.step())
        return runner

    def step_to_end(self, runner):
        for _i in range(300):
            if runner.step():
                return
            self.clock.advance_time_seconds(1)
        self.fail('no end in sight')

    def token(self):
        return self.zaqar.messages[-1]['body']['lifecycle_action_token']

    def signal(self, result='CONTINUE', token=None, **values):
        self.clock.advance_time_seconds(2)
        self.hook.signal(dict({
            'lifecycle_action_token': token or self.token(),
            'lifecycle_action_result': result, 'reason': 'done'}, **values))
