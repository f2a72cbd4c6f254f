# SPDX-License-Identifier: Apache-2.0

"""A service dies in the middle of a drain, and no session is cut."""

import time

from tests.functional import tenant


def drain_one_of_two(project):
    """Return a cluster, the scale-in, who drains in it and who stays."""
    stack = project.create_gated(size=2)
    members = stack.members()
    action = stack.scale_in()
    [victim] = tenant.wait_for(
        'a drain', lambda: [s for s in members if project.is_draining(s)])
    [other] = members - {victim}
    return stack, action, victim, other


def test_signal_outlives_a_dead_heat(local, project):
    """The server would wait for its whole timeout, or go undrained."""
    _stack, _action, victim, other = drain_one_of_two(project)

    local.kill('heat')
    project.release(victim)
    # The agent has something to tell, and nobody to tell it to.
    tenant.wait_for('the agent to fail', lambda: (
        'warning signal' in project.agent_log(victim)))
    assert 'ACTIVE' == project.servers()[victim]
    local.start('heat')

    tenant.wait_for('the deletion', lambda: victim not in project.servers())
    assert 'ACTIVE' == project.servers()[other]


def test_stack_delete_is_finished_by_a_second_one(local, project, engine_log):
    """A stack nobody can delete, or a second attempt without drain."""
    stack = project.create_gated(size=1)
    [server] = stack.members()

    stack.start_delete()
    tenant.wait_for('the drain', lambda: project.is_draining(server))
    [token] = stack.pending().values()
    local.kill('heat')
    local.start('heat')
    stack.start_delete()
    stack.wait_for_guards(2, engine_log)

    assert 'ACTIVE' == project.servers()[server]
    assert {server: token} == stack.pending()
    assert token in (project.guest(server) / 'var/lib/draining').read_text()

    project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)
    assert server not in project.servers()


@tenant.needs_senlin
def test_create_update_and_delete_are_repeated_after_a_dead_heat(
        local, project):
    """A stack that can neither be finished nor deleted."""
    def die(resource, *statuses):
        """Kill Heat once a resource has, or has had, one of these statuses."""
        # Heat that is killed may have written a status and not its event.
        tenant.wait_for('%s of %s' % (' or '.join(statuses), resource),
                        lambda: not {
                            stack.status_of(resource),
                            *stack.statuses_of(resource)
                        }.isdisjoint(statuses))
        local.kill('heat')
        local.start('heat')

    stack = project.create_silent(size=0, wait=False)
    die('hook', 'CREATE_IN_PROGRESS')
    stack.update(wait=False)
    # The update may find it complete, and change it.
    die('hook', 'CREATE_COMPLETE', 'UPDATE_COMPLETE')
    stack.update(wait=False)
    die('drained', 'CREATE_IN_PROGRESS')
    stack.update(wait=False)
    stack.wait('UPDATE_COMPLETE')
    hook = stack.resource('hook').physical_resource_id
    [policy] = project.policies(hook)
    senlin = project.connection.clustering
    [binding] = senlin.cluster_policies(stack.cluster_id)
    assert policy.id == binding.policy_id
    assert [hook] == [queue for queue in project.queues() if queue == hook]

    for policies in (1, 2):
        # In the swap the cluster has both policies, the hook at least one.
        stack.update(drain_timeout=50, wait=False)
        tenant.wait_for('the update', lambda n=policies: (
            stack.status_of('hook') == 'UPDATE_IN_PROGRESS'
            and len(project.policies(hook)) >= n))
        local.kill('heat')
        local.start('heat')
    assert list(senlin.cluster_policies(stack.cluster_id))
    stack.update(drain_timeout=50, wait=False)
    stack.wait('UPDATE_COMPLETE')
    [policy] = project.policies(hook)
    assert 50 == policy.spec['properties']['hooks']['timeout']
    [binding] = senlin.cluster_policies(stack.cluster_id)
    assert policy.id == binding.policy_id

    for resource in ('drained', 'hook'):
        stack.start_delete()
        die(resource, 'DELETE_IN_PROGRESS')
    stack.start_delete()
    tenant.wait_for('the stack to be gone', stack.is_gone)
    assert not project.policies(hook)
    assert not project.queue_exists(hook)


@tenant.needs_senlin
def test_dead_senlin_cuts_no_session(local, project, engine_log):
    """What Senlin leaves behind would delete a server, or keep the stack."""
    stack = project.create_silent(size=1, drain_timeout=tenant.PATIENCE)
    [server] = stack.members()

    stack.start_delete()
    [first] = stack.wait_for_drains(1).values()
    local.kill('senlin')
    local.start('senlin')

    # Senlin fails the actions of its dead engine, and the drain begins anew.
    [second] = tenant.wait_for('another drain', lambda: [
        token for token in stack.pending().values() if token != first])
    assert 'ACTIVE' == project.servers()[server]
    assert 'begun anew' in engine_log()

    stack.signal({'lifecycle_action_token': second})
    tenant.wait_for('the stack to be gone', stack.is_gone)
    assert server not in project.servers()


@tenant.needs_senlin
def test_drain_that_ends_while_senlin_is_dead(local, project):
    """The server would wait for its whole timeout, and nobody know why."""
    stack, action, victim, other = drain_one_of_two(project)

    local.kill('senlin')
    project.release(victim)
    tenant.wait_for('the signal', lambda: (
        'CONTINUE' in project.agent_log(victim)))
    assert 'ACTIVE' == project.servers()[victim]
    # Senlin fails what an engine had in hand that is dead for eleven seconds,
    # and would leave the server as it is.
    time.sleep(12)
    local.start('senlin')

    tenant.wait_for('the deletion', lambda: victim not in project.servers())
    assert 'ACTIVE' == project.servers()[other]

    # Nothing runs in the cluster any more, and Senlin dies again.
    tenant.wait_for('the end of the scale-in', lambda: (
        stack.action(action).status in ('SUCCEEDED', 'FAILED')
        and stack.members() == {other}))
    local.kill('senlin')
    local.start('senlin')
    stack.scale_in()
    tenant.wait_for('the drain', lambda: project.is_draining(other))
    project.release(other)
    tenant.wait_for('the deletion', lambda: other not in project.servers())
