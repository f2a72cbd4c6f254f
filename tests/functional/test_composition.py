# SPDX-License-Identifier: Apache-2.0

"""The hook is in one stack, the cluster and its condition in another."""

import pytest

from tests.functional import tenant

pytestmark = tenant.needs_senlin


@pytest.fixture(scope='module')
def hook(project):
    return project.create_stack(tenant.TEMPLATES / 'hook.yaml',
                                drain_timeout=100)


@pytest.fixture(scope='module')
def guarded(project, hook):
    return project.create_stack(
        tenant.TEMPLATES / 'guarded_clusters.yaml',
        hook=hook.output('hook'), guarded='first')


def test_hook_reaches_the_cluster_of_another_stack(hook, guarded):
    """The cluster would keep the old timeout, or its stack would change."""
    cluster = guarded.resource('first').physical_resource_id
    reference = hook.output('hook')
    [old] = guarded.bindings(cluster)

    hook.update(drain_timeout=110)

    [(new, properties)] = hook.policies().items()
    assert new != old
    assert 110 == properties['hooks']['timeout']
    assert {new} == guarded.bindings(cluster)
    assert reference == hook.output('hook')
    assert 'CREATE_COMPLETE' == guarded.status()


def test_replaced_cluster_is_drained(project, hook, guarded):
    """The members of the old cluster would be deleted undrained."""
    senlin = project.connection.clustering
    first, second = (guarded.resource(name).physical_resource_id
                     for name in ('first', 'second'))
    [policy] = guarded.bindings(first)
    [old] = senlin.nodes(cluster_id=first)
    [new] = senlin.nodes(cluster_id=second)

    guarded.update(wait=False, guarded='second')
    assert [old.physical_id] == list(
        tenant.wait_for('the drain', hook.pending))
    # The new one has its hook before the old one is asked to go.
    assert {policy} == guarded.bindings(second)
    assert 'ACTIVE' == project.servers()[old.physical_id]
    hook.let_go(old.physical_id)
    guarded.wait('UPDATE_COMPLETE')

    assert senlin.find_cluster(first) is None
    assert [new.id] == senlin.get_cluster(second).node_ids

    # This time the cluster itself is another one. While there are two of a
    # name, only Senlin can tell them apart.
    def clusters():
        return {cluster.id for cluster in senlin.clusters()
                if policy in guarded.bindings(cluster.id)}

    assert {second} == clusters()
    project.heat.resources.mark_unhealthy(guarded.id, 'second', True, 'test')
    guarded.update(wait=False)
    assert [new.physical_id] == list(
        tenant.wait_for('the drain', hook.pending))
    [third] = clusters() - {second}
    assert 'ACTIVE' == project.servers()[new.physical_id]
    hook.let_go(new.physical_id)
    guarded.wait('UPDATE_COMPLETE')

    assert third == guarded.resource('second').physical_resource_id
    assert {third} == clusters()
    assert 1 == len(senlin.get_cluster(third).node_ids)
    assert senlin.find_cluster(second) is None


def test_adopted_cluster_is_still_guarded(project, hook, guarded):
    """Whoever reorganises stacks would lose the hook, and then sessions."""
    cluster = guarded.resource('second').physical_resource_id
    bindings = guarded.bindings(cluster)
    [node] = project.connection.clustering.nodes(cluster_id=cluster)

    adopted = project.adopt_stack(guarded.abandon())
    assert bindings == adopted.bindings(cluster)

    # The hook goes last, and until then it hears the guests.
    hook.start_delete()
    hook.wait('DELETE_FAILED')
    assert 'still attached to a cluster' in hook.why()
    adopted.start_delete()
    assert [node.physical_id] == list(
        tenant.wait_for('the drain', hook.pending))
    assert 'ACTIVE' == project.servers()[node.physical_id]
    hook.let_go(node.physical_id)
    tenant.wait_for('the stack to be gone', adopted.is_gone)
    hook.start_delete()
    tenant.wait_for('the stack to be gone', hook.is_gone)
