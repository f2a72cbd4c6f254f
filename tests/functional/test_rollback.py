# SPDX-License-Identifier: Apache-2.0

"""A guest answers ROLLBACK: its server stays, and the cluster is as before."""

import pytest

from tests.functional import tenant

pytestmark = tenant.needs_senlin


def rollback(stack, token, reason='busy'):
    stack.signal({'lifecycle_action_token': token,
                  'lifecycle_action_result': 'ROLLBACK', 'reason': reason})


def wait_until_idle(stack, capacity):
    """Until the cluster has its capacity and takes the next action."""
    def idle():
        cluster = stack.cluster()
        return (cluster.status == 'ACTIVE' and
                cluster.desired_capacity == capacity)
    tenant.wait_for('a desired capacity of %d' % capacity, idle)


@pytest.fixture(scope='module')
def stack(project):
    return project.create_silent(size=4, min_size=1, drain_timeout=150)


def test_server_stays_and_the_cluster_goes_on(project, stack):
    """A cluster that counts one server too few shrinks below its load."""
    before = stack.members()

    stack.scale_in()
    [(server, token)] = stack.wait_for_drains(1).items()
    rollback(stack, token, reason='3 matches are on')

    wait_until_idle(stack, capacity=4)
    assert before == stack.members()
    assert {server: 'ACTIVE'}.items() <= project.servers().items()
    assert {} == stack.pending()
    assert any('ROLLBACK for server %s' % server in event
               and '3 matches are on' in event
               for event in stack.events('hook'))

    # The next scale-out and scale-in are like any other.
    stack.scale_out()
    wait_until_idle(stack, capacity=5)
    stack.scale_in()
    [(victim, token)] = stack.wait_for_drains(1).items()
    stack.signal({'lifecycle_action_token': token})
    tenant.wait_for('the deletion', lambda: victim not in project.servers())
    wait_until_idle(stack, capacity=4)


def test_two_members_get_what_each_of_them_answered(project, stack):
    """One guest would decide over the sessions of another."""
    before = stack.members()

    stack.scale_in(2)
    (stays, first), (goes, second) = stack.wait_for_drains(2).items()
    rollback(stack, first)
    tenant.wait_for('the first answer to be heard', lambda: (
        stack.pending() == {goes: second}))
    # It waits as it did, though Senlin calls the whole scale-in cancelled.
    assert 'ACTIVE' == project.servers()[goes]

    stack.signal({'lifecycle_action_token': second})
    tenant.wait_for('the deletion', lambda: goes not in project.servers())

    wait_until_idle(stack, capacity=3)
    assert before - {goes} == stack.members()
    assert 'ACTIVE' == project.servers()[stays]


def test_repeated_rollback_does_what_a_dead_engine_left_undone(local, stack):
    """The capacity would stay wrong until somebody looks."""
    stack.scale_in(2)
    first, second = stack.wait_for_drains(2).values()
    rollback(stack, first)
    tenant.wait_for('the first answer to be heard', lambda: (
        list(stack.pending().values()) == [second]))
    # It was about to put the capacity back, once the second one has ended.
    local.kill('heat')
    local.start('heat')
    rollback(stack, second)
    rollback(stack, first)

    wait_until_idle(stack, capacity=3)
    assert 3 == len(stack.members())


def test_guest_can_refuse_the_deletion_of_its_stack(project, stack):
    """A member that must not go would be deleted, or never again."""
    members = stack.members()

    stack.start_delete()
    tokens = stack.wait_for_drains(3)
    stays = min(tokens)
    rollback(stack, tokens.pop(stays))
    for token in tokens.values():
        stack.signal({'lifecycle_action_token': token})
    stack.wait('DELETE_FAILED')

    assert {stays} == stack.members() < members
    wait_until_idle(stack, capacity=1)
    # In an action of its own, which Heat does not wait for.
    tenant.wait_for('the minimum to be back',
                    lambda: stack.cluster().min_size == 1)
    reason = stack.resource('drained').resource_status_reason
    assert 'drained: 1 members of cluster %s stay' % stack.cluster_id in reason
    assert 'delete the stack again' in reason

    stack.start_delete()
    [(server, token)] = stack.wait_for_drains(1).items()
    assert (stays, 'ACTIVE') == (server, project.servers()[server])
    stack.signal({'lifecycle_action_token': token})
    tenant.wait_for('the stack to be gone', stack.is_gone)
