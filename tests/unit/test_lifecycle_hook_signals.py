# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::LifecycleHook: signals."""

import sys
import threading

from heat.common import context as heat_context
from keystoneauth1 import exceptions as ksa_exceptions

from tests.unit import base
from tests.unit import fakes
from tests.unit import hook_case


class SignalTest(hook_case.SignalTestCase):

    def test_continue_completes_the_action(self):
        """A drained server would stay until the timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        node = self.node_of(token)

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        self.assertEqual(
            'Signal: CONTINUE for server %s (%s) after 31 s, by the signal '
            'URL: drained 12 sessions in 31 s.'
            % (node['physical_id'], node['name']), self.sentence())
        self.assertEqual([], self.warnings())

    def given_up(self, **changes):
        """Return the token of a drain that Senlin has given up."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.end(token, 'FAILED', 'Engine failure')
        self.senlin.actions[token].update(changes)
        self.journal.clear()
        return token

    def test_deletion_that_senlin_gave_up_is_made_up_for(self):
        """A server that has drained would stay, and serve nobody."""
        token = self.given_up()
        node = self.node_of(token)['id']

        self.signal(self.answer(token))
        self.signal(self.answer(token))
        self.senlin.work()
        self.signal(self.answer(token))

        self.assertEqual(['del_nodes'], self.journal)
        self.assertNotIn(node, self.senlin.nodes)
        self.assertEqual(2, len(self.senlin.nodes))
        self.assertIn('CONTINUE for server', self.sentence())

    def test_deletion_that_senlin_gave_up_is_rolled_back(self):
        """The capacity that the scale-in has lowered would stay."""
        token = self.given_up()

        self.rollback(token)
        self.senlin.work()

        self.assertEqual(['resize'], self.journal)
        self.assertEqual(3, len(self.senlin.nodes))
        self.assertEqual(
            3, self.senlin.clusters[self.cluster]['desired_capacity'])

    def test_busy_cluster_keeps_what_senlin_gave_up(self):
        """The guest would be told that it failed, or the server be lost."""
        token = self.given_up()
        self.senlin.locks[self.cluster] = 1

        self.signal(self.answer(token))

        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())
        self.assertIn(self.node_of(token)['id'], self.senlin.nodes)

    def assertIgnored(self, token):
        """Whatever the guest says of a deletion, nothing comes of it."""
        self.signal(self.answer(token))
        self.rollback(token)

        self.assertEqual([], self.journal)
        self.assertEqual([], self.events(self.hook))
        self.assertEqual(3, len(self.senlin.nodes))

    def test_answer_to_a_former_question_deletes_nothing(self):
        """A server that was asked again would go before it has answered."""
        token = self.given_up()
        self.senlin.add_action('NODE_DELETE', self.node_of(token)['id'],
                               fakes.WAITING)

        self.assertIgnored(token)

    def test_answer_after_the_timeout_deletes_nothing(self):
        """A server that has long served others again would go."""
        # Of 120 seconds, none is left.
        self.assertIgnored(self.given_up(created_at='2024-05-01T11:58:31Z'))

    def test_answer_before_the_timeout_is_in_time(self):
        """A server that has drained would stay, and serve nobody."""
        self.signal(self.answer(
            self.given_up(created_at='2024-05-01T11:58:32Z')))

        self.assertEqual(['del_nodes'], self.journal)

    def test_answer_for_a_deletion_that_failed_deletes_nothing(self):
        """What Senlin has tried in vain would be tried behind its back."""
        self.assertIgnored(
            self.given_up(status_reason='Failed in deleting the server.'))

    def test_heartbeat_changes_nothing_in_senlin(self):
        """A guest that says that it still works would keep its server."""
        token = self.senlin.wait_for_guest(self.cluster)
        before = len(self.senlin.requests)

        self.signal(self.answer(token, lifecycle_action_result='HEARTBEAT'))

        self.assertEqual([], self.senlin.requests[before:])
        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_foreign_deletion_that_senlin_gave_up_is_refused(self):
        """An old token would delete a server of somebody else."""
        self.senlin.bindings.clear()

        self.signal(self.answer(self.given_up()))

        self.assertRefused('belongs to no cluster')
        self.assertEqual(3, len(self.senlin.nodes))

    def test_signals_of_one_stack_share_a_token_of_keystone(self):
        """A hundred guests would have a hundred tokens made and checked."""
        auths = []
        for number in range(2):
            # Heat loads the stack anew for each signal.
            self.hook = self.reload(self.hook)
            context = self.hook.context
            context.trust_id = 'trust of this test'
            context._auth_plugin = object()

            self.signal(self.answer(self.senlin.wait_for_guest(
                self.cluster, number)))
            auths.append(context.keystone_session.auth)

        self.assertIs(*auths)
        self.assertEqual(2, len(self.completed()))

    def test_no_connection_stays_open_after_a_signal(self):
        """A thousand signals would take all connections of Senlin."""
        token = self.senlin.wait_for_guest(self.cluster)
        unknown = '8a5f0c1e-3c0e-4a52-9d7a-51a9f2f4c6b1'
        session = self.patchobject(self.hook.context.keystone_session,
                                   'session')
        for number, (said, down) in enumerate((
                (token, None), (unknown, None),
                (token, ksa_exceptions.ConnectFailure('no route'))), 1):
            self.senlin.down = down
            self.signal(self.answer(said))
            self.assertEqual(number, session.close.call_count)

    def test_event_says_who_it_was(self):
        """Nobody could tell a guest from a person who ended the drain."""
        for user, name, who in (('u-1', 'alice', 'user alice'),
                                ('u-1', None, 'user u-1'),
                                (self.hook._get_user_id(), 'hook-user',
                                 'the signal URL'),
                                (None, None, 'the signal URL')):
            token = self.senlin.wait_for_guest(self.cluster)
            heat_context.RequestContext(user_id=user, username=name,
                                        is_admin=False)
            self.signal(self.answer(token))

            self.assertIn(' s, by %s: ' % who, self.events(self.hook)[-1])

    def test_copies_that_come_at_once_are_one(self):
        """Each copy would be one more event and one more completion."""
        token = self.senlin.wait_for_guest(self.cluster)
        texts = []

        def guest():
            try:
                texts.append(self.hook.handle_signal(self.answer(token)))
            except base.NoActionRequired:
                pass

        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1e-6)
        guests = [threading.Thread(target=guest, daemon=True)
                  for _i in range(50)]
        for thread in guests:
            thread.start()
        for thread in guests:
            thread.join()

        self.assertEqual([token], self.completed())
        self.assertEqual(1, len(texts))

    def test_copy_that_another_engine_has_is_waited_for(self):
        """Senlin would begin the deletion of the server a second time."""
        token = self.senlin.wait_for_guest(self.cluster)
        lease = self.plugin_module('_engine.lease')

        def other_engine():
            held.__exit__(None, None, None)
            self.senlin.end(token)

        held = lease.hold(self.hook.context, self.hook.stack.id, token)
        held.__enter__()
        self.time.meanwhile = other_engine

        self.assertRaises(base.NoActionRequired, self.hook.handle_signal,
                          self.answer(token))
        self.assertEqual([], self.completed())

    def test_claim_of_a_dead_engine_ends(self):
        """The drain would take until its timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        lease = self.plugin_module('_engine.lease')
        dead = lease.hold(self.hook.context, self.hook.stack.id, token)
        dead.__enter__()

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        # Less, and an engine that waits for Senlin would be taken for dead.
        limit = self.plugin_module('_engine.clients').REQUEST_TIMEOUT
        self.assertGreaterEqual(self.time.slept, 2 * limit)
        self.assertLess(self.time.slept, 3 * limit)
        # Nor is anything of it left.
        slept = self.time.slept
        with lease.hold(self.hook.context, self.hook.stack.id, token):
            self.assertEqual(slept, self.time.slept)

    def test_suspended_stack_still_hears_its_guests(self):
        """Senlin goes on, so a drained server would stay until the timeout."""
        self.run_task(self.hook.suspend)
        self.hook = self.reload(self.hook)
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal(self.answer(token))
        self.run_task(self.hook.resume)

        self.assertEqual([token], self.completed())
        self.assertEqual([], [entry for entry in self.journal
                              if entry in ('disable user', 'enable user')])

    def test_stack_that_is_being_deleted_still_hears_its_guests(self):
        """The last drains would all take until the timeout."""
        token = self.senlin.wait_for_guest(self.cluster)
        for action in ('DELETE', 'UPDATE', 'CHECK', 'ROLLBACK'):
            self.hook.state_set(action, 'IN_PROGRESS')
            self.signal(self.answer(token))
            self.assertEqual([token], self.completed())

    def test_result_that_is_missing_means_continue(self):
        """A one-line curl in user data would not do."""
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal({'lifecycle_action_token': token, 'unknown': [1]})

        self.assertEqual([token], self.completed())

    def test_two_servers_at_once_each_end_their_own_drain(self):
        """One guest would end the drain of the other."""
        first = self.senlin.wait_for_guest(self.cluster, 0)
        second = self.senlin.wait_for_guest(self.cluster, 1)

        self.signal(self.answer(second))

        self.assertEqual(fakes.WAITING, self.senlin.status(first))
        self.signal(self.answer(first))
        self.assertEqual([second, first], self.completed())

    def test_signal_that_comes_twice_does_nothing_the_second_time(self):
        """A retry of the agent would fill the log and the event list."""
        token = self.senlin.wait_for_guest(self.cluster)

        self.signal(self.answer(token))
        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())
        self.assertIn('CONTINUE', self.sentence())
        self.assertEqual([], self.warnings())

    def test_late_signal_is_harmless(self):
        """A slow guest would trouble a server that has gone."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.end(token)
        self.senlin.nodes.clear()

        self.signal(self.answer(token))

        self.assertEqual([], self.completed())
        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_token_of_a_cluster_without_this_hook_is_refused(self):
        """A guest could delete servers of its neighbours."""
        foreign = self.senlin.add_cluster()
        self.senlin.bind_hook(foreign, self.senlin.add_hook())
        token = self.senlin.wait_for_guest(foreign)

        self.signal(self.answer(token))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertRefused(token, 'belongs to no cluster with this hook')

    def test_token_of_a_node_without_a_cluster_is_refused(self):
        """A lookup without a cluster would fail in the middle."""
        token = self.senlin.wait_for_guest(self.cluster)
        node_id = self.senlin.actions[token]['target']
        self.senlin.nodes[node_id]['cluster_id'] = ''

        self.signal(self.answer(token))

        self.assertRefused('belongs to no cluster with this hook')

    def test_token_of_a_node_that_is_gone_is_refused(self):
        """A guest that signals from the grave would leave a traceback."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.nodes.clear()

        self.signal(self.answer(token))

        self.assertRefused('belongs to no cluster with this hook')

    def test_token_of_a_cluster_that_is_gone_is_refused(self):
        """A cluster deleted by force would leave a traceback."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.remove_cluster(self.cluster)

        self.signal(self.answer(token))

        self.assertRefused('belongs to no cluster with this hook')

    def test_token_that_is_missing_is_named_so(self):
        """A person would look for a value where there is none."""
        self.signal({'lifecycle_action_result': 'CONTINUE'})

        self.assertRefused('lifecycle_action_token is missing')

    def test_test_changes_nothing_and_leaves_an_event(self):
        """Trying a server out would end its drain, or prove nothing."""
        token = self.senlin.wait_for_guest(self.cluster)
        for body in ({}, {'lifecycle_action_token': token}):
            self.signal(dict(body, lifecycle_action_result='TEST',
                             reason='drain-agent check'))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertEqual([], self.completed())
        self.assertEqual(
            ['Signal: TEST, by the signal URL: drain-agent check.'] * 2,
            self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_token_that_nobody_gave_out_is_refused(self):
        """A guess would reach Senlin."""
        token = base.contract('signal.json')['lifecycle_action_token']

        self.signal(self.answer(token))

        self.assertRefused('Senlin knows no action', token)

    def test_action_that_only_answers_to_the_token_is_refused(self):
        """Senlin finds actions by name too, so a name could be a token."""
        real = self.senlin.wait_for_guest(self.cluster)
        alias = base.contract('signal.json')['lifecycle_action_token']
        self.senlin.actions[alias] = self.senlin.actions[real]

        self.signal(self.answer(alias))

        self.assertRefused('Senlin knows no action')

    def test_unknown_result_is_refused_by_name(self):
        """A slip of the pen would delete a server."""
        token = self.senlin.wait_for_guest(self.cluster)

        for result in ('CONTINEU', 'continue', '', 5, ['CONTINUE'], False):
            self.signal(self.answer(token, lifecycle_action_result=result))

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertEqual(6, len(self.warnings()))
        self.assertIn('"CONTINEU"', self.warnings()[0])
        self.assertIn('"[\'CONTINUE\']"', self.warnings()[4])

    def test_body_that_is_not_an_object_is_refused(self):
        """A stray request would put a traceback in the log."""
        for body in (None, '', 'text', 'unset_hook', 7, 0.5, True, [],
                     ['unset_hook'], [[]]):
            self.signal(body)
            self.assertIn('Signal: refused: ', self.events(self.hook)[-1])

        self.assertEqual(10, len(self.warnings()))
        self.assertEqual([], self.completed())
        self.assertNotIn('Traceback', self.log.output)

    def test_handler_on_its_own_takes_any_body(self):
        """Heat hands over what was posted, and may stop checking it."""
        for body in (None, 'text', 7, []):
            self.assertEqual('refused: the body is not a JSON object.',
                             self.hook.handle_signal(body))

    def test_token_that_is_no_uuid_is_refused(self):
        """The token becomes part of a URL."""
        # The last one is a UUID as far as Python goes.
        for token in ('', 'short', '../clusters', 5, {}, [], 'x' * 5000,
                      '-' * 9000 + fakes.make_uuid()):
            self.signal(self.answer(token))
            sentence = self.events(self.hook)[-1]
            self.assertIn('lifecycle_action_token', sentence)
            self.assertTrue(sentence.endswith('.'), sentence)

        self.assertEqual(8, len(self.warnings()))
        self.assertEqual([], self.completed())

    def test_value_that_is_deeper_than_python_goes_is_refused(self):
        """A guest could fill the log with tracebacks."""
        value = []
        for _level in range(5000):
            value = [value]

        said = self.hook.handle_signal(self.answer(value))

        self.assertTrue(
            said.startswith('refused: lifecycle_action_token "[['), said)

    def test_guest_cannot_write_log_lines(self):
        """A guest could forge what an operator reads."""
        self.signal(self.answer('x\n2024-05-01 ERROR forged'))

        self.assertRefused('x 2024-05-01 ERROR forged')

    def test_long_reason_is_cut(self):
        """An event that does not fit its column would lose its end."""
        self.clock.advance_time_seconds(86000)
        token = self.senlin.wait_for_guest(self.cluster)
        heat_context.RequestContext(user_id='u', username='operator',
                                    is_admin=False)

        self.signal(self.answer(token, reason='r' * 5000))

        self.assertTrue(self.sentence().endswith('rrr....'), self.sentence())
        self.assertEqual([token], self.completed())

    def test_senlin_is_away_for_a_while(self):
        """A guest was told that all is well, and would not say it again."""
        for after in range(5):
            for answer in (500, ksa_exceptions.ConnectFailure('no route')):
                token = self.senlin.wait_for_guest(self.cluster)
                self.senlin.down = self.outage(250, answer, after)

                self.signal(self.answer(token))

                self.assertEqual(token, self.completed()[-1])
        self.assertNotEqual(0, self.time.slept)
        self.assertEqual(10, len(self.completed()))
        self.assertEqual(10, len(self.events(self.hook)))
        self.assertEqual([], self.warnings())

    def test_senlin_is_away_when_the_engine_is_new(self):
        """The client itself could not be made, and the signal be lost."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.hook = self.reload(self.hook)
        self.senlin.down = self.outage(
            100, ksa_exceptions.ConnectFailure('no route'))

        self.signal(self.answer(token))

        self.assertEqual([token], self.completed())

    def test_senlin_that_is_away_for_long_leaves_one_line(self):
        """An outage would put one traceback per guest in the log."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.senlin.down = ksa_exceptions.ConnectFailure('no route to Senlin')

        self.signal(self.answer(token))

        self.assertRefused('no route to Senlin', 'lost, to be sent again')
        self.assertGreaterEqual(self.time.slept, 300)
        self.assertLess(self.time.slept, 310)
        self.senlin.down = None
        self.signal(self.answer(token))
        self.assertEqual([token], self.completed())

    def test_answer_of_senlin_is_lost(self):
        """The server would go, and nobody hear why."""
        token = self.senlin.wait_for_guest(self.cluster)

        def after(request):
            if request.method == 'POST':
                self.senlin.after = lambda request: None
                return 504
        self.senlin.after = after

        self.signal(self.answer(token))

        self.assertEqual({token}, set(self.completed()))
        self.assertIn('CONTINUE', self.sentence())
        self.assertEqual([], self.warnings())
