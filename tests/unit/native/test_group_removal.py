# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::AutoScalingGroup: removal of members that have drained."""

from tests.unit import base
from tests.unit.native import group_case


class RemovalTest(group_case.GroupTestCase):

    def test_answer_during_a_removal_needs_no_other_sweep(self):
        """It would wait until somebody looks again."""
        first, second, _third = self.members.members
        self.scale(-2)
        self.answer(first)
        self.members.meanwhile = lambda: self.answer(second)

        self.assertIsNone(self.sweep())
        self.assertEqual(1, len(self.members.members))

    def test_nobody_else_scales_until_all_have_been_removed(self):
        """Two engines would remove members from one stack at a time."""
        first, second, _third = self.members.members
        self.scale(-2)
        self.answer(first)
        answers, turns = [second], []

        def meanwhile():
            if answers:
                self.answer(answers.pop())
            turns.append(self.reload(self.group)._is_busy())
        self.members.meanwhile = meanwhile
        leave = self.plugin_module('native._drains').Hook.leave
        self.patchobject(
            self.plugin_module('native._drains').Hook, 'leave', autospec=True,
            side_effect=lambda hook, *drains: (
                drains and turns.append(self.reload(self.group)._is_busy()),
                leave(hook, *drains)))

        self.assertIsNone(self.sweep())
        self.assertEqual([True] * 4, turns)
        self.assertFalse(self.reload(self.group)._is_busy())

    def test_who_answers_at_once_goes_at_once(self):
        """Each removal touches every member, so the last would wait long."""
        self.make(size=5)
        first, second, _third, _fourth, _fifth = self.members.members
        updates, slept = self.members.updates, self.time.slept
        self.scale(-3)
        self.answer(first)
        answers = [second]
        self.time.meanwhile = lambda: answers and self.answer(answers.pop())

        self.assertIsNone(self.sweep())
        self.assertEqual(1, self.members.updates - updates)
        self.assertEqual(3, len(self.members.members))
        # A look that brought an answer, and a second that brought none.
        self.assertEqual(1.25, self.time.slept - slept)

    def test_many_who_answer_cost_as_much_as_one(self):
        """The last of fifty would go when fifty have been written down."""
        hook = self.plugin_module('native._drains').Hook
        written = []
        for result in ('CONTINUE', 'ROLLBACK'):
            self.make(size=4)
            self.scale(-3)
            for name in self.told():
                self.answer(name, result)
            write = self.patchobject(hook, '_set', autospec=True,
                                     side_effect=hook._set)

            self.sweep()
            written.append(write.call_count)
            self.patchobject(hook, '_set', new=write.side_effect)
        # That their drains are over, and that the group has done with them.
        self.assertEqual([2, 2], written)

    def test_scale_in_asks_for_the_servers_once(self):
        """Heat looks at each member for it, and all wait for their message."""
        self.scale(-1)
        asked = self.patchobject(self.members, 'show_stack',
                                 side_effect=self.members.show_stack)
        # To find out how many count, and who is to go.
        self.scale(-1)

        self.assertEqual(2, asked.call_count)
        self.assertEqual(2, len(self.told()))

    def test_who_answers_one_after_another_is_not_waited_for(self):
        """The first of a hundred would go with the last."""
        self.make(size=4)
        self.scale(-3)
        first, second, third = self.told()
        self.answer(first)
        begun = self.time.slept
        answers = {0.75: second, 5.25: third}
        self.time.meanwhile = lambda: (
            self.time.slept - begun in answers and
            self.answer(answers[self.time.slept - begun]))
        self.patchobject(self.plugin_module('native.autoscaling_group'),
                         '_QUIET', new=100)
        gone = []
        self.members.meanwhile = lambda: gone.append(
            self.time.slept - begun)

        self.assertIsNone(self.sweep())
        self.assertEqual([5], gone)
        self.assertEqual({third}, self.draining())

    def test_answer_in_the_middle_of_a_step_is_heard_at_its_end(self):
        """It is told of while nobody can hear it."""
        free = self.patchobject(self.ticker, 'is_free')
        key = (self.group.stack.id, 'group')

        self.scale(-1)
        free.assert_called_once_with(*key)
        free.reset_mock()
        self.answer(*self.told())
        free.assert_not_called()
        self.sweep()
        free.assert_called_once_with(*key)

    def test_last_answer_waits_for_nobody(self):
        """Every member would go later."""
        self.scale(-1)
        slept = self.time.slept
        self.answer(self.told()[0])

        self.assertIsNone(self.sweep())
        self.assertEqual(0, self.time.slept - slept)

    def test_what_is_asked_during_a_removal_is_done_after_it(self):
        """An alarm that fires in those seconds would be dropped."""
        self.group.metadata_set({'scaling_in_progress': True})
        drains = self.plugin_module('native._drains')
        self.group.data_set('turn', str(drains.now()))
        self.time.meanwhile = lambda: self.group.metadata_set(
            {'scaling_in_progress': False})

        self.assertIsNone(self.scale(+1))
        self.assertEqual(4, self.size())

    def test_removal_that_fails_is_done_again(self):
        """The member would stay, drained, and serve nobody."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest)
        self.members.refuses = base.HeatError('busy')
        free = self.patchobject(self.ticker, 'is_free')
        self.assertRaises(base.HeatError, self.sweep)
        # It would be tried without a pause.
        free.assert_not_called()

        # Long after what is over is forgotten.
        self.time.sleep(2 * 3600)
        self.scale(-1)
        self.members.refuses = None
        self.assertIsNone(self.sweep())
        self.assertNotIn(oldest, self.members.members)

    def test_member_that_has_gone_otherwise_is_forgotten(self):
        """The ticker would ring for ever."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        updates = self.members.updates
        del self.members.members[oldest]
        self.answer(oldest)

        self.sweep()
        self.assertEqual(0, self.members.updates - updates)
        drains = self.plugin_module('native._drains')
        hook = drains.Hook.find(self.hook.context, self.hook.FnGetRefId())
        self.assertEqual([None], [drain.group for drain
                                  in hook.drains().values()])

    def test_member_that_was_replaced_is_not_removed(self):
        """Its successor would go without having been asked."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest)
        self.members.replaced[oldest] = 'another'

        self.sweep()
        self.assertIn(oldest, self.members.members)
        self.assertEqual(3, self.size())
        self.assertIsNotNone(self.sweep())

    def test_who_is_half_gone_does_not_count(self):
        """The group would grow by one too many, or not at all."""
        for step, expected in ((+1, 3), (-1, 1)):
            self.make()
            oldest = self.die_in_a_removal()
            self.time.sleep(21)

            self.assertIsNone(self.scale(step))
            self.assertEqual(expected, self.size())
            self.sweep()
            self.assertNotIn(oldest, self.members.members)
            self.assertEqual(expected + len(self.draining()),
                             len(self.members.members))

    def test_nobody_is_told_later_because_of_others(self):
        """Of many who go at once, the last would have less time."""
        drains = self.plugin_module('native._drains')
        for at_once, requests in ((100, 1), (2, 2)):
            self.make(size=5)
            self.patchobject(drains, '_AT_ONCE', new=at_once)
            told = []
            self.nova.servers.__contains__.side_effect = lambda server: (
                told.append(len(self.zaqar.messages)) or True)
            before = self.zaqar.posts

            self.scale(-4)
            self.assertEqual([4] * 4, told)
            self.assertEqual(4, len(set(self.told())))
            self.assertEqual(requests, self.zaqar.posts - before)
