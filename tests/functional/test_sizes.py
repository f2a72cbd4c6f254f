# SPDX-License-Identifier: Apache-2.0

"""Stacks with no member, a broken one and many of them are deleted."""

import time

import pytest

from sandbox import clients
from tests.functional import tenant

pytestmark = tenant.needs_senlin

TIMEOUT = 90

# Servers of the largest stack.
MANY = 20


@pytest.fixture(scope='module')
def stacks(project):
    """Stacks by their size, made all at once; no guest ever answers."""
    stacks = {size: project.create_silent(size=size, drain_timeout=TIMEOUT,
                                          wait=False)
              for size in (0, 2, 3, MANY)}
    for stack in stacks.values():
        # So many servers are a lot for a machine that has other clouds too.
        stack.wait('CREATE_COMPLETE', 2 * tenant.PATIENCE)
    return stacks


@pytest.fixture
def senlin_requests(local):
    """Return what Senlin was asked since the test began, line by line."""
    log = local.processes.log('senlin')
    begin = log.stat().st_size

    def read(*wanted):
        with log.open('rb') as stream:
            stream.seek(begin)
            lines = stream.read().decode('utf-8', 'replace').splitlines()
        return [line for line in lines if ' HTTP/1.1" ' in line
                and any(identity in line for identity in wanted)]
    return read


def test_empty_cluster_is_deleted(stacks):
    """A stack that has scaled in to nothing could not be deleted."""
    stacks[0].start_delete()

    tenant.wait_for('the stack to be gone', stacks[0].is_gone)


def test_broken_member_does_not_keep_the_stack(local, project, stacks):
    """A server that cannot drain would be waited for, or end the deletion."""
    stack = stacks[3]
    broken, *others = sorted(stack.members())
    clients.connect(local.cloud, 'sandbox-admin').compute.reset_server_state(
        broken, 'error')
    project.connection.clustering.check_node(stack.nodes()[broken])
    tenant.wait_for('Senlin to notice',
                    lambda: stack.nodes()[broken].status == 'ERROR')

    stack.start_delete()
    drains = stack.wait_for_drains(2)

    # Senlin has no hook for a node that is not ACTIVE.
    assert set(others) == set(drains)
    tenant.wait_for('the broken one to go',
                    lambda: broken not in project.servers())
    assert set(others) <= set(project.servers())
    for token in drains.values():
        stack.signal({'lifecycle_action_token': token})
    tenant.wait_for('the stack to be gone', stack.is_gone)


def test_members_that_stay_silent_go_together_at_the_timeout(
        project, stacks, senlin_requests):
    """A large stack would take hours to delete, and overload Senlin."""
    watched = [stacks[2], stacks[MANY]]
    members = set().union(*[stack.members() for stack in watched])
    for stack in watched:
        stack.start_delete()
    drains = {stack: stack.wait_for_drains(size)
              for size, stack in ((2, watched[0]), (MANY, watched[1]))}

    # All wait at the same time, and all servers are there.
    assert MANY + 2 == sum(len(stack.pending()) for stack in watched)
    assert members <= set(project.servers())

    # What one poll costs, when nothing but the condition asks.
    costs = []
    for stack in watched:
        [resize] = project.connection.clustering.actions(
            action='CLUSTER_RESIZE', target_id=stack.cluster_id)
        costs.append((resize.id, [
            resize.id, stack.cluster_id, *drains[stack].values(),
            *[node.id for node in stack.nodes().values()]]))
    before = [(len(senlin_requests('/actions/%s ' % resize)),
               len(senlin_requests(*identities)))
              for resize, identities in costs]
    time.sleep(15)
    per_poll = []
    for (resize, identities), (polls, requests) in zip(costs, before):
        polls = len(senlin_requests('/actions/%s ' % resize)) - polls
        requests = len(senlin_requests(*identities)) - requests
        assert polls > 1
        per_poll.append(requests / polls)
    assert [1, 1] == per_poll

    for stack in watched:
        tenant.wait_for('the stack to be gone', stack.is_gone)
    assert not members & set(project.servers())
