# SPDX-License-Identifier: Apache-2.0

"""The only file that knows Heat's private test helpers."""

import datetime
import functools
import json
import logging
import pathlib
import sys
import unittest

import fixtures
from oslo_config import cfg
from oslo_serialization import jsonutils  # noqa: F401, for tests
from oslo_utils import fixture as time_fixture
from oslo_utils import timeutils

REPO = pathlib.Path(__file__).resolve().parents[2]

# Load through Heat's own plugin loader, as an operator would: importing
# heat_plugins.* directly makes a second copy of every class.
cfg.CONF.import_opt('plugin_dirs', 'heat.common.config')
cfg.CONF.import_opt('environment_dir', 'heat.common.config')
cfg.CONF.set_override('plugin_dirs', [str(REPO / 'heat_plugins')])
# The wheel installs Heat's global environment under the venv's own etc/.
cfg.CONF.set_override('environment_dir',
                      str(pathlib.Path(sys.prefix, 'etc/heat/environment.d')))

from heat.common import exception  # noqa: E402
from heat.common import template_format  # noqa: E402
from heat.engine import clients  # noqa: E402, F401
from heat.engine.clients.os.keystone import fake_keystoneclient  # noqa: E402
from heat.engine.clients.os import nova as nova_plugin  # noqa: E402
from heat.engine.clients.os import zaqar as zaqar_plugin  # noqa: E402
from heat.engine import constraints  # noqa: E402
from heat.engine import environment  # noqa: E402
from heat.engine import resource  # noqa: E402
from heat.engine import resources  # noqa: E402
from heat.engine import scheduler  # noqa: E402
from heat.engine import stack as engine_stack  # noqa: E402
from heat.engine import template  # noqa: E402
from heat.objects import event as event_objects  # noqa: E402
from heat.objects import resource as resource_objects  # noqa: E402
from heat.tests import common  # noqa: E402
from heat.tests import utils  # noqa: E402

from sandbox import releases  # noqa: E402
from tests.unit import fakes  # noqa: E402

try:
    from heat.engine.clients.os import senlin as senlin_plugin
except ImportError:
    from tests.unit import senlin_plugin
    senlin_plugin.register()

# For what Heat itself does with Senlin.
needs_senlin = unittest.skipUnless(
    releases.is_installed('senlin'), 'this Heat knows no Senlin')

# What tests may catch, under names that say where it comes from.
HeatError = exception.Error
ResourceTypeUnavailable = exception.ResourceTypeUnavailable
ResourceFailure = exception.ResourceFailure
StackValidationFailed = exception.StackValidationFailed
PollDelay = resource.PollDelay
UpdateReplace = resource.UpdateReplace
InvalidTemplateAttribute = exception.InvalidTemplateAttribute
NoActionRequired = resource.NoActionRequired
InvalidBreakPointHook = exception.InvalidBreakPointHook


def contract(name):
    """The literal message that both sides of the contract are held to."""
    return json.loads((REPO / 'tests' / 'contract' / name).read_text())


class PluginTestCase(common.HeatTestCase):
    # Seconds that one test may take: no measure, only an end.
    patience = 60

    def setUp(self):
        super().setUp()
        # A poll that never ends must fail the test, not hang the run.
        self.useFixture(fixtures.Timeout(self.patience, gentle=True))
        # Names such as images and queues are checked against live services,
        # and only what is ours is decided without one.
        validate = constraints.CustomConstraint.validate
        self.patchobject(
            constraints.CustomConstraint, 'validate',
            new=lambda constraint, *args, **kwargs: (
                validate(constraint, *args, **kwargs)
                if constraint.name.startswith('hooks.') else None))
        # A resource holds its stack by a weak reference only.
        self._stacks = []

    def parse_stack(self, text, **kwargs):
        stack = utils.parse_stack(template_format.parse(text), **kwargs)
        self._stacks.append(stack)
        return stack

    def stack_from(self, tmpl, files, env):
        """Build a stack from what python-heatclient would send."""
        return engine_stack.Stack(
            utils.dummy_context(), 'test_stack',
            template.Template(tmpl, files=files,
                              env=environment.Environment(env)))

    @staticmethod
    def plugin_class(resource_type):
        return resources.global_env().get_class(resource_type)

    @staticmethod
    def plugin_module(name):
        resources.global_env()
        return functools.reduce(getattr, name.split('.'),
                                sys.modules['heat.engine.plugins'])


