# SPDX-License-Identifier: Apache-2.0

"""Base class of the tests of OS::Hooks::AutoScalingGroup."""

import contextlib
import types
from unittest import mock

from heat.common import identifier
from heat.common import template_format
from heat.engine.resources import stack_resource
from heat.engine import status

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


class GroupTestCase(base.ServiceTestCase):

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

    def ended(self):
        """What the events of the group tell of drains."""
        return [event for event in self.events(self.group)
                if ' for server ' in event]

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
