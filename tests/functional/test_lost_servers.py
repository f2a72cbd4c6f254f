# SPDX-License-Identifier: Apache-2.0

"""Members that fail, or are deleted behind Heat's back, come back."""

import pytest

from tests.functional import tenant


@pytest.fixture
def stack(project):
    return project.create_silent(size=3, min_size=1)


def lose(project, stack, server):
    """Delete a server in Nova, and let Heat find out."""
    project.connection.compute.delete_server(server)
    tenant.wait_for('the deletion', lambda: server not in project.servers())
    assert stack.check()


@tenant.needs_none
def test_update_replaces_a_server_that_was_deleted(project, stack):
    """A group that heals itself would shrink to its minimum."""
    lost, *others = sorted(stack.members())
    lose(project, stack, lost)

    stack.update()
    members = stack.members()
    assert set(others) < members
    assert 3 == len(members) == stack.capacity()
    assert ['ACTIVE'] * 3 == [project.servers()[server] for server in members]


@tenant.needs_none
def test_update_replaces_a_lost_server_beside_a_drain(project, stack):
    """Who drains would be taken for the one that is missing."""
    stack.scale_in()
    [draining] = stack.wait_for_drains(1)
    lost, other = sorted(stack.members() - {draining})
    lose(project, stack, lost)

    stack.update()
    assert 2 == stack.capacity()
    assert {draining} == set(stack.pending())
    assert {draining, other} < stack.members()
    assert lost not in stack.members()