class ServiceTestCase(PluginTestCase):
    """Resources run by Heat's engine, with the services faked at their API.

    Senlin is faked behind HTTP, so that real openstacksdk is in between.
    Zaqar and Keystone are faked as client objects.
    """

    def setUp(self):
        super().setUp()
        self.clock = self.useFixture(time_fixture.TimeFixture(
            datetime.datetime(2024, 5, 1, 12, 0, 31)))
        self.time = fakes.Clock(self.clock)
        for name in ('_engine.lease', '_engine.liveness', '_retry',
                     'native._drains', 'native.autoscaling_group',
                     'senlin._attachments', 'senlin._waiter'):
            self.patchobject(self.plugin_module(name), 'time',
                             new=self.time)
        # What the services were asked to change, in that order.
        self.journal = fakes.Journal()
        self.senlin = self.useFixture(fakes.Senlin(self.journal))
        self.patchobject(senlin_plugin.SenlinClientPlugin, '_create',
                         new=lambda plugin, version=None: self.senlin.client(
                             plugin.context.keystone_session.timeout))
        self.patchobject(
            senlin_plugin.SenlinClientPlugin, 'does_endpoint_exist',
            new=lambda _plugin, service_type, service_name: (
                self.senlin.in_catalogue))
        self.zaqar = fakes.Zaqar(self.journal)
        self.patchobject(zaqar_plugin.ZaqarClientPlugin, '_create',
                         side_effect=self.zaqar.client)
        self.patchobject(zaqar_plugin.ZaqarClientPlugin, 'url_for',
                         side_effect=self.zaqar.url_for)
        self.nova = fakes.Nova()
        self.patchobject(nova_plugin.NovaClientPlugin, 'get_server',
                         new=lambda _plugin, server: (
                             self.nova.get_server(server)))
        self.stub_keystoneclient(fake_client=_Keystone(self.journal))
        self.log = self.useFixture(
            fixtures.FakeLogger('heat.engine', level=logging.DEBUG,
                                format='%(levelname)s %(message)s'))

    def run_task(self, task, *args, **kwargs):
        """Run a life-cycle task of a resource to its end."""
        scheduler.TaskRunner(task, *args, **kwargs)()

    def update(self, rsrc, **values):
        """Update a resource as a stack with these properties would."""
        self.run_task(rsrc.update, self.changed(rsrc, **values))

    @staticmethod
    def changed(rsrc, **values):
        """The definition with these properties, less those that are None."""
        properties = dict(rsrc.t._properties, **values)
        return rsrc.t.freeze(properties={
            name: value for name, value in properties.items()
            if value is not None})

    def start_task(self, task, *args):
        """Start a life-cycle task of a resource, to take it step by step."""
        runner = scheduler.TaskRunner(task, *args)
        runner.start()
        return runner

    def stand_still(self, runner):
        """Look for a long time whether a task ends; it must not."""
        for _i in range(60):
            self.assertFalse(runner.step())

    def dies(self, changes, task, *args, hears_of_the_last=True, **kwargs):
        """Run a task in an engine that dies when it has changed so much.

        :returns: whether it died; if not, the task needs fewer changes.
        """
        self.journal.alive_for = changes
        self.journal.hears_of_the_last = hears_of_the_last
        try:
            task(*args, **kwargs)
        except SystemExit:
            return True
        finally:
            self.journal.alive_for = None
        return False

    def outage(self, seconds, answer=500, after=0):
        """What Senlin answers when it goes away after so many requests."""
        for _i in range(after):
            yield None
        end = timeutils.utcnow() + datetime.timedelta(seconds=seconds)
        while timeutils.utcnow() < end:
            self.clock.advance_time_seconds(3)
            yield answer

    def reload(self, rsrc):
        """Return the resource as an engine that was just started finds it."""
        stack = engine_stack.Stack.load(utils.dummy_context(),
                                        stack_id=rsrc.stack.id)
        self._stacks.append(stack)
        return stack[rsrc.name]

    def redacted_data(self, rsrc):
        """Return the keys in resource data that are encrypted at rest."""
        obj = resource_objects.Resource.get_obj(rsrc.context, rsrc.id)
        return {item.key for item in obj.data if item.redact}

    def make_twin(self, rsrc):
        """Return the replacement of a resource, as convergence makes it."""
        stack = rsrc.stack
        twin_id = rsrc.make_replacement(stack.t.id, set())
        twin, _stack, owner = resource.Resource.load(
            rsrc.context, twin_id, stack.current_traversal, True, {})
        self._stacks += [_stack, owner]
        return twin

    def events(self, rsrc):
        """What the tenant reads about the signals of a resource."""
        events = event_objects.Event.get_all_by_stack(rsrc.context,
                                                      rsrc.stack.id)
        return [event.resource_status_reason
                for event in sorted(events, key=lambda event: event.id)
                if event.resource_action == 'SIGNAL']

    def warnings(self):
        """The lines that an operator sees at the level of warnings."""
        return [line for line in self.log.output.splitlines()
                if line.startswith('WARNING ') and 'signal' in line and (
                    'refused' in line or 'lost' in line)]


class _Keystone(fake_keystoneclient.FakeKeystoneClient):
    """Heat's own fake, with a journal and a secret worth looking for."""

    def __init__(self, journal):
        super().__init__(access='heat-access', secret='heat-secret')
        self._journal = journal

    def create_stack_domain_user(self, **kwargs):
        self._journal.append('create user')
        return super().create_stack_domain_user(**kwargs)

    def delete_stack_domain_user(self, **kwargs):
        self._journal.append('delete user')
        super().delete_stack_domain_user(**kwargs)

    def delete_stack_domain_user_keypair(self, **kwargs):
        self._journal.append('delete keypair')
        super().delete_stack_domain_user_keypair(**kwargs)

    def enable_stack_domain_user(self, **kwargs):
        self._journal.append('enable user')

    def disable_stack_domain_user(self, **kwargs):
        self._journal.append('disable user')
