# SPDX-License-Identifier: Apache-2.0

"""A group shrinks: who is asked goes, when it is ready and not before."""

import time

import pytest

from tests.functional import tenant


@pytest.mark.core
def test_scale_in_waits_for_the_drain(project):
    """A member with open sessions would be deleted under them."""
    stack = project.create_gated(size=2)
    before = stack.members()

    stack.scale_in()
    [victim] = tenant.wait_for(
        'a drain', lambda: [s for s in before if project.is_draining(s)])
    waiting = stack.pending()
    told = (project.guest(victim) / 'var/lib/draining').read_text()

    assert [victim] == list(waiting)
    assert 'LIFECYCLE_ACTION_TOKEN=%s\n' % waiting[victim] in told
    assert 'LIFECYCLE_SERVER_ID=%s\n' % victim in told
    # Senlin looks at the drain every three seconds, Heat every second.
    time.sleep(4)
    assert {s: 'ACTIVE' for s in before}.items() <= project.servers().items()

    project.release(victim)
    tenant.wait_for('the deletion', lambda: victim not in project.servers())

    # Who counts hears of it a moment later.
    tenant.wait_for('the group to have shrunk', lambda: (
        before - {victim} == stack.members() and stack.is_at_rest()))
    assert 1 == stack.capacity()
    assert any('CONTINUE for server %s' % victim in event
               and ' s, by the signal URL: drained in ' in event
               for event in stack.events('hook'))


@pytest.mark.core
def test_two_members_drain_at_once_and_go_one_by_one(project):
    """The slower of two drains would be cut by the end of the faster one."""
    stack = project.create_gated(size=2)
    first, second = stack.members()

    stack.scale_in(2)
    tenant.wait_for('both drains', lambda: (
        project.is_draining(first) and project.is_draining(second)))
    assert {first, second} == set(stack.pending())
    project.release(first)
    tenant.wait_for('the first deletion',
                    lambda: first not in project.servers())

    # Nova takes its time, and says ACTIVE meanwhile.
    time.sleep(4)
    assert 'ACTIVE' == project.servers()[second]
    assert [second] == list(stack.pending())

    project.release(second)
    tenant.wait_for('the second deletion',
                    lambda: second not in project.servers())


@pytest.mark.core
def test_silent_guest_is_deleted_at_the_timeout_and_not_before(project):
    """A dead agent would freeze the group, or cost the drain its time."""
    timeout = 20
    stack = project.create_silent(drain_timeout=timeout)
    [server] = stack.members()

    began = time.time()
    stack.scale_in()
    stack.wait_for_drains(1)
    tenant.wait_for('the deletion', lambda: server not in project.servers())

    assert time.time() - began >= timeout
    tenant.wait_for('the scale-in to be over', stack.is_at_rest)
    assert set() == stack.members()
