# SPDX-License-Identifier: Apache-2.0

"""Drains that Heat waits for itself, in the data of a hook."""

import contextlib
import re
from unittest import mock

from heat.common import exception
from heat.db import api as db_api
from heat.db import models
from heat.objects import resource as resource_objects
from heat.objects import resource_data
from heat.tests import utils
from oslo_serialization import jsonutils
import sqlalchemy

from tests.unit import base
from tests.unit.native import guard_case

SERVER = guard_case.SERVER


class LookupTest(guard_case.GuardTestCase):
    """A hook is found by its reference, for each signal and each poll."""

    def setUp(self):
        super().setUp()
        self.reference = self.hook.FnGetRefId()
        self.find = self.plugin_module('native._drains').Hook.find

    def scans(self, function):
        """Return (number of statements, what SQLite scans for them)."""
        asked = []

        def note(_connection, _cursor, statement, parameters, *_args):
            # oslo.db begins each transaction with statements of its own.
            if 'FROM' in statement:
                asked.append((statement, parameters))
        hook = sqlalchemy.engine.Engine, 'before_cursor_execute', note
        sqlalchemy.event.listen(*hook)
        try:
            function()
        finally:
            sqlalchemy.event.remove(*hook)
        with db_api.context_manager.reader.using(self.hook.context) as session:
            steps = [row[-1] for statement, parameters in asked
                     for row in session.connection().exec_driver_sql(
                         'EXPLAIN QUERY PLAN ' + statement, parameters)]
        self.assertTrue(asked and steps)
        return len(asked), [step for step in steps
                            if re.match(r'SCAN resource\b', step)]

    def test_hook_is_found_by_an_index(self):
        """Each signal would read every resource of the site."""
        self.assertEqual((2, []), self.scans(lambda: self.assertEqual(
            self.hook.id, self.find(self.hook.context, self.reference).id)))

        # This is what a scan looks like.
        self.assertEqual(1, len(self.scans(
            lambda: resource_objects.Resource.get_all_by_physical_resource_id(
                self.hook.context, self.reference))[1]))

    def test_hook_of_another_project_is_none(self):
        """A tenant would end the drains of another one."""
        other = utils.dummy_context(tenant_id='another')
        admin = utils.dummy_context(tenant_id='another', is_admin=True)

        self.assertIsNone(self.find(other, self.reference))
        self.assertEqual(self.hook.id, self.find(admin, self.reference).id)
        self.assertIsNone(self.find(admin, None))

    def test_users_of_the_stack_find_its_hook(self):
        """A guest that signals is a user of the stack's own project."""
        with db_api.context_manager.writer.using(self.hook.context):
            self.hook.context.session.get(
                models.Stack, self.hook.stack.id
            ).stack_user_project_id = 'of-users'
        user = utils.dummy_context(tenant_id='of-users')

        self.assertEqual(self.hook.id, self.find(user, self.reference).id)

    def test_adopted_hook_is_found(self):
        """A stack that was abandoned and adopted would never drain."""
        reference = 'lifecycle-hook-' + SERVER
        self.hook.resource_id_set(reference)

        self.assertEqual(self.hook.id,
                         self.find(self.hook.context, reference).id)

    def test_deleted_hook_is_none(self):
        """A guard would wait for a hook that nobody signals to."""
        self.run_task(self.hook.delete)

        self.assertIsNone(self.find(self.hook.context, self.reference))

    def test_hook_that_is_deleted_meanwhile_is_none(self):
        """A guard would fail with a message about a row."""
        with mock.patch.object(resource_objects.Resource, 'get_obj',
                               side_effect=exception.NotFound):
            self.assertIsNone(self.find(self.hook.context, self.reference))


