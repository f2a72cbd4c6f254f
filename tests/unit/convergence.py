# SPDX-License-Identifier: Apache-2.0

"""Heat's convergence engine in one thread, for tests of whole updates.

Each check of a resource runs in a greenlet, as it runs in a thread in Heat,
and gives way to the others when its task polls.
"""

import collections
from unittest import mock

import fixtures
import greenlet
from heat.engine import resource
from heat.engine import stack as engine_stack
from heat.engine import template
from heat.engine import worker
from heat.objects import resource as resource_objects
from heat.tests import utils


class Engine(fixtures.Fixture):
    """Run traversals of stacks: all that is Heat's, less its messages."""

    def __init__(self):
        self._checks = []
        # Called when all tasks have polled.
        self.idle = lambda: None

    def _setUp(self):
        for target, replacement in (
                ('heat.rpc.worker_client.WorkerClient.check_resource',
                 lambda _client, *args, **kwargs: self._checks.append(
                     greenlet.greenlet(lambda: self._check(args, kwargs)))),
                ('heat.engine.scheduler.TaskRunner._sleep',
                 lambda _runner, _seconds: self._give_way()),
                ('heat.common.context.StoredContext', mock.Mock())):
            self.useFixture(fixtures.MonkeyPatch(target, replacement))

    # What Heat calls where it starts a thread.
    def start(self, _stack_id, function, *args, **kwargs):
        function(*args, **kwargs)

    def add_msg_queue(self, *_args):
        pass

    remove_msg_queue = add_msg_queue

    def create(self, resources, **kwargs):
        """Create a stack of these resources and return its ID."""
        stack = engine_stack.Stack(
            utils.dummy_context(), utils.random_name(),
            self._template(resources), convergence=True, **kwargs)
        stack.store()
        self._converge(stack, stack.t, stack.CREATE)
        return stack.id

    def update(self, stack_id, resources):
        self._converge(self.load(stack_id), self._template(resources),
                       'UPDATE')

    def delete(self, stack_id):
        self._converge(self.load(stack_id), self._template({}), 'DELETE')

    @staticmethod
    def load(stack_id):
        return engine_stack.Stack.load(utils.dummy_context(),
                                       stack_id=stack_id, show_deleted=True)

    @staticmethod
    def rows(stack_id):
        """Return {name: rows} of the resources that are there."""
        rows = collections.defaultdict(list)
        for row in resource_objects.Resource.get_all_active_by_stack(
                utils.dummy_context(), stack_id).values():
            rows[row.name].append(row)
        return dict(rows)

    def _converge(self, stack, tmpl, action):
        self._main = greenlet.getcurrent()
        stack.thread_group_mgr = self
        stack.converge_stack(template=tmpl, action=action)
        while self._checks:
            for check in list(self._checks):
                check.switch()
            self._checks = [check for check in self._checks if not check.dead]
            self.idle()

    def _check(self, args, kwargs):
        try:
            worker.WorkerService('host', 'topic', 'engine',
                                 self).check_resource(*args, **kwargs)
        finally:
            # Heat 22 has eventlet, which makes itself the parent.
            greenlet.getcurrent().parent = self._main

    def _give_way(self):
        if greenlet.getcurrent() in self._checks:
            self._main.switch()

    @staticmethod
    def _template(resources):
        return template.Template({'heat_template_version': 'wallaby',
                                  'resources': resources})


def register(name, resource_class):
    """Make a resource type known to the templates of tests."""
    resource._register_class(name, resource_class)
