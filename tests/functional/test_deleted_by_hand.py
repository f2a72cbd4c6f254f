# SPDX-License-Identifier: Apache-2.0

"""What a stack has made is deleted with the services' own tools."""

import pytest

from tests.functional import tenant

pytestmark = tenant.needs_senlin


@pytest.fixture(scope='module')
def stack(project):
    return project.create_silent(size=1, drain_timeout=60)


def take_off(project, stack, policy):
    """Take a policy off the cluster, and wait until it is off."""
    project.connection.clustering.detach_policy_from_cluster(
        stack.cluster_id, policy.id)
    tenant.wait_for('the cluster without policy',
                    lambda: not stack.bindings())


def test_what_is_gone_is_reported_and_made_again(project, stack):
    """Servers would go without a drain, and the stack look healthy."""
    hook = stack.resource('hook').physical_resource_id
    cluster = stack.cluster_id
    config = stack.agent_config()
    project.delete_queue(hook)
    # By hand as well, it has to be taken off its cluster first.
    [policy] = project.policies(hook)
    take_off(project, stack, policy)
    project.connection.clustering.delete_policy(policy)

    assert ('hook: gone: policy and queue %s; update the stack to make it '
            'again.' % hook in stack.check())
    stack.update()
    assert stack.check() is None
    assert project.queue_exists(hook)
    [policy] = project.policies(hook)
    [binding] = project.connection.clustering.cluster_policies(cluster)
    assert policy.id == binding.policy_id
    # What the servers were told is what still holds.
    assert (hook, cluster, config) == (
        stack.resource('hook').physical_resource_id, stack.cluster_id,
        stack.agent_config())

    # Heat stops at the first resource that fails: now only the second does.
    take_off(project, stack, policy)
    assert ('drained: cluster %s has lost its hook, and its servers go '
            'without a drain; update the stack to put it back.' % cluster
            in stack.check())
    stack.update()
    assert stack.check() is None

    # The cluster has the hook again, and what it asks reaches somebody.
    stack.scale_in()
    [(server, token)] = stack.wait_for_drains(1).items()
    stack.signal({'lifecycle_action_token': token})
    tenant.wait_for('the deletion', lambda: server not in project.servers())


def test_stack_whose_parts_are_gone_can_be_deleted(project, stack):
    """A stack that nobody can delete."""
    senlin = project.connection.clustering
    hook = stack.resource('hook').physical_resource_id
    cluster = stack.cluster_id
    tenant.wait_for('the cluster to be idle', lambda: (
        stack.cluster().status == 'ACTIVE'))
    stack.scale_out()
    [node] = tenant.wait_for('a member', lambda: [
        node for node in senlin.nodes(cluster_id=cluster)
        if node.status == 'ACTIVE'])
    tenant.wait_for('the cluster to be idle', lambda: (
        stack.cluster().status == 'ACTIVE'))

    senlin.delete_node(node)
    tenant.wait_for('the node to be gone', lambda: not stack.members())
    # A cluster that somebody has made smaller is nothing that is wrong.
    assert stack.check() is None

    senlin.delete_cluster(cluster)
    tenant.wait_for('the cluster to be gone',
                    lambda: senlin.find_cluster(cluster) is None)
    assert 'drained: cluster %s is gone;' % cluster in stack.check()
    [policy] = project.policies(hook)
    senlin.delete_policy(policy)
    project.delete_queue(hook)

    stack.start_delete()
    tenant.wait_for('the stack to be gone', stack.is_gone)
