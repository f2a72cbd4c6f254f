# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::AutoScalingGroup: what it does with those that drain."""

import ast
import contextlib
import hashlib
import inspect
import random
import textwrap
import types
from unittest import mock

from heat.common import exception
from heat.common import identifier
from heat.common import template_format
from heat.engine.resources import stack_resource
from heat.engine import status
from heat.engine import stk_defn
from heat.objects import resource as resource_objects
import oslo_messaging
from zaqarclient.transport import errors as zaqar_errors

from sandbox import releases
from tests.unit import base

HOOK = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties:
      timeout: 100
      criteria: %(criteria)s
      heartbeat_timeout: %(heartbeat_timeout)s
'''
GROUP = '''
heat_template_version: wallaby
resources:
  group:
    type: OS::Hooks::AutoScalingGroup
    properties:
      hook: %(hook)s
      min_size: %(min_size)s
      max_size: 4
      desired_capacity: %(size)s
      cooldown: %(cooldown)s
      resource:
        type: OS::Heat::RandomString
        properties: {length: %(length)s}
'''
ONE_STACK = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties: {timeout: 100}
  group:
    type: OS::Hooks::AutoScalingGroup
    properties:
      hook: {get_resource: hook}
      min_size: 1
      max_size: 2
      desired_capacity: 2
      resource:
        type: OS::Heat::RandomString
'''


class Members:
    """The members' stack, at the edge where Heat asks another engine."""

    def __init__(self):
        # {name: when it was made}; its server has the name after "server-".
        self.members = {}
        self.failed = set()
        self.template = None
        self.updates = 0
        # Called as an update begins.
        self.meanwhile = lambda: None
        # Raised instead of an update.
        self.refuses = None
        # {name: ID} of servers that are others than those of the beginning.
        self.replaced = {}
        # Whether the engine dies before it has removed a member.
        self.dies = False
        # What has been asked: an update, or the deletion of one of them.
        self.journal = []

    def list_stack_resources(self, _context, _identity):
        return [{'resource_name': name, 'creation_time': when,
                 'resource_status': (status.ResourceStatus.FAILED
                                     if name in self.failed else 'COMPLETE')}
                for name, when in self.members.items()]

    def show_stack(self, _context, _identity):
        return [{'outputs': [{'output_key': 'refs_map', 'output_value': {
            name: server for name, server in self.servers().items()
            if name in self.template['resources']}}]}]

    def get_template(self, _context, _identity):
        return self.template

    @staticmethod
    def stack(name, action, status):
        """A member that is a stack, as in Heat's database."""
        return types.SimpleNamespace(
            action=action, status=status,
            identifier=lambda: identifier.HeatIdentifier('tenant', name, name))

    def delete_stack(self, _context, identity, cast):
        assert not cast
        self.journal.append(identity['stack_name'])

    ignore_error_by_name = staticmethod(contextlib.nullcontext)

    def update(self, template):
        if self.refuses:
            raise self.refuses
        self.meanwhile()
        self.journal.append('update')
        names = list(template.resource_definitions(None))
        for name in names:
            self.members.setdefault(name, len(self.members) + self.updates)
        self.template = template.t
        self.updates += 1
        if self.dies:
            raise KeyboardInterrupt
        for name in set(self.members) - set(names):
            del self.members[name]
        # Convergence replaces what has failed under the name that it has.
        self.failed.clear()

    def servers(self):
        return {name: self.replaced.get(name, 'server-' + name)
                for name in self.members}


class GroupTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.plugin_module('native._drains')._read.clear()
        self.ticker = self.plugin_module('native._wakeups')
        self.patchobject(self.ticker, 'look')
        self.patchobject(self.ticker, '_tell')
        self.make()

    def make(self, size=3, **values):
        self.members = Members()
        resource = stack_resource.StackResource
        self.patchobject(resource, 'rpc_client',
                         new=lambda _self: self.members)
        self.patchobject(resource, 'nested_identifier', new=lambda _self: (
            identifier.HeatIdentifier('tenant', 'members', 'id')))
        for name in ('create_with_template', 'update_with_template'):
            self.patchobject(resource, name, new=lambda _self, template: (
                self.members.update(template)))
        for name in ('create', 'update'):
            self.patchobject(resource, 'check_%s_complete' % name,
                             new=lambda _self, _cookie=None: True)
        self.nova.servers = mock.MagicMock()
        self.nova.servers.__contains__.side_effect = lambda server: True
        self.nova.servers.__getitem__.side_effect = lambda server: 'ACTIVE'
        self.values = {'criteria': 'OLDEST_FIRST', 'min_size': 1,
                       'size': size, 'cooldown': 0, 'length': 8,
                       'heartbeat_timeout': 0, **values}
        self.hook = self.parse_stack(HOOK % self.values)['hook']
        self.run_task(self.hook.create)
        self.values.setdefault('hook', self.hook.FnGetRefId())
        self.group = self.parse_stack(GROUP % self.values)['group']
        self.run_task(self.group.create)
        del self.zaqar.messages[:]

    def change(self, **values):
        self.values.update(values)
        after = self.parse_stack(GROUP % self.values)['group'].t
        self.run_task(self.group.update, after)

    def scale(self, number, **options):
        """Return what it was not done for, None if it was done."""
        try:
            self.group.adjust(number, 'change_in_capacity', **options)
        except base.NoActionRequired as refusal:
            return str(refusal)

    @staticmethod
    def fail_to_update():
        raise base.HeatError('busy')

    def told(self):
        """Names of the members whose servers have been asked to go."""
        return [message['body']['resource_id'][len('server-'):]
                for message in self.zaqar.messages]

    def token(self, name):
        [token] = [message['body']['lifecycle_action_token']
                   for message in self.zaqar.messages
                   if message['body']['resource_id'] == 'server-' + name]
        return token

    def answer(self, name, result='CONTINUE'):
        self.hook.signal({'lifecycle_action_token': self.token(name),
                          'lifecycle_action_result': result, 'reason': 'ok'})

    def sweep(self):
        """Return what it was not done for, None if it was done."""
        try:
            self.group.handle_signal()
        except base.NoActionRequired as refusal:
            return str(refusal)

    def size(self):
        return self.group.get_attribute('current_size')

    def draining(self):
        return set(self.group.get_attribute('draining'))

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
        self.group = self.parse_stack(ONE_STACK)['group']
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

    def ended(self):
        """What the events of the group tell of drains."""
        return [event for event in self.events(self.group)
                if ' for server ' in event]

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

    def die_in_a_removal(self):
        """Return the name of the member that is half gone."""
        oldest = next(iter(self.members.members))
        self.scale(-1)
        self.answer(oldest)
        self.members.dies = True
        self.assertRaises(KeyboardInterrupt, self.sweep)
        self.members.dies = False
        self.group.metadata_set(dict(self.group.metadata_get(),
                                     scaling_in_progress=True))
        self.assertIn(oldest, self.members.members)
        return oldest

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

    def test_stack_that_goes_in_the_middle_of_a_step(self):
        """What has failed would be hidden by what is done at the end."""
        self.members.meanwhile = lambda: (
            resource_objects.Resource.delete(
                self.group.context, self.group.id), self.fail_to_update())
        error = self.assertRaises(base.HeatError, self.scale, +1)
        self.assertEqual('busy', str(error))

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

    def lose_an_engine(self, action='UPDATE', status='IN_PROGRESS'):
        """Let the next step end only after it has been begun again."""
        group = self.plugin_module('native.autoscaling_group')
        stack = group.stack_object.Stack
        self.patchobject(stack, 'get_status', new=lambda *_args: (
            action, status, '', None))
        self.patchobject(stack, 'get_all_by_owner_id', new=lambda *_args: [
            self.members.stack('leaves', 'DELETE', 'IN_PROGRESS'),
            self.members.stack('stays', 'UPDATE', 'COMPLETE'),
            self.members.stack('fails', 'DELETE', 'FAILED')])
        watch = self.patchobject(self.plugin_module('_engine.liveness'),
                                 'FailureDetector').return_value
        watch.newly_failed.side_effect = lambda: (
            set() if watch.acknowledge.called else {'engine'})
        self.polls = []
        del self.members.journal[:]

        def is_complete(_group, _cookie=None):
            self.polls.append(True)
            self.assertLess(len(self.polls), 20)
            return watch.acknowledge.called
        self.patchobject(stack_resource.StackResource,
                         'check_update_complete', new=is_complete)
        return watch

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

    def validate_member(self, member, **mapping):
        """Validate a group whose member is made by a template."""
        files = {'member.yaml': 'heat_template_version: wallaby\n' + member}
        text = (GROUP % {'hook': self.hook.FnGetRefId(), 'min_size': 0,
                         'size': 0, 'cooldown': 0, 'length': 1}).partition(
                             '      resource:')[0]
        group = dict(template_format.parse(text))
        group['resources']['group']['properties']['resource'] = {
            'type': 'Member' if mapping else 'member.yaml'}
        # A resource holds its stack by a weak reference only.
        self.stack = self.stack_from(group, files,
                                     {'resource_registry': mapping})
        self.stack['group'].validate()

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


