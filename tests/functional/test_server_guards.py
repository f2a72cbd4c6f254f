# SPDX-License-Identifier: Apache-2.0

"""Servers of Heat's own groups drain before they go, without Senlin."""

import time

import pytest
import requests

from tests.functional import tenant

TEMPLATE = tenant.TEMPLATES / 'guarded_groups.yaml'


@pytest.fixture(scope='module')
def stack(project):
    return project.create_stack(TEMPLATE, size=2, scaled=2, drain_timeout=120)


def is_there(project, server):
    return project.servers().get(server) == 'ACTIVE'


def let_go(stack, server, token):
    """Be the agent of a server, and see it go."""
    # A guard polls every three seconds.
    time.sleep(4)
    assert is_there(stack.project, server)
    stack.signal({'lifecycle_action_token': token})
    # One in ERROR would be one that Nova has not deleted.
    tenant.wait_for('the deletion of the server', lambda: (
        server not in stack.project.servers()))


def test_resource_group_that_shrinks(project, stack):
    """A member would go with its sessions."""
    before = set(stack.output('servers'))

    stack.update(wait=False, size=1)
    [(server, token)] = stack.wait_for_drains(1).items()
    [message] = project.messages(stack.resource('hook').physical_resource_id)
    assert (server, token) == (message['resource_id'],
                               message['lifecycle_action_token'])
    let_go(stack, server, token)

    assert 'UPDATE_COMPLETE' == stack.end('UPDATE')[0]
    assert before - {server} == set(stack.output('servers'))
    assert any('CONTINUE for server %s' % server in event
               for event in stack.events('hook'))


def test_member_that_is_removed_by_its_name(project, stack):
    """Who repairs a group would cut the sessions of what he takes out."""
    [old] = stack.output('servers')

    stack.update(wait=False, size=1, removed='0')
    [(server, token)] = stack.wait_for_drains(1).items()
    assert old == server
    let_go(stack, server, token)

    assert 'UPDATE_COMPLETE' == stack.end('UPDATE')[0]
    assert [old] != stack.output('servers')


def test_scaling_group_that_is_scaled_in(project, stack):
    """The alarm would cut what it has found to be idle on average."""
    before = set(stack.output('scaled_servers'))

    requests.post(stack.output('scale_in_url'), timeout=60).raise_for_status()
    [(server, token)] = stack.wait_for_drains(1).items()
    assert server in before
    let_go(stack, server, token)

    tenant.wait_for('the group to be smaller', lambda: (
        before - {server} == set(stack.output('scaled_servers'))))


def test_servers_that_an_update_replaces(project, stack):
    """A new image would cut every session of the old servers."""
    old = {*stack.output('servers'), *stack.output('scaled_servers')}

    stack.update(wait=False, release='#!/bin/bash', scaled=1)
    drains = stack.wait_for_drains(2)
    assert old == set(drains)
    for server, token in drains.items():
        let_go(stack, server, token)

    assert 'UPDATE_COMPLETE' == stack.end('UPDATE')[0]
    assert not old & {*stack.output('servers'),
                      *stack.output('scaled_servers')}


def test_stack_that_is_deleted(project, stack):
    """A server whose guest refuses would go, or the stack never."""
    stack.start_delete()
    drains = stack.wait_for_drains(2)
    stays, goes = sorted(drains)
    stack.signal({'lifecycle_action_token': drains[stays],
                  'lifecycle_action_result': 'ROLLBACK',
                  'reason': '3 matches are on'})
    stack.signal({'lifecycle_action_token': drains[goes]})
    stack.wait('DELETE_FAILED')
    assert '3 matches are on' in stack.why()
    assert is_there(project, stays)

    stack.start_delete()
    [(server, token)] = stack.wait_for_drains(1).items()
    assert stays == server
    let_go(stack, server, token)
    tenant.wait_for('the stack to be gone', stack.is_gone)


def test_stack_that_is_deleted_while_its_engine_dies(project, local,
                                                     engine_log):
    """The second attempt would ask again, or wait for nobody."""
    stack = project.create_stack(TEMPLATE, size=1, drain_timeout=240)
    stack.start_delete()
    [(server, token)] = stack.wait_for_drains(1).items()
    local.kill('heat')
    local.start('heat')

    stack.start_delete()
    stack.wait_for_guards(2, engine_log)
    assert {server: token} == stack.wait_for_drains(1)
    let_go(stack, server, token)
    tenant.wait_for('the stack to be gone', stack.is_gone)


@tenant.needs_senlin
def test_stack_that_is_a_node_of_senlin(project):
    """Senlin asks for the end of a stack, and knows nothing of its server."""
    hooks = project.create_stack(tenant.TEMPLATES / 'hook.yaml',
                                 drain_timeout=120)
    senlin = project.connection.clustering
    profile = senlin.create_profile(name='stacks', spec={
        'type': 'os.heat.stack', 'version': '1.0', 'properties': {
            'template': tenant.read(
                tenant.TEMPLATES / 'guarded_server.yaml'),
            'parameters': {'hook': hooks.output('hook'),
                           'release': '#!/bin/sh'},
            'timeout': 10}})
    cluster = senlin.create_cluster(
        name='stacks', profile_id=profile.id, min_size=0, max_size=2,
        desired_capacity=1)
    tenant.wait_for('the node', lambda: (
        senlin.get_cluster(cluster.id).status == 'ACTIVE'))

    senlin.scale_in_cluster(cluster.id, count=1)
    [(server, token)] = hooks.wait_for_drains(1).items()
    let_go(hooks, server, token)

    tenant.wait_for('the node to be gone', lambda: not list(
        senlin.nodes(cluster_id=cluster.id)))
    senlin.delete_cluster(cluster.id)
    tenant.wait_for('the cluster to be gone', lambda: (
        senlin.find_cluster(cluster.id) is None))
    senlin.delete_profile(profile.id)


def test_silent_server_goes_at_the_timeout(project):
    """A server that has crashed would hold the deletion up for ever."""
    stack = project.create_stack(TEMPLATE, size=1, drain_timeout=20)
    [server] = stack.output('servers')

    began = time.time()
    stack.start_delete()
    stack.wait_for_drains(1)
    tenant.wait_for('the deletion', lambda: server not in project.servers())

    assert time.time() - began >= 20
    tenant.wait_for('the stack to be gone', stack.is_gone)
