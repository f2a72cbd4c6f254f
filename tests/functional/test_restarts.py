# SPDX-License-Identifier: Apache-2.0

"""A service dies in the middle of a drain, and no session is cut."""

from tests.functional import tenant


def test_signal_outlives_a_dead_heat(local, project):
    """The server would wait for its whole timeout, or go undrained."""
    stack = project.create_gated(size=2)
    before = stack.members()

    stack.scale_in()
    [victim] = tenant.wait_for(
        'a drain', lambda: [s for s in before if project.is_draining(s)])
    local.kill('heat')
    project.release(victim)
    # The agent has something to tell, and nobody to tell it to.
    log = project.guest(victim) / 'var/log/drain-agent.log'
    tenant.wait_for('the agent to fail', lambda: (
        'warning signal' in log.read_text()))
    assert 'ACTIVE' == project.servers()[victim]
    local.start('heat')

    tenant.wait_for('the deletion', lambda: victim not in project.servers())
    assert {s: 'ACTIVE' for s in before - {victim}} == project.servers()


def test_stack_delete_is_finished_by_a_second_one(local, project):
    """A stack nobody can delete, or a second attempt without drain."""
    stack = project.create_gated(size=1)
    [server] = stack.members()

    stack.start_delete()
    tenant.wait_for('the drain', lambda: project.is_draining(server))
    local.kill('heat')
    local.start('heat')
    stack.start_delete()

    assert 'ACTIVE' == project.servers()[server]
    [token] = stack.pending().values()
    assert token in (project.guest(server) / 'var/lib/draining').read_text()

    project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)
    assert server not in project.servers()