# What of Heat is overridden, or has to be as it is for that: methods by the
# class that has them, and a digest of their text. It is the same in Heat 22
# to 27, but for one.
PINNED = {
    'AutoScalingResourceGroup._create_template': 'a63ad3598bfc',
    'AutoScalingResourceGroup.get_attribute': '2f67a5d3ae36',
    'AutoScalingResourceGroup._nested_output_defns': '2b3a3a4694cf',
    'AutoScalingGroup.get_size': '880d972cef30',
    'AutoScalingGroup.check_create_complete': 'b61c70262169',
    'AutoScalingGroup.check_update_complete': 'e18042fefbd8',
    'AutoScalingGroup._get_new_capacity': '1caf5b060e90',
    'AutoScalingGroup.resize': '26fb32635564',
    'AutoScalingGroup.handle_update': '4cc3116a6a20',
    'AutoScalingGroup.adjust': '4fd7113ce56f',
    'AutoScalingGroup.validate': '95341ddb5e03',
    'CooldownMixin._check_scaling_allowed': '1ca6c38fd571',
    'CooldownMixin._finished_scaling': '2b230748db65',
    'InstanceGroup._resolve_attribute': (
        '12c90f95e8e7' if releases.current() < '2025.1' else '6e26088afd63'),
    'InstanceGroup.get_size': '239e2c3766c3',
    'InstanceGroup.validate': '7fe4eb09814b',
    'InstanceGroup.check_create_complete': 'c46984f6fabf',
    'InstanceGroup.handle_update': '48a4e3615748',
    'InstanceGroup._create_template': '57f0a57eb46d',
    'InstanceGroup._replace': '48b881c7cde6',
    'InstanceGroup._check_for_completion': 'da6e1e40c8cf',
    'InstanceGroup.resize': '55a81307edd0',
    'InstanceGroup._nested_output_defns': '83c4f7ad23f9',
}
# Not overridden, but they call what is.
RELIED_ON = {'adjust', '_replace', 'check_create_complete',
             'check_update_complete'}
GROUPS = ('AutoScalingResourceGroup', 'AutoScalingGroup', 'InstanceGroup',
          'CooldownMixin')


def test_heat_is_as_it_was_when_this_was_written():
    """A new release could call something else, and members go at once.

    Read what has changed, and the group again, before a digest is changed.
    """
    group = base.PluginTestCase.plugin_class('OS::Hooks::AutoScalingGroup')
    ours = {name for name, value in vars(group).items()
            if inspect.isfunction(value)}

    digests = {}
    for cls in group.__mro__[1:]:
        for name, method in vars(cls).items():
            if (inspect.isfunction(method)
                    and cls.__name__ in GROUPS
                    and (name in ours or name in RELIED_ON)):
                digests['%s.%s' % (cls.__name__, name)] = digest(method)
    assert PINNED == digests


def digest(method):
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]
