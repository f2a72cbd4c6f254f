# SPDX-License-Identifier: Apache-2.0

"""A group of Heat's that scales on while its members drain."""

import contextlib
import time

from heatclient import exc as heat_exceptions
import pytest
import requests

from tests.functional import tenant

TEMPLATE = tenant.TEMPLATES / 'listening_group.yaml'


class Group:
    """The group of a stack, and what alarms do with it."""

    def __init__(self, project, **parameters):
        self.project = project
        self.stack = project.create_stack(TEMPLATE, min_size=1, **parameters)
        self._urls = {name: self.stack.output(name + '_url')
                      for name in ('scale_in', 'scale_out')}

    def rest(self):
        """Wait until nobody makes or removes members."""
        tenant.wait_for('the end of a step', lambda: not tenant.is_scaling(
            self.project.heat, self.stack.id, 'group'))

    def ask(self, what):
        # The group waits for a step that goes on, but not for ever, and
        # machines differ.
        self.rest()
        requests.post(self._urls[what], timeout=60).raise_for_status()

    def servers(self):
        return set(self.stack.output('servers'))

    def draining(self):
        return set(self.stack.output('draining').values())

    def size(self):
        return self.stack.output('size')

    def scale_in(self, drains=1):
        """Ask for a server less; return {server: token} of all drains."""
        self.ask('scale_in')
        return self.stack.wait_for_drains(drains)

    def scale_out(self):
        """Ask for a server more, and return its ID once it is there."""
        before = self.servers()
        self.ask('scale_out')

        def added():
            # Heat keeps what it has shown, which is not to be what follows.
            self.project.heat.stacks.get(self.stack.id)
            # Until it is there, Heat has the name of the member in its place.
            return self.servers() - before & set(self.project.servers())
        [new] = tenant.wait_for('another server', added)
        self.rest()
        return new

    def update(self, **parameters):
        self.stack.update(wait=False, **parameters)
        status, reason = self.stack.end('UPDATE')
        assert 'UPDATE_COMPLETE' == status, reason

    def answer(self, token, result='CONTINUE', **more):
        self.stack.signal({'lifecycle_action_token': token,
                           'lifecycle_action_result': result,
                           **more}).raise_for_status()

    def wait_without(self, *servers):
        tenant.wait_for('the deletion of %s' % (servers,), lambda: (
            not set(servers) & set(self.project.servers())))
        tenant.wait_for('the group to know', lambda: (
            not set(servers) & self.servers()))

    def delete(self):
        """Delete the stack, and answer for every server that is asked."""
        self.stack.start_delete()

        def is_gone():
            # It goes while we look.
            with contextlib.suppress(heat_exceptions.HTTPNotFound):
                for token in self.stack.pending().values():
                    self.answer(token)
            return self.stack.is_gone()
        tenant.wait_for('the stack to be gone', is_gone)

    def messages(self):
        """IDs of the servers that have been told, once for each time."""
        return [message['resource_id'] for message in self.project.messages(
            self.stack.resource('hook').physical_resource_id)]


@pytest.fixture(scope='module')
def group(project):
    group = Group(project, size=2, drain_timeout=240)
    yield group
    group.delete()


@pytest.fixture(autouse=True)
def of_two(request):
    """Leave two members and no drain to the next test."""
    yield
    if 'group' in request.fixturenames:
        group = request.getfixturevalue('group')
        for token in group.stack.pending().values():
            group.answer(token)
        tenant.wait_for('an end of the drains', lambda: not group.draining())
        while group.size() < 2:
            group.scale_out()


@pytest.mark.core
def test_group_grows_while_a_member_drains(group):
    """The load comes back during a drain, and nobody adds a server."""
    before = group.servers()
    [(leaving, token)] = group.scale_in().items()
    assert {leaving} == group.draining()
    assert 1 == group.size()
    # All of it is as it was for whoever looks at the stack.
    assert 'CREATE_COMPLETE' == group.stack.status()

    new = group.scale_out()
    assert group.project.servers()[leaving] == 'ACTIVE'
    assert 2 == group.size()

    group.answer(token)
    group.wait_without(leaving)
    assert before - {leaving} | {new} == group.servers()
    assert set() == group.draining()
    assert [leaving] == group.messages()


