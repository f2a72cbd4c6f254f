# SPDX-License-Identifier: Apache-2.0

"""Drains of servers that Senlin does not know, kept by Heat."""

import contextlib
import itertools
import re
from unittest import mock

from heat.common import exception
from heat.db import api as db_api
from heat.db import models
from heat.objects import resource as resource_objects
from heat.objects import resource_data
from heat.tests import utils
from novaclient import exceptions as nova_exceptions
from oslo_serialization import jsonutils
import sqlalchemy
from zaqarclient.transport import errors as zaqar_errors

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


class _GuardTestCase(base.ServiceTestCase):

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


class LookupTest(_GuardTestCase):
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


class GuardTest(_GuardTestCase):

    def test_message_is_the_contract(self):
        """The agent of a cluster's server would not understand it."""
        self.create()
        self.deletion_started()

        [message] = self.zaqar.messages
        expected = base.contract('hook_message.json')
        self.assertEqual(set(expected), set(message['body']))
        self.assertEqual(
            (SERVER, 'termination', self.hook.FnGetAtt('queue_name')),
            (message['body']['resource_id'],
             message['body']['lifecycle_transition_type'], message['queue']))
        # Until the end of the drain, and no longer than that.
        self.assertEqual(120, message['ttl'])

    def test_short_drain_has_a_message_that_zaqar_takes(self):
        """Zaqar would refuse it, and the server be cut."""
        self.start_over()
        self.update(self.hook, timeout=10)
        self.create()
        self.deletion_started()

        [message] = self.zaqar.messages
        self.assertEqual(60, message['ttl'])

    def test_waits_for_the_signal(self):
        """The server would go with its sessions."""
        self.create()
        runner = self.deletion_started()
        self.stand_still(runner)

        self.signal()

        self.step_to_end(runner)
        self.assertEqual(1, len(self.zaqar.messages))
        [event] = self.events(self.hook)
        self.assertIn('CONTINUE for server %s after ' % SERVER, event)
        self.assertIn('done', event)

    def test_silent_server_goes_at_the_timeout(self):
        """Nothing would ever be deleted."""
        self.create()
        runner = self.deletion_started()
        self.clock.advance_time_seconds(119)
        self.assertFalse(runner.step())

        self.clock.advance_time_seconds(1)

        self.step_to_end(runner)

    def test_declared_result_at_the_timeout(self):
        """A server that must not go undrained would go."""
        self.start_over(hook='default_result: ROLLBACK')
        self.create()
        runner = self.deletion_started()
        self.clock.advance_time_seconds(120)

        message = self.fails(lambda: self.step_to_end(runner))

        self.assertIn('server %s stays' % SERVER, message)
        self.assertIn('no answer within 120 seconds', message)

    def test_rollback_keeps_the_server_and_the_next_deletion_asks_again(self):
        """The guest's no would mean nothing, or for ever."""
        self.create()
        runner = self.deletion_started()
        first = self.token()
        self.signal('ROLLBACK')
        self.assertIn('because of a ROLLBACK (done)',
                      self.fails(lambda: self.step_to_end(runner)))

        self.guard = self.reload(self.guard)
        runner = self.deletion_started()
        self.assertNotEqual(first, self.token())
        # The first answer is over and done with.
        self.signal(token=first)
        self.stand_still(runner)
        self.signal()
        self.step_to_end(runner)

    def end_by_a_missing_heartbeat(self):
        """Delete the guard of a server that stays silent after a while."""
        runner = self.deletion_started()
        for _i in range(3):
            self.clock.advance_time_seconds(25)
            self.signal('HEARTBEAT')
            self.assertFalse(runner.step())

        self.clock.advance_time_seconds(30)

        self.step_to_end(runner)
        self.assertIn('no heartbeat for 30 seconds', self.log.output)

    def test_guest_without_a_heartbeat_is_not_waited_for(self):
        """A server that has crashed would be waited for to the end."""
        self.start_over(hook='heartbeat_timeout: 30')
        self.create()
        self.end_by_a_missing_heartbeat()
        self.assertEqual([], self.events(self.hook))

    def test_heartbeat_outweighs_the_status_in_nova(self):
        """After a crash of nova-compute, a live server would be deleted."""
        self.start_over(hook='heartbeat_timeout: 30')
        self.create()
        self.nova.servers = {SERVER: 'SHUTOFF'}
        self.end_by_a_missing_heartbeat()

    def test_server_that_is_missing_has_no_heartbeat(self):
        """A deletion would wait for a server that was deleted by hand."""
        self.start_over(hook='heartbeat_timeout: 30')
        self.create()
        self.nova.servers = {}

        self.delete()

        self.assertEqual([], self.zaqar.messages)

    def test_heartbeat_that_is_too_quick_is_refused(self):
        """One signal that is slow would end a drain."""
        for timeout, is_refused in ((0, False), (14, True), (15, False)):
            hook = self.parse_stack(TEMPLATE % {
                'hook': 'heartbeat_timeout: %d' % timeout})['hook']
            if is_refused:
                error = self.assertRaises(base.StackValidationFailed,
                                          hook.validate)
                self.assertIn('hook: "heartbeat_timeout", 14 seconds, is '
                              'below 15', str(error))
            else:
                hook.validate()

    def test_agent_is_told_to_send_heartbeats(self):
        """Nobody would send them, and every drain end early."""
        self.start_over(hook='heartbeat_timeout: 30')

        config = base.jsonutils.loads(self.hook.FnGetAtt('agent_config'))
        self.assertEqual(10, config['heartbeat'])

    def test_second_deletion_does_not_ask_again(self):
        """A deletion that failed elsewhere would wait for a drained server."""
        self.create()
        runner = self.deletion_started()
        self.signal()
        self.step_to_end(runner)

        self.run_task(self.reload(self.guard).delete)

        self.assertEqual(1, len(self.zaqar.messages))

    def test_answer_before_anybody_looks_again(self):
        """An engine that was away would ask the guest a second time."""
        self.create()
        self.deletion_started()
        self.signal()

        self.guard = self.reload(self.guard)
        self.delete()

        self.assertEqual(1, len(self.zaqar.messages))

    def test_engine_dies_anywhere_and_the_next_deletion_carries_on(self):
        """A drain would begin anew, or be forgotten."""
        for heard in (True, False):
            for changes in itertools.count():
                self.start_over()
                self.create()
                died = self.dies(changes, self.deletion_started,
                                 hears_of_the_last=heard)

                self.guard = self.reload(self.guard)
                runner = self.deletion_started()

                self.assertEqual(1, len({
                    message['body']['lifecycle_action_token']
                    for message in self.zaqar.messages}))
                self.signal()
                self.step_to_end(runner)
                if not died:
                    break

    def test_server_that_is_not_running_is_not_asked(self):
        """Nobody is there to answer."""
        for status in ('SHUTOFF', 'ERROR', 'PAUSED', None):
            self.start_over()
            self.create()
            self.nova.servers = {SERVER: status} if status else {}

            self.delete()

            self.assertEqual([], self.zaqar.messages)

    def test_outage_costs_time_only(self):
        """A restart of Nova or Zaqar would cut, or fail the stack."""
        self.create()
        self.nova.down = nova_exceptions.ClientException(503)
        runner = self.start_task(self.guard.delete)
        self.stand_still(runner)
        self.nova.down = None
        self.zaqar.down = zaqar_errors.ServiceUnavailableError('away')
        self.stand_still(runner)
        self.zaqar.down = None
        self.stand_still(runner)

        self.signal()

        self.step_to_end(runner)

    def test_hook_that_is_none_is_refused(self):
        """The server would go without a drain, one day."""
        self.make(hook='web')

        self.assertIn('"hook" is not an OS::Hooks::LifecycleHook',
                      self.fails(self.create))

    def test_failed_creation_is_deleted_without_a_word(self):
        """A stack could not be deleted because it could not be created."""
        self.make(hook='web')
        self.fails(self.create)

        self.delete()

        self.assertEqual([], self.zaqar.messages)

    def test_timeout_of_the_stack_that_is_too_short_is_refused(self):
        """The deletion would fail in the middle of the drain."""
        self.make(timeout_mins=2)

        self.assertIn('120 seconds, is not below 120 seconds',
                      self.fails(self.create))

    def test_hook_that_has_gone_holds_up_nothing(self):
        """The stack could never be deleted."""
        self.create()
        # As a guard of an older release.
        self.hook.data_delete('used-by-' + self.guard.stack.id)
        self.run_task(self.hook.delete)

        self.delete()

        self.assertIn('goes without a drain', self.log.output)

    def test_replacement_drains_the_server_that_goes_only(self):
        """An update of the guard would drain a server that stays."""
        self.create()
        self.make_twin(self.guard)
        twin = self.make_twin(self.guard)
        twin.resource_id_set(SERVER)

        self.guard.stack.action = self.guard.stack.UPDATE
        self.delete()

        self.assertEqual([], self.zaqar.messages)

    def test_deleted_replacement_guards_nothing(self):
        """Each of two guards would leave the server to the other one."""
        self.create()
        self.make_twin(self.guard)
        twin = self.make_twin(self.guard)
        twin.resource_id_set(SERVER)
        twin.state_set('DELETE', 'COMPLETE')

        self.guard.stack.action = self.guard.stack.UPDATE
        self.deletion_started()

        self.assertEqual(1, len(self.zaqar.messages))

    def test_two_guards_of_one_server_share_a_drain(self):
        """The application would be asked twice, and one answer be lost."""
        self.create()
        first = self.guard
        self.make()
        self.create()
        runners = [self.start_task(first.delete), self.deletion_started()]
        for runner in runners:
            self.assertFalse(runner.step())
        self.assertEqual(1, len(self.zaqar.messages))

        self.signal()

        for runner in runners:
            self.step_to_end(runner)


class HookTest(_GuardTestCase):

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
        other = self.parse_stack(TEMPLATE % {'hook': ''})['hook']
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
