# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::AutoScalingGroup: sizes, drains, updates."""

import random

from heat.common import exception
from heat.engine import stk_defn
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base
from tests.unit.native import group_case


class GroupTest(group_case.GroupTestCase):

    def test_update_of_no_property(self):
        """Heat's own callers leave the properties out that stay."""
        self.scale(-1)
        drains = self.draining()
        self.group.state_set('UPDATE', 'IN_PROGRESS')

        self.group.handle_update(self.group.t, None, None)

        self.assertEqual(drains, self.draining())
        self.assertEqual(2, self.size())

    def test_scale_in_only_asks(self):
        """A member would go with its sessions."""
        oldest, *others = self.members.members
        updates = self.members.updates

        self.assertIsNone(self.scale(-1))
        self.assertEqual([oldest], self.told())
        self.assertEqual({oldest}, self.draining())
        self.assertEqual(2, self.size())
        self.assertEqual(updates, self.members.updates)
        self.assertEqual(3, len(self.members.members))

        # What "stack resource show" says.
        self.assertEqual({oldest: 'server-' + oldest},
                         self.group.attributes['draining'])
        self.assertEqual(2, self.group.attributes['current_size'])

        self.assertIsNotNone(self.sweep())
        self.ticker.look.reset_mock()
        self.answer(oldest)
        self.ticker.look.assert_called_once()
        self.assertIsNone(self.sweep())
        self.assertEqual(set(others), set(self.members.members))
        self.assertEqual(set(), self.draining())
        self.assertEqual(2, self.size())

    def test_heartbeat_outweighs_the_status_in_nova(self):
        """After a crash of nova-compute, a live server would be deleted."""
        for heartbeat_timeout, waiting in ((0, 0), (30, 1)):
            self.make(heartbeat_timeout=heartbeat_timeout)
            self.nova.servers.__getitem__.side_effect = (
                lambda server: 'SHUTOFF')

            self.scale(-1)

            self.assertEqual(waiting, len(self.hook.FnGetAtt('pending')))

    def test_criteria_of_the_hook(self):
        """The parameter would be a promise that only Senlin keeps."""
        self.make(criteria='YOUNGEST_FIRST')
        *_others, youngest = self.members.members
        self.scale(-1)
        self.assertEqual([youngest], self.told())

        self.make(criteria='RANDOM')
        _first, second, _third = self.members.members
        self.patchobject(random, 'sample', new=lambda members, number: (
            members[1:] + members[:1]))
        self.scale(-1)
        self.assertEqual([second], self.told())

    def test_grows_meanwhile(self):
        """The load comes back, and nobody adds a server."""
        oldest = min(self.members.members, key=self.members.members.get)
        self.scale(-1)

        self.assertIsNone(self.scale(+1))
        self.assertEqual(4, len(self.members.members))
        self.assertIn(oldest, self.members.members)
        self.assertEqual(3, self.size())

        self.answer(oldest)
        self.sweep()
        self.assertNotIn(oldest, self.members.members)
        self.assertEqual(3, self.size())

    def test_size_that_was_read_before_a_rollback_is_not_shown_after_it(self):
        """Who looks at a stack just then would leave the old size there."""
        self.scale(-1)
        reader = self.reload(self.group)
        self.assertEqual(2, reader.FnGetAtt('current_size'))
        self.answer(*self.told(), 'ROLLBACK')
        self.sweep()
        reader.store_attributes()

        self.assertEqual(
            3, self.reload(self.group).FnGetAtt('current_size'))

    def test_hook_of_the_same_stack(self):
        """The command that shows the group would know of no drain."""
        self.group = self.parse_stack(group_case.ONE_STACK)['group']
        self.hook = self.group.stack['hook']
        for resource in (self.hook, self.group):
            self.run_task(resource.create)
            stk_defn.update_resource_data(
                self.group.stack.defn, resource.name, resource.node_data())
        with self.group.frozen_properties():
            self.scale(-1)
        [told] = self.told()

        # As Heat loads it to show a resource.
        shown = self.reload(self.group)
        self.assertEqual('hook', shown.properties['hook'])
        self.assertEqual(1, shown.attributes['current_size'])
        self.assertEqual({told: 'server-' + told},
                         shown.attributes['draining'])

    def test_bounds_count_who_stays(self):
        """All would drain, or a group at its limit never grow."""
        self.assertIsNone(self.scale(-2))
        self.assertEqual(1, self.size())
        self.assertIsNotNone(self.scale(-1))
        self.assertEqual(2, len(self.told()))

        self.assertIsNone(self.scale(+9))
        self.assertEqual(4, self.size())
        self.assertEqual(6, len(self.members.members))

    def test_second_scale_in_asks_another_member(self):
        """It would be dropped, or ask the first one twice."""
        first, second, _third = self.members.members
        self.scale(-1)
        self.scale(-1)
        self.assertEqual([first, second], self.told())

        self.answer(second)
        self.sweep()
        self.assertIn(first, self.members.members)
        self.assertNotIn(second, self.members.members)
        self.assertEqual({first}, self.draining())

    def test_rollback_keeps_a_member(self):
        """A match that is on would be cut, or not be counted."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest, 'ROLLBACK')

        self.assertIsNotNone(self.sweep())
        self.assertEqual(3, self.size())
        self.assertEqual(set(), self.draining())
        self.assertIn(oldest, self.members.members)

        self.scale(-1)
        self.assertEqual([oldest, oldest], self.told())

    def test_silent_member_goes_at_the_timeout(self):
        """A guest that has crashed would be paid for, for ever."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.time.sleep(99)
        self.assertIsNotNone(self.sweep())

        self.time.sleep(1)
        self.assertIsNone(self.sweep())
        self.assertNotIn(oldest, self.members.members)

    def test_drain_that_ends_without_a_signal_has_an_event(self):
        """Nobody would know why a server with open sessions went."""
        oldest, second, _youngest = self.members.members
        self.scale(-1)
        self.time.sleep(100)
        self.sweep()
        self.assertEqual(
            ['CONTINUE for server server-%s, member %s, after 100 s: no '
             'answer within 100 seconds.' % (oldest, oldest)], self.ended())

        self.nova.servers.__getitem__.side_effect = lambda server: 'SHUTOFF'
        self.scale(-1)
        self.sweep()
        self.assertEqual(
            ['CONTINUE for server server-%s, member %s, after 0 s: it is not '
             'running.' % (second, second)], self.ended()[1:])

    def test_drain_that_ends_by_a_signal_has_the_event_of_the_hook(self):
        """Each drain would seem to be two."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest)
        self.sweep()

        self.assertEqual([], self.ended())
        self.assertEqual(1, len([event for event in self.events(self.hook)
                                 if ' for server ' in event]))

    def test_outage_costs_time_only(self):
        """A scale-in would be lost, or a member go without a message."""
        oldest = next(iter(self.members.members))
        self.zaqar.down = zaqar_errors.ServiceUnavailableError()
        self.assertIsNone(self.scale(-1))
        self.assertEqual([], self.told())
        self.assertEqual({oldest}, self.draining())

        self.zaqar.down = None
        self.assertIsNotNone(self.sweep())
        self.assertEqual([oldest], self.told())

    def test_update_of_something_else_keeps_the_size(self):
        """What alarms have added would drain, or who drains come back."""
        self.scale(+1)
        oldest = next(iter(self.members.members))
        self.scale(-2)

        self.change(cooldown=7)
        self.assertEqual(2, self.size())
        self.assertEqual(4, len(self.members.members))
        self.assertIn(oldest, self.draining())

    def test_update_replaces_failed_members(self):
        """A group that has lost servers would shrink to its minimum."""
        before = set(self.members.members)
        self.members.failed = set(list(before)[:2])

        self.change(cooldown=7)
        self.assertEqual(before, set(self.members.members))
        self.assertEqual(3, self.size())
        self.assertEqual([], self.told())

    def test_update_replaces_a_failed_member_beside_one_that_drains(self):
        """It would take the place of the one that drains."""
        oldest, other, _youngest = self.members.members
        self.scale(-1)
        self.members.failed = {other}

        self.change(cooldown=7)
        self.assertEqual({oldest}, self.draining())
        self.assertEqual(2, self.size())

    def test_update_makes_up_for_no_failed_member_that_drains(self):
        """What a scale-in has taken would come back."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.members.failed = {oldest}

        self.change(cooldown=7)
        self.assertEqual(2, self.size())

    def test_update_of_the_size(self):
        """It would count who drains, and do too little or too much."""
        self.scale(-1)

        self.change(size=4)
        self.assertEqual(4, self.size())
        self.assertEqual(5, len(self.members.members))

        updates = self.members.updates
        self.change(size=2)
        self.assertEqual(2, self.size())
        self.assertEqual(5, len(self.members.members))
        # What Heat waits for then.
        self.assertLess(updates, self.members.updates)

    def test_rolling_update_does_not_shrink(self):
        """Heat removes members on the way to the desired capacity."""
        self.scale(+1)

        self.change(length=9)
        self.assertEqual(4, len(self.members.members))
        self.assertEqual([], self.told())

    def test_cooldown_is_of_who_asks(self):
        """A long one for scaling in would keep the group from growing."""
        self.time.sleep(100)
        self.assertIsNone(self.scale(-1, cooldown=60))
        self.time.sleep(1)
        self.assertIn('cooldown', self.scale(-1, cooldown=60))
        self.assertIsNone(self.scale(+1, cooldown=0))

        self.time.sleep(61)
        self.assertIsNone(self.scale(-1, cooldown=60))

    def test_member_that_does_not_tell_its_server_is_refused(self):
        """The group would never scale in, and say so in a log only."""
        told = 'outputs: {OS::stack_id: {value: {get_resource: server}}}\n'
        server = ('resources: {server: {type: OS::Heat::RandomString}}\n')

        for mapping in ({}, {'Member': 'member.yaml'}):
            self.validate_member(server + told, **mapping)
            error = self.assertRaises(
                exception.StackValidationFailed, self.validate_member,
                server + told.replace('OS::stack_id', 'server'), **mapping)
            self.assertIn('group: the template of a member, ', str(error))
            self.assertIn(' has no output "OS::stack_id"', str(error))

    def test_hook_that_is_none_is_refused(self):
        """A scale-in would delete members without a word."""
        self.make(hook='nobody')

        error = self.assertRaises(base.HeatError, self.scale, -1)
        self.assertIn('group: "hook" is not an OS::Hooks::LifecycleHook',
                      str(error))
        self.assertEqual(3, len(self.members.members))