def test_two_members_drain_at_once(group):
    """The second alarm would be dropped, and the group stay too big."""
    third = group.scale_out()
    group.scale_in()
    drains = group.scale_in(drains=2)
    assert 1 == group.size()

    # Not in the order in which they were asked.
    first, second = drains
    group.answer(drains[second])
    group.wait_without(second)
    assert group.project.servers()[first] == 'ACTIVE'
    assert {first} == group.draining()

    group.answer(drains[first])
    group.wait_without(first)
    assert {third} == group.servers()


def test_group_shrinks_to_its_minimum_only(group, engine_log):
    """Every server would drain in the end."""
    group.scale_in()

    group.ask('scale_in')
    tenant.wait_for('the alarm to be refused', lambda: (
        'NOT performing scaling adjustment, as there is no change'
        in engine_log()))
    assert 1 == len(group.stack.pending())
    assert 1 == group.size()


@pytest.mark.core
def test_member_that_refuses_stays_and_counts(group):
    """A match that is on would be cut, or the group believe it smaller."""
    before = group.servers()
    [(leaving, token)] = group.scale_in().items()

    group.answer(token, 'ROLLBACK', reason='3 matches are on')
    tenant.wait_for('the end of the drain', lambda: not group.draining())
    assert before == group.servers()
    assert 2 == group.size()

    # It is asked anew when it is the oldest again.
    assert {leaving: token} != group.scale_in()
    assert leaving in group.stack.pending()


def test_update_of_the_stack_during_a_drain(group):
    """It would bring the member back, or delete it without an answer."""
    before = group.servers()
    [(leaving, token)] = group.scale_in().items()

    group.update(max_size=6)
    assert group.project.servers()[leaving] == 'ACTIVE'
    assert {leaving} == group.draining()
    assert before == group.servers()

    group.update(size=3)
    assert 3 == group.size()
    assert {leaving} == group.draining()
    assert before < group.servers()

    group.answer(token)
    group.wait_without(leaving)
    assert 3 == group.size()
    assert 'UPDATE_COMPLETE' == group.stack.status()


def test_update_that_shrinks_the_group(group):
    """It would wait for the drains, deaf, or not drain at all."""
    size = group.size()

    group.update(size=1)
    drains = group.stack.wait_for_drains(size - 1)
    for leaving in drains:
        assert group.project.servers()[leaving] == 'ACTIVE'

    for leaving, token in drains.items():
        group.answer(token)
        group.wait_without(leaving)
    assert 1 == group.size()


@pytest.mark.core
def test_engine_dies_during_a_drain(group, local):
    """The answer would be lost, or the group be deaf from then on."""
    [(leaving, token)] = group.scale_in().items()
    group.rest()
    local.kill('heat')
    local.start('heat')

    new = group.scale_out()
    assert group.project.servers()[leaving] == 'ACTIVE'
    group.answer(token)
    group.wait_without(leaving)
    assert new in group.servers()


def test_silent_member_goes_at_the_timeout_whoever_has_died(project, local):
    """Nobody would look at the clock after the engine that did is gone."""
    group = Group(project, size=2, drain_timeout=30)
    began = time.time()
    [leaving] = group.scale_in()
    group.rest()
    local.kill('heat')
    local.start('heat')

    told = []
    tenant.wait_for('the deletion', lambda: (
        told.append(group.messages())
        or leaving not in project.servers()))
    assert time.time() - began >= 30
    group.wait_without(leaving)
    assert 1 == group.size()
    # A message lives for a minute, which may be over by now.
    assert [leaving] == max(told, key=len)


def test_guest_that_is_heard_no_more_is_not_waited_for(project):
    """A server that has crashed would be paid for until the timeout."""
    # Longer than this test waits for anything.
    group = Group(project, size=1, drain_timeout=tenant.PATIENCE + 200,
                  heartbeat_timeout=15)
    group.stack.update(size=2)
    [(leaving, token)] = group.scale_in().items()

    # Longer than it may be silent.
    for _i in range(5):
        time.sleep(4)
        group.answer(token, 'HEARTBEAT')
    assert {leaving} == group.draining()
    assert project.servers()[leaving] == 'ACTIVE'

    group.wait_without(leaving)


def test_stack_delete_during_a_drain_asks_nobody_twice(project):
    """An agent would drain for a token that nobody waits for."""
    group = Group(project, size=2, drain_timeout=240)
    [(leaving, token)] = group.scale_in().items()

    group.stack.start_delete()
    drains = group.stack.wait_for_drains(2)
    assert token == drains[leaving]
    # A guard polls every three seconds.
    time.sleep(4)
    assert 2 == len(group.messages())
    assert set(drains) <= set(project.servers())
    group.delete()
