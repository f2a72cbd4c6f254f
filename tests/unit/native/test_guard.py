# SPDX-License-Identifier: Apache-2.0

"""Guard of one server."""

import itertools

from novaclient import exceptions as nova_exceptions
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base
from tests.unit.native import guard_case

SERVER = guard_case.SERVER


class GuardTest(guard_case.GuardTestCase):

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
            hook = self.parse_stack(guard_case.TEMPLATE % {
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
