# SPDX-License-Identifier: Apache-2.0

"""A stack is deleted: its servers drain first, and nothing is left."""

import time

import pytest

from tests.functional import tenant

IN_PROGRESS = 'DELETE_IN_PROGRESS'
# How the parts of the front door are while its servers drain.
PARTS = ({'drained': IN_PROGRESS, 'cluster': 'CREATE_COMPLETE',
          'hook': 'CREATE_COMPLETE', 'alarms': 'DELETE_COMPLETE',
          'receivers': 'DELETE_COMPLETE'} if tenant.WITH_SENLIN else
         {'group': IN_PROGRESS, 'hook': 'CREATE_COMPLETE',
          'alarms': 'DELETE_COMPLETE', 'scale_in': 'DELETE_COMPLETE'})


@pytest.mark.core
def test_stack_delete_drains_every_member_first(project):
    """Senlin deletes a cluster under the sessions of its members, and Heat."""
    stack = project.create_gated(size=2)
    members = stack.members()
    queue = stack.output('hook_queue_name')
    hook = stack.resource('hook').physical_resource_id
    assert project.queue_exists(queue)

    stack.start_delete()
    tenant.wait_for('both drains', lambda: all(
        project.is_draining(server) for server in members))
    time.sleep(4)

    assert members <= {s for s, status in project.servers().items()
                       if status == 'ACTIVE'}
    # What a draining guest needs outlives it; what feeds the group does not.
    states = {name: stack.resource(name).resource_status for name in PARTS}
    assert PARTS == states

    for server in members:
        project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)

    assert not members & set(project.servers())
    assert not project.queue_exists(queue)
    assert [] == project.policies(hook)


def test_stack_delete_waits_for_a_drain_that_is_running(project):
    """The running scale-in may hold a lock, which must fail nothing."""
    stack = project.create_gated(size=2)
    members = stack.members()

    stack.scale_in()
    tenant.wait_for('the first drain', lambda: any(
        project.is_draining(server) for server in members))
    stack.start_delete()
    waits = next(name for name in PARTS if PARTS[name] == IN_PROGRESS)
    tenant.wait_for('the deletion to begin', lambda: (
        stack.resource(waits).resource_status == IN_PROGRESS))
    [first] = [s for s in members if project.is_draining(s)]
    [second] = members - {first}
    project.release(first)
    tenant.wait_for('the second drain', lambda: project.is_draining(second))

    tenant.wait_for('the first deletion',
                    lambda: first not in project.servers())
    assert 'ACTIVE' == project.servers()[second]

    project.release(second)
    tenant.wait_for('the stack to be gone', stack.is_gone)
