# SPDX-License-Identifier: Apache-2.0

"""Signals with ROLLBACK, and pending drains, of a hook in Senlin."""

from tests.unit import fakes
from tests.unit import hook_case


class RollbackTest(hook_case.SignalTestCase):

    def desired(self):
        return self.senlin.clusters[self.cluster]['desired_capacity']

    def test_server_stays_and_is_desired(self):
        """A server that asks to stay would be deleted, or not be missed."""
        token, = self.senlin.scale_in(self.cluster)
        node = self.node_of(token)
        self.assertEqual(2, self.desired())

        self.rollback(token, reason='two games are on')

        self.assertEqual('CANCELLED', self.senlin.status(token))
        self.assertEqual([token], self.asked('cancel'))
        self.assertIn(node['id'], self.senlin.nodes)
        self.assertEqual(3, self.desired())
        self.assertEqual([], self.completed())
        self.assertEqual(
            ['Signal: ROLLBACK for server %s (%s) after 31 s, by the signal '
             'URL: two games are on.' % (node['physical_id'], node['name']),
             'Signal: the desired capacity of cluster %s counts that server '
             'again.' % self.cluster], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_number_of_servers_does_not_change(self):
        """Putting the capacity back would make a server, or delete one."""
        before = set(self.senlin.nodes)
        token, = self.senlin.scale_in(self.cluster)

        self.rollback(token)
        self.senlin.work()

        self.assertEqual(before, set(self.senlin.nodes))
        resize = self.senlin.actions[
            self.senlin.only_action('CLUSTER_RESIZE')]
        self.assertEqual('SUCCEEDED', resize['status'])
        # Else Senlin makes servers up to the minimum size.
        self.assertIs(True, resize['inputs']['strict'])

    def test_others_of_the_same_scale_in_may_go(self):
        """One server that stays would keep the others, or be counted out."""
        stays, goes = self.senlin.scale_in(self.cluster, 2)
        seen = []

        def meanwhile():
            seen.append(list(self.events(self.hook)))
            if len(seen) == 20:
                self.signal(self.answer(goes))
        self.time.meanwhile = meanwhile

        self.rollback(stays)

        # A person reads at once what the guest has said.
        self.assertIn('ROLLBACK', seen[0][0])
        self.assertEqual(2, self.desired())
        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))
        self.assertEqual('CANCELLED', self.senlin.status(stays))
        self.assertEqual('SUCCEEDED', self.senlin.status(goes))
        self.assertEqual(['ROLLBACK', 'CONTINUE', 'the'],
                         [event.split()[1] for event in
                          self.events(self.hook)])

    def test_one_that_comes_after_a_continue_for_another(self):
        """The first answer would be taken for that of all."""
        goes, stays = self.senlin.scale_in(self.cluster, 2)

        self.signal(self.answer(goes))
        self.rollback(stays)

        self.assertEqual(2, self.desired())
        self.assertEqual(2, len(self.senlin.nodes_of(self.cluster)))

    def test_all_of_them_may_stay(self):
        """The second to refuse would find its action gone."""
        first, second = self.senlin.scale_in(self.cluster, 2)
        self.time.meanwhile = lambda: self.rollback(second)

        self.rollback(first)

        self.assertEqual(3, self.desired())
        self.assertEqual(['CANCELLED'] * 2,
                         [self.senlin.status(t) for t in (first, second)])

    def test_comes_twice(self):
        """A retry of the agent would fill the event list, or wait again."""
        token, = self.senlin.scale_in(self.cluster)
        self.rollback(token)
        events, slept = self.events(self.hook), self.time.slept

        self.rollback(token)

        self.assertEqual(events, self.events(self.hook))
        self.assertEqual([token], self.asked('cancel'))
        self.assertEqual(slept, self.time.slept)
        self.assertEqual(1, self.journal.count('resize'))
        self.assertEqual([], self.warnings())

    def test_second_copy_does_not_wait(self):
        """Each copy would block a thread of the engine for minutes."""
        token, _other = self.senlin.scale_in(self.cluster, 2)
        self.senlin.end(token, 'CANCELLED')

        self.rollback(token)

        self.assertEqual(0, self.time.slept)
        self.assertEqual([], self.events(self.hook))

    def test_second_copy_does_what_a_dead_engine_has_left(self):
        """The cluster would stay one short for ever."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.end(token, 'CANCELLED')

        self.rollback(token)
        self.senlin.work()

        self.assertEqual(3, self.desired())
        self.assertEqual([], self.events(self.hook))

    def test_comes_after_the_timeout(self):
        """A server that has gone would be said to stay."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.end(token)

        self.rollback(token)

        self.assertEqual([], self.asked('cancel'))
        self.assertEqual([], self.events(self.hook))
        self.assertEqual([], self.warnings())

    def test_comes_after_continue(self):
        """Of two answers the first counts: the server is half gone."""
        token, _other = self.senlin.scale_in(self.cluster, 2)
        self.signal(self.answer(token))

        self.rollback(token)

        self.assertEqual([], self.asked('cancel'))
        self.assertIn('CONTINUE', self.sentence())

    def test_continue_after_it_changes_nothing(self):
        """A server that was said to stay would be deleted after all."""
        token, = self.senlin.scale_in(self.cluster)
        self.rollback(token)

        self.signal(self.answer(token))

        self.assertEqual([], self.completed())
        self.assertEqual(2, len(self.events(self.hook)))

    def test_deletion_that_begins_at_this_moment_is_told(self):
        """The guest would be told that it stays, and then be deleted."""
        for status in ('RUNNING', 'SUCCEEDED', 'FAILED'):
            token = self.senlin.wait_for_guest(self.cluster)

            def before(request, token=token, status=status):
                if request.method == 'PATCH':
                    self.senlin.actions[token]['status'] = status
            self.senlin.before = before

            self.rollback(token)

            self.assertIn('came too late, its deletion has begun',
                          self.events(self.hook)[-1])
        self.assertEqual(3, len(self.events(self.hook)))
        self.assertNotIn('resize', self.journal)
        self.assertNotIn('Traceback', self.log.output)

    def test_cluster_that_stops_its_servers_first_cannot_keep_them(self):
        """Cancelled, the stop counts as done, and the server would go."""
        token, = self.senlin.scale_in(self.cluster, kind='NODE_OPERATION')

        self.rollback(token)

        self.assertRefused('cannot be kept',
                           'cluster.stop_node_before_delete')
        self.assertEqual(fakes.WAITING, self.senlin.status(token))

    def test_token_of_somebody_else_is_refused(self):
        """A guest could keep its neighbours from being scaled in."""
        foreign = self.senlin.add_cluster()
        self.senlin.bind_hook(foreign, self.senlin.add_hook())
        token, = self.senlin.scale_in(foreign)
        ended, = self.senlin.scale_in(self.senlin.add_cluster())
        self.senlin.end(ended, 'CANCELLED')

        self.rollback(token)

        self.assertEqual(fakes.WAITING, self.senlin.status(token))
        self.assertRefused('belongs to no cluster with this hook')
        self.rollback(ended)
        self.assertNotIn('resize', self.journal)
        self.assertIn('belongs to no cluster', self.events(self.hook)[-1])

    def test_senlin_is_away_for_a_while(self):
        """The server would stay, and the cluster be one short."""
        for after in range(10):
            token, = self.senlin.scale_in(self.cluster)
            self.senlin.down = self.outage(250, 500, after)

            self.rollback(token)

            self.assertEqual('CANCELLED', self.senlin.status(token))
            self.assertEqual(3, self.desired())
            self.assertIn('counts that server again',
                          self.events(self.hook)[-1])
        self.assertEqual(20, len(self.events(self.hook)))
        self.assertEqual([], self.warnings())

    def test_senlin_goes_away_in_the_middle_of_it(self):
        """The server would stay, and nobody hear of it."""
        for busy in (False, True):
            tokens = self.senlin.scale_in(self.cluster, 1 + busy)
            self.senlin.after = self.goes_away
            if busy:
                self.time.meanwhile = lambda: self.senlin.end(tokens[-1])

            self.rollback(tokens[0])

            self.assertEqual('CANCELLED', self.senlin.status(tokens[0]))
            self.assertEqual(3 - busy, self.desired())
            self.assertIn('ROLLBACK', self.events(self.hook)[-2])
            self.assertIn('again', self.events(self.hook)[-1])

    def goes_away(self, request):
        if request.method == 'PATCH':
            self.senlin.after = lambda request: None
            self.senlin.down = self.outage(20)
            return 504

    def test_waits_for_the_deletion_of_the_others_too(self):
        """A cluster with one silent guest would stay one short."""
        stays, _silent = self.senlin.scale_in(self.cluster, 2)

        def meanwhile():
            # The timeout is over, and Nova has taken its time.
            if self.time.slept >= 120 + 60:
                self.senlin.guests_answer = True
        self.time.meanwhile = meanwhile

        self.rollback(stays)

        self.assertEqual(2, self.desired())
        self.assertIn('counts that server again',
                      self.events(self.hook)[-1])

    def test_cluster_that_stays_busy_is_not_waited_for_for_ever(self):
        """A thread of the engine would be gone until its restart."""
        token, = self.senlin.scale_in(self.cluster)
        self.senlin.locks[self.cluster] = 'somebody'

        self.rollback(token)

        self.assertGreaterEqual(self.time.slept, 120)
        self.assertLess(self.time.slept, 3600)
        rollback, end = self.events(self.hook)
        self.assertIn('ROLLBACK', rollback)
        self.assertIn('capacity of cluster %s is too low' % self.cluster, end)
        self.assertNotIn('Traceback', self.log.output)

    def test_cluster_that_goes_meanwhile_is_no_trouble(self):
        """A stack delete would leave a traceback for each such guest."""
        token, _other = self.senlin.scale_in(self.cluster, 2)
        self.time.meanwhile = (
            lambda: self.senlin.clusters.pop(self.cluster, None))

        self.rollback(token)

        self.assertEqual(3, self.time.slept)
        self.assertNotIn('Traceback', self.log.output)


