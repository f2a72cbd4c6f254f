# SPDX-License-Identifier: Apache-2.0

"""A stack is deleted: its servers drain first, and nothing is left."""

import time

from tests.functional import tenant


def test_stack_delete_drains_every_member_first(project):
    """Senlin itself deletes a cluster under the sessions of its members."""
    stack = project.create_gated(size=2)
    members = stack.members()
    queue = stack.output('hook_queue_name')
    policy = stack.resource('hook').physical_resource_id
    assert project.queue_exists(queue)

    stack.start_delete()
    tenant.wait_for('both drains', lambda: all(
        project.is_draining(server) for server in members))
    time.sleep(4)

    assert members <= {s for s, status in project.servers().items()
                       if status == 'ACTIVE'}
    assert 'DELETE_IN_PROGRESS' == stack.resource('drained').resource_status
    # What a draining guest needs outlives it; what feeds the cluster does not.
    for name in ('cluster', 'hook'):
        assert 'CREATE_COMPLETE' == stack.resource(name).resource_status
    for name in ('alarms', 'receivers'):
        assert 'DELETE_COMPLETE' == stack.resource(name).resource_status

    for server in members:
        project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)

    assert not members & set(project.servers())
    assert not project.queue_exists(queue)
    assert project.connection.clustering.find_policy(policy) is None


def test_stack_delete_waits_for_a_drain_that_is_running(project):
    """The running scale-in holds Senlin's lock, which must fail nothing."""
    stack = project.create_gated(size=2)
    members = stack.members()

    stack.scale_in()
    tenant.wait_for('the first drain', lambda: any(
        project.is_draining(server) for server in members))
    stack.start_delete()
    tenant.wait_for('the deletion to begin', lambda: (
        stack.resource('drained').resource_status == 'DELETE_IN_PROGRESS'))
    [first] = [s for s in members if project.is_draining(s)]
    [second] = members - {first}
    project.release(first)
    tenant.wait_for('the second drain', lambda: project.is_draining(second))

    assert first not in project.servers()
    assert 'ACTIVE' == project.servers()[second]

    project.release(second)
    tenant.wait_for('the stack to be gone', stack.is_gone)
