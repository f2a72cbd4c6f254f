# SPDX-License-Identifier: Apache-2.0

"""Services that take a request and never answer it, at a real socket."""

import re
import socket

import requests_mock

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
    properties: {timeout: 120}
  webhooks:
    type: OS::Hooks::Webhooks
    properties: {queue: a, urls: ['http://endpoint.example.com']}
  group:
    type: OS::Hooks::AutoScalingGroup
    properties:
      hook: {get_resource: hook}
      min_size: 0
      max_size: 1
      resource: {type: OS::Heat::None}
'''

GUARD = '''
heat_template_version: wallaby
resources:
  guard:
    type: OS::Hooks::DrainWaitCondition
    properties: {hook: %(hook)s, server: %(server)s}
'''

SERVER = 'c0b6a5d4-9e31-4a7f-b1d2-7f8e9a0b1c2d'

# Before any test has put something else in their places.
CREATE_ZAQAR = base.zaqar_plugin.ZaqarClientPlugin._create
CREATE_SENLIN = base.senlin_plugin.SenlinClientPlugin._create
GET_SERVER = base.nova_plugin.NovaClientPlugin.get_server


class SilentServiceTest(base.ServiceTestCase):

    patience = 15

    def setUp(self):
        super().setUp()
        # The kernel accepts connections, and nobody reads them.
        silent = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.addCleanup(silent.close)
        self.url = 'http://127.0.0.1:%d' % silent.getsockname()[1]
        self.senlin.http.register_uri(
            requests_mock.ANY, re.compile(re.escape(self.url)),
            real_http=True)
        self.nova.servers = {SERVER: 'ACTIVE'}
        self.stack = self.parse_stack(TEMPLATE)
        self.hook = self.stack['hook']

    def limit(self):
        self.patchobject(self.plugin_module('_engine.clients'),
                         'REQUEST_TIMEOUT', new=0.05)

    def silence(self, stack, **values):
        """Let a stack find all services at the socket from now on."""
        self.patchobject(base.zaqar_plugin.ZaqarClientPlugin, '_create',
                         new=CREATE_ZAQAR)
        self.patchobject(base.nova_plugin.NovaClientPlugin, 'get_server',
                         new=GET_SERVER)
        for name, value in dict(values, auth_url=self.url).items():
            setattr(stack.context, name, value)

    def make_guard(self):
        self.run_task(self.hook.create)
        guard = self.parse_stack(GUARD % {
            'hook': self.hook.FnGetRefId(), 'server': SERVER})['guard']
        self.run_task(guard.create)
        return guard

    def assertIsOutage(self, rsrc, task):
        """Assert that a task waits for the service and says so at the end."""
        runner = self.start_task(task)
        self.assertFalse(runner.step())
        self.assertIn('%s: waiting for a service' % rsrc.name,
                      self.log.output)
        self.clock.advance_time_seconds(300)
        self.assertIn(
            'a service has not answered for 300 seconds',
            str(self.assertRaises(base.ResourceFailure, self.end, runner)))

    def end(self, runner):
        for _i in range(10):
            self.assertFalse(runner.step())

    def test_silent_zaqar_is_an_outage(self):
        """A thread of heat-engine would wait for ever, then all of them."""
        self.limit()
        self.silence(self.stack)
        for name in ('hook', 'webhooks'):
            rsrc = self.stack[name]
            self.assertIsOutage(rsrc, rsrc.create)

    def test_silent_keystone_is_an_outage(self):
        """A thread of heat-engine would wait for a token for ever."""
        self.limit()
        self.silence(self.stack, auth_token=None, password='secret')

        self.assertIsOutage(self.hook, self.hook.create)

    def test_silent_nova_is_an_outage(self):
        """A thread of heat-engine would wait for ever, then all of them."""
        self.limit()
        guard = self.make_guard()
        self.silence(guard.stack)

        self.assertIsOutage(guard, guard.delete)

    def test_zaqar_that_falls_silent_under_a_drain_is_an_outage(self):
        """The deletion would wait for ever, and with it its thread."""
        self.limit()
        guard = self.make_guard()
        self.silence(guard.stack)
        self.patchobject(base.nova_plugin.NovaClientPlugin, 'get_server',
                         new=lambda _plugin, server: (
                             self.nova.get_server(server)))

        self.assertIsOutage(guard, guard.delete)

    @base.needs_senlin
    def test_silent_senlin_is_an_outage(self):
        """A thread of heat-engine would wait for ever, then all of them."""
        self.limit()
        self.patchobject(base.senlin_plugin.SenlinClientPlugin, '_create',
                         new=CREATE_SENLIN)
        self.stack.context.auth_url = self.url

        self.assertIsOutage(self.hook, self.hook.create)

    def test_group_waits_no_longer(self):
        """A group would be deaf for ever to all drains that end."""
        self.limit()
        self.silence(self.stack)
        group, wait = self.stack['group'], self.plugin_module('_retry')
        for call in (
                lambda: group.client_plugin('nova').get_server(SERVER),
                lambda: group.client('zaqar').queue('a', force_create=True)):
            error = self.assertRaises(wait.SERVICE_ERRORS, call)
            self.assertTrue(wait.is_outage(error))

    def test_limit_is_half_a_minute(self):
        """A slow service would count as away, or the API give up first."""
        clients = self.plugin_module('_engine.clients')
        self.assertEqual(30, clients.REQUEST_TIMEOUT)

    def test_other_resources_keep_their_clients(self):
        """Whatever else Heat does in this context would be cut short."""
        self.silence(self.stack)
        zaqar = self.stack.clients.client('zaqar')

        self.assertIsNot(zaqar, self.hook.client('zaqar'))

        self.assertIsNone(zaqar.session.timeout)
        self.assertNotIn('_get_transport', vars(zaqar))
        self.assertIsNone(self.stack.context.keystone_session.timeout)

    def test_clients_are_made_once(self):
        """Keystone would make another token for each thing that is asked."""
        for name in ('hook', 'group'):
            self.assertIs(self.hook.client('keystone'),
                          self.stack[name].client('keystone'))
            self.assertIs(self.hook.client_plugin('nova'),
                          self.stack[name].client_plugin('nova'))