class HookTest(guard_case.GuardTestCase):

    def test_message_is_posted_once_by_whoever_comes(self):
        """The ticker of an engine would post what the group is posting."""
        hook = self.plugin_module('native._drains').Hook.find(
            self.hook.context, self.hook.FnGetRefId())
        hook.begin({SERVER: None})
        for _i in range(2):
            hook.post(self.hook.client('zaqar'), [SERVER])

        self.assertEqual(1, len(self.zaqar.messages))

    def test_answer_that_another_engine_has_heard_is_seen(self):
        """The server would stay until the timeout, drained."""
        drains = self.plugin_module('native._drains')
        hook = drains.Hook.find(self.hook.context, self.hook.FnGetRefId())
        begun = hook.begin({SERVER: None})[SERVER]
        self.assertIsNone(hook.drains()[SERVER].result)
        answered = begun._replace(result='CONTINUE', reason='done')
        # Not by hook.answer, which is what another engine runs.
        resource_data.ResourceData.set(
            hook, 'drain-' + SERVER, jsonutils.dumps(answered._asdict()))

        self.assertIsNone(hook.drains()[SERVER].result)
        self.time.sleep(1)

        self.assertEqual('CONTINUE', hook.drains()[SERVER].result)

    def hook_is_refused(self):
        """Delete the hook, which must fail, and return the message."""
        return self.fails(lambda: self.run_task(self.hook.delete))

    def test_hook_of_guards_of_another_stack_is_not_deleted(self):
        """Their servers would go without a drain from then on."""
        self.create()

        message = self.hook_is_refused()

        self.assertIn('guards of other stacks still have the hook %s: %s.'
                      % (self.hook.FnGetRefId(), self.guard.stack.name),
                      message)
        self.assertIn('Delete these stacks, or give their guards another hook',
                      message)
        # Nothing of it has gone.
        self.hook = self.reload(self.hook)
        runner = self.deletion_started()
        self.hook_is_refused()
        self.hook = self.reload(self.hook)
        self.signal()
        self.step_to_end(runner)
        self.run_task(self.reload(self.hook).delete)

    def test_first_three_stacks_are_named(self):
        """An event holds 255 characters."""
        self.create()
        hook = self.plugin_module('native._drains').Hook
        for number, said in ((3, ': a0, a1, a2. Delete'),
                             (4, ': a0, a1, a2, .... Delete')):
            self.patchobject(hook, 'users', new=lambda _hook, number=number: [
                'a%d' % i for i in range(number)])
            self.hook = self.reload(self.hook)
            self.assertIn(said, self.hook_is_refused())

    def test_hook_is_refused_as_long_as_one_guard_is_left(self):
        """The first guard that goes would free the hook of all others."""
        self.create()
        guards = [self.guard]
        self.make()
        # Nested in the stack of the first one.
        self.guard.stack.owner_id = guards[0].stack.id
        self.create()
        guards.append(self.guard)
        self.nova.servers = {}
        self.run_task(guards[0].delete)
        self.hook_is_refused()
        self.run_task(guards[1].delete)

        self.run_task(self.reload(self.hook).delete)

    def test_hook_of_guards_of_its_own_stacks_is_deleted(self):
        """The deletion of a stack would fail, as Heat knows the order."""
        self.guard.stack.owner_id = self.hook.stack.id
        self.create()

        self.run_task(self.hook.delete)

    def test_hook_that_a_guard_has_no_more_is_deleted(self):
        """A hook that was replaced could never be deleted."""
        self.create()
        other = self.parse_stack(guard_case.TEMPLATE % {'hook': ''})['hook']
        self.run_task(other.create)
        self.update(self.guard, hook=other.FnGetRefId())

        self.run_task(self.hook.delete)

        self.hook = other
        self.hook_is_refused()

    def test_stacks_that_have_gone_are_forgotten(self):
        """A hook of years would carry every stack that it ever saw."""
        self.create()
        self.nova.servers = {}
        self.guard.stack.delete()

        self.make()
        self.create()

        self.assertEqual(['used-by-' + self.guard.stack.id], [
            key for key in self.reload(self.hook).data()
            if key.startswith('used-by-')])

    def test_guard_of_an_older_release_is_known_after_an_update(self):
        """Its hook could be deleted for ever."""
        self.create()
        self.hook.data_delete('used-by-' + self.guard.stack.id)

        self.update(self.guard)

        self.hook_is_refused()

    def test_two_may_forget_the_same_drain_at_once(self):
        """One of two stacks that are deleted at the same time would fail."""
        hook = self.plugin_module('native._drains').Hook.find(
            self.hook.context, self.hook.FnGetRefId())
        hook.begin({SERVER: None})
        hook.finish({SERVER: ('CONTINUE', 'done')})
        self.clock.advance_time_seconds(3601)
        known = hook.read()
        # Another guard begins its drain now, and forgets the old one first.
        resource_data.ResourceData.delete(hook, 'drain-' + SERVER)
        with mock.patch.object(hook, 'read', return_value=known):
            hook.begin({'another': None})

        self.assertEqual(['another'], list(hook.read()))

    def test_cloud_without_senlin_needs_none(self):
        """Who has no Senlin could not create a hook."""
        asked = len(self.senlin.requests)
        self.start_over(senlin=False)
        self.create()

        self.assertIsNone(self.hook.FnGetAtt('policy_id'))
        self.assertEqual([], self.hook.FnGetAtt('pending'))
        self.run_task(self.hook.check)
        self.update(self.hook, timeout=60)
        self.assertEqual([], self.senlin.requests[asked:])
        runner = self.deletion_started()
        self.signal()
        self.step_to_end(runner)
        self.run_task(self.hook.delete)

    def test_heat_without_senlin_says_what_to_use(self):
        """A cluster would be created that is none."""
        self.patchobject(base.clients, 'has_client', return_value=False)
        cluster = self.parse_stack('''
heat_template_version: wallaby
resources:
  drained:
    type: OS::Hooks::DrainWaitCondition
    properties: {hook: hook, cluster: web}
''')['drained']

        self.assertIn('OS::Hooks::AutoScalingGroup', str(self.assertRaises(
            base.StackValidationFailed, cluster.validate)))
        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  cluster.create)
        self.assertIn('drained: Heat has no clusters of Senlin', str(error))
        self.assertIn('OS::Hooks::AutoScalingGroup', str(error))
        self.assertIn(
            'OS::Hooks::AutoScalingGroup',
            str(self.assertRaises(
                base.ResourceTypeUnavailable, self.parse_stack(
                    'heat_template_version: wallaby\n'
                    'resources: {p: {type: OS::Hooks::Policy, properties: '
                    '{type: senlin.policy.scaling-1.0}}}').validate)))

    def test_pending_is_what_waits(self):
        """An operator could not see what a deletion waits for."""
        self.create()
        self.deletion_started()

        self.assertEqual(
            [{'lifecycle_action_token': self.token(), 'node_id': None,
              'server': SERVER, 'since': '2024-05-01T12:00:31Z'}],
            self.hook.FnGetAtt('pending'))
        self.signal()
        self.assertEqual([], self.hook.FnGetAtt('pending'))

    def test_pending_forgets_what_nothing_waits_for(self):
        """An operator would look for ever for a deletion that was cancelled.

        An update that is cancelled or rolled back leaves a drain without a
        result, whose deadline passes.
        """
        self.start_over(senlin=False)
        self.create()
        runner = self.deletion_started()
        runner.cancel()

        # Until then somebody may wait, held up by a service that is away.
        self.clock.advance_time_seconds(120 + 299)
        self.assertEqual(1, len(self.hook.FnGetAtt('pending')))
        self.clock.advance_time_seconds(1)
        self.assertEqual([], self.hook.FnGetAtt('pending'))

        for result in ('CONTINUE', 'ROLLBACK', 'HEARTBEAT'):
            self.signal(result)
            self.assertIn(
                'refused: nobody waits for a drain with the token %s.'
                % self.token(), self.events(self.hook)[-1])

        # The next deletion is another drain.
        token = self.token()
        runner = self.deletion_started()
        self.assertEqual(2, len(self.zaqar.messages))
        self.assertNotEqual(token, self.token())
        self.signal()
        self.step_to_end(runner)

    def test_signal_at_the_last_moment_counts(self):
        """A guest that refuses would be cut, as Heat takes seconds."""
        self.create()
        runner = self.deletion_started()
        self.clock.advance_time_seconds(125)

        self.signal('ROLLBACK')

        self.assertIn('because of a ROLLBACK', self.fails(
            lambda: self.step_to_end(runner)))

    def test_unknown_token_is_refused(self):
        """A guess would let a server go."""
        self.start_over(senlin=False)
        self.create()
        runner = self.deletion_started()

        self.signal(token='8a5f0c1e-3c0e-4a52-9d7a-51a9f2f4c6b1')

        self.stand_still(runner)
        [event] = self.events(self.hook)
        self.assertIn('refused: nobody waits for a drain with the token',
                      event)

    def test_answer_of_a_drain_that_is_forgotten_meanwhile_is_unknown(self):
        """It would be written to another drain, or fail with a traceback."""
        drains = self.plugin_module('native._drains')
        hook = drains.Hook.find(self.hook.context, self.hook.FnGetRefId())
        for begins_anew in (False, True):
            token = hook.begin({SERVER: None})[SERVER].token

            @contextlib.contextmanager
            def forget(*_args):
                resource_data.ResourceData.delete(hook, 'drain-' + SERVER)
                if begins_anew:
                    hook._set(drains.Drain(
                        SERVER, 'another', 0, 120, 0, True, None, None, None,
                        None))
                yield
            with mock.patch.object(drains.lease, 'hold', forget):
                self.assertIsNone(hook.answer(token, 'CONTINUE', 'done'))
            self.assertEqual([None] * begins_anew, [
                drain.result for drain in hook.read().values()])

    def test_first_answer_counts(self):
        """A second one would take back what has begun."""
        self.create()
        runner = self.deletion_started()
        self.signal()
        self.signal('ROLLBACK')

        self.step_to_end(runner)
        self.assertEqual(1, len(self.events(self.hook)))

    def test_late_answer_changes_nothing(self):
        """A server that is gone would be kept."""
        self.create()
        runner = self.deletion_started()
        self.clock.advance_time_seconds(120)
        self.step_to_end(runner)

        self.signal('ROLLBACK')

        self.assertEqual([], self.events(self.hook))

    def test_hook_with_what_senlin_does_not_know_is_refused(self):
        """A cluster would delete what the hook promises to keep."""
        for hook in ('heartbeat_timeout: 30', 'default_result: ROLLBACK'):
            self.start_over(hook=hook)
            guard = self.parse_stack('''
heat_template_version: wallaby
resources:
  drained:
    type: OS::Hooks::DrainWaitCondition
    properties: {hook: %s, cluster: %s}
''' % (self.hook.FnGetRefId(), self.senlin.add_cluster()))['drained']

            error = self.assertRaises(base.ResourceFailure, self.run_task,
                                      guard.create)
            self.assertIn('of which Senlin knows nothing', str(error))

    def test_what_is_over_is_forgotten_one_day(self):
        """A hook of years would carry every server that it ever saw."""
        self.create()
        runner = self.deletion_started()
        self.signal()
        self.step_to_end(runner)
        self.clock.advance_time_seconds(3601)
        other = 'd1b6a5d4-9e31-4a7f-b1d2-7f8e9a0b1c2d'
        self.nova.servers[other] = 'ACTIVE'
        self.make(server=other)
        self.create()
        self.deletion_started()

        self.assertEqual(['drain-' + other], [
            key for key in self.reload(self.hook).data()
            if key.startswith('drain-')])