class PendingTest(hook_case.HookTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.cluster = self.senlin.add_cluster(size=2)
        self.senlin.bind_hook(self.cluster, self.hook.FnGetRefId())

    def test_lists_what_waits_and_only_that(self):
        """A person could not see whom a scale-in waits for."""
        token = self.senlin.wait_for_guest(self.cluster, 1)
        foreign = self.senlin.add_cluster()
        self.senlin.wait_for_guest(foreign)
        self.senlin.add_action('NODE_DELETE',
                               self.senlin.nodes_of(self.cluster)[0],
                               'RUNNING')
        node_id = self.senlin.actions[token]['target']

        self.assertEqual(
            [{'lifecycle_action_token': token, 'node_id': node_id,
              'server': self.senlin.nodes[node_id]['physical_id'],
              'since': '2024-05-01T12:00:00Z'}],
            self.hook.FnGetAtt('pending'))

    def test_is_never_a_copy(self):
        """A drain that has ended would be shown as waiting."""
        token = self.senlin.wait_for_guest(self.cluster)
        self.assertEqual(1, len(self.hook.FnGetAtt('pending')))

        self.senlin.end(token)

        self.assertEqual([], self.hook.FnGetAtt('pending'))

    def test_node_that_goes_meanwhile_is_left_out(self):
        """A look at the stack would fail when a drain ends."""
        self.senlin.wait_for_guest(self.cluster)
        self.senlin.nodes.clear()

        self.assertEqual([], self.hook.FnGetAtt('pending'))

    def test_many_drains_cost_as_much_as_one(self):
        """A look at a large stack would take minutes, and load Senlin."""
        costs = []
        for drains in (1, 20):
            cluster = self.senlin.add_cluster(size=drains)
            self.senlin.bind_hook(cluster, self.hook.FnGetRefId())
            for index in range(drains):
                self.senlin.wait_for_guest(cluster, index)
            del self.senlin.requests[:]
            self.assertEqual(drains, len(self.hook.FnGetAtt('pending')))
            costs.append(len(self.senlin.requests))
            self.senlin.actions.clear()

        self.assertEqual(costs[0], costs[1])

    def test_nothing_that_waits_costs_one_request(self):
        """Each look at a quiet stack would load Senlin."""
        del self.senlin.requests[:]

        self.assertEqual([], self.hook.FnGetAtt('pending'))

        self.assertEqual(1, len(self.senlin.requests))
