# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::AutoScalingGroup: several engines, and engines that die."""

from heat.objects import resource as resource_objects
import oslo_messaging

from tests.unit import base
from tests.unit.native import group_case


class EnginesTest(group_case.GroupTestCase):

    def test_two_engines_that_take_note_add_one_event(self):
        """A timeout would be counted twice by whoever reads events."""
        self.scale(-1)
        self.time.sleep(100)
        drains = self.plugin_module('native._drains')
        finish = drains.Hook.finish

        def second(hook, outcomes):
            finish(hook, outcomes)
            return finish(hook, outcomes)
        self.patchobject(drains.Hook, 'finish', new=second)
        self.sweep()

        self.assertEqual([], self.ended())

    def test_sweep_comes_twice_and_while_somebody_scales(self):
        """Two engines would remove two members for one answer."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest)
        refusals = []
        self.members.meanwhile = lambda: refusals.append(self.sweep())

        self.assertIsNone(self.sweep())
        [refusal] = refusals
        self.assertIn('it is scaling', refusal)
        self.members.meanwhile = lambda: None
        self.assertIsNotNone(self.sweep())
        self.assertEqual(2, len(self.members.members))

    def test_engine_that_died_while_it_scaled_blocks_nobody(self):
        """Heat's own note that it scales stays, and the group is deaf."""
        self.members.refuses = KeyboardInterrupt()
        self.assertRaises(KeyboardInterrupt, self.scale, +1)
        self.group.metadata_set(dict(self.group.metadata_get(),
                                     scaling_in_progress=True))
        self.members.refuses = None

        self.assertIsNotNone(self.scale(+1))
        self.time.sleep(21)
        self.assertIsNone(self.scale(+1))
        self.assertEqual(4, self.size())

    def test_engine_that_died_while_it_removed_is_followed(self):
        """The member would be forgotten, and its server stay for ever."""
        oldest = self.die_in_a_removal()
        self.assertEqual(2, self.size())
        self.assertIn('it is scaling', self.sweep())

        self.time.sleep(21)
        self.assertIsNone(self.sweep())
        self.assertNotIn(oldest, self.members.members)
        self.assertEqual(2, len(self.members.members))
        self.assertEqual(2, self.size())
        self.assertIsNotNone(self.sweep())

    def test_another_engine_that_dies_in_a_growth_costs_time_only(self):
        """The group would be deaf, or two be added in the place of one."""
        self.make(size=2)
        watch = self.lose_an_engine()

        self.assertIsNone(self.scale(+1))
        self.assertEqual(3, len(self.members.members))
        watch.acknowledge.assert_called_once_with({'engine'})
        # Again at once, and once more when that is done: Heat would go on to
        # name the server that was being made.
        self.assertEqual(['update', 'update', 'leaves', 'update'],
                         self.members.journal)

        del self.members.journal[:]
        self.scale(+1)
        self.assertEqual(['update'], self.members.journal)

    def test_another_engine_that_dies_in_a_removal_costs_time_only(self):
        """The server would stay, or a member be made in its place."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest)
        self.lose_an_engine()

        self.assertIsNone(self.sweep())
        self.assertEqual(2, len(self.members.members))
        self.assertNotIn(oldest, self.members.members)
        # A deletion after the update, which it would fail otherwise.
        self.assertEqual(['update', 'update', 'leaves', 'update'],
                         self.members.journal)

    def test_step_that_cannot_be_begun_again_yet_is_later(self):
        """Who is asked may be the one that has died."""
        watch = self.lose_an_engine()
        refusals = [oslo_messaging.MessagingTimeout('nobody'),
                    base.HeatError('busy')]

        def meanwhile():
            if self.polls and refusals:
                raise refusals.pop()
        self.members.meanwhile = meanwhile

        self.assertIsNone(self.scale(+1))
        self.assertEqual([], refusals)
        self.assertEqual(4, len(self.members.members))
        watch.acknowledge.assert_called_once_with({'engine'})

    def test_step_that_is_done_does_not_fail_for_what_cannot_be_repeated(self):
        """A member that has gone would be removed again."""
        self.make(size=2)
        self.lose_an_engine()
        self.members.meanwhile = lambda: (
            self.members.journal[-1:] == ['leaves'] and self.fail_to_update())

        self.assertIsNone(self.scale(+1))
        self.assertEqual(['update', 'update', 'leaves'], self.members.journal)
        self.assertEqual(3, self.size())

    def test_step_that_is_over_is_not_begun_again(self):
        """What is deleted would be made again, or a failure be hidden."""
        for state in (('UPDATE', 'COMPLETE'), ('UPDATE', 'FAILED'),
                      ('DELETE', 'IN_PROGRESS')):
            self.make()
            self.lose_an_engine(*state)
            self.assertIsNone(self.scale(+1))
            self.assertEqual('leaves', self.members.journal[1])

    def test_what_an_engine_that_died_was_deleting_is_deleted_again(self):
        """Another engine may wait for it, from which nobody takes that."""
        self.die_in_a_removal()
        watch = self.lose_an_engine()
        watch.newly_failed.side_effect = set
        del self.members.journal[:]
        self.time.sleep(21)
        self.assertIsNone(self.sweep())
        self.assertEqual(['update', 'leaves', 'update'], self.members.journal)

        # Once.
        del self.members.journal[:]
        self.scale(+1)
        self.assertEqual(['update'], self.members.journal)

    def test_what_another_engine_has_just_begun_counts(self):
        """Two alarms in a second would be for the same member."""
        first, second, _third = self.members.members
        self.scale(-1)
        # What this engine has read before.
        drains = self.plugin_module('native._drains')
        hook = drains.Hook.find(self.hook.context, self.hook.FnGetRefId())
        drains._read[hook.id] = self.time.monotonic(), {}

        self.scale(-1)
        self.assertEqual([first, second], self.told())
        self.assertEqual(1, self.size())

    def test_two_who_ask_at_once_leave_the_minimum(self):
        """Both would find that one member may go, and the last one would."""
        self.scale(-1)
        check = self.group._check_scaling_allowed
        asked = []

        def ask(*args, **kwargs):
            if not asked:
                asked.append(True)
                self.scale(-1)
            return check(*args, **kwargs)
        self.patchobject(self.group, '_check_scaling_allowed', new=ask)

        self.scale(-1)
        self.assertEqual(2, len(self.told()))
        self.assertEqual(1, self.size())

    def test_stack_that_goes_in_the_middle_of_a_step(self):
        """What has failed would be hidden by what is done at the end."""
        self.members.meanwhile = lambda: (
            resource_objects.Resource.delete(
                self.group.context, self.group.id), self.fail_to_update())
        error = self.assertRaises(base.HeatError, self.scale, +1)
        self.assertEqual('busy', str(error))

    def test_who_was_there_in_the_middle_of_a_step_is_not_shown_after_it(self):
        """The outputs would have a server that is gone until the next step.

        Heat stores them for whoever looks at the stack.
        """
        def look():
            reader = self.reload(self.group)
            reader.FnGetAtt('refs')
            reader.store_attributes()

        self.members.meanwhile = look
        self.scale(+1)
        self.assertEqual(set(self.members.servers().values()),
                         set(self.reload(self.group).FnGetAtt('refs')))
        self.scale(-1)
        self.answer(*self.told())
        self.sweep()
        self.assertEqual(set(self.members.servers().values()),
                         set(self.reload(self.group).FnGetAtt('refs')))

        # Whoever has died had only this to do.
        self.patchobject(self.group, 'clear_stored_attributes')
        oldest = self.die_in_a_removal()
        del self.members.members[oldest]
        self.assertIn('server-' + oldest,
                      self.reload(self.group).FnGetAtt('refs'))
        self.time.sleep(21)
        self.group = self.reload(self.group)
        self.assertIsNone(self.sweep())
        self.assertEqual(set(self.members.servers().values()),
                         set(self.reload(self.group).FnGetAtt('refs')))
