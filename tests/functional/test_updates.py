# SPDX-License-Identifier: Apache-2.0

"""A stack is updated: its cluster never goes without a hook."""

import itertools
import time
import uuid

from heatclient import exc as heat_exceptions
import pytest
import requests

from tests.functional import tenant

pytestmark = tenant.needs_senlin


@pytest.fixture(scope='module')
def stacks(project):
    """All stacks of this module, made at the same time."""
    queue = project.create_queue()
    made = {
        'stack': project.create_silent(
            size=4, drain_timeout=100, criteria='OLDEST_FIRST', wait=False),
        'sharing': project.create_silent(
            size=1, drain_timeout=100, queue=queue, wait=False),
    }
    for stack in made.values():
        stack.wait('CREATE_COMPLETE')
    yield made
    project.delete_queue(queue)


@pytest.fixture
def stack(stacks):
    return stacks['stack']


def drain_one(stack):
    """Begin a scale-in by one; return its action and its server."""
    action = stack.scale_in()
    [server] = tenant.wait_for('the drain', stack.pending)
    return action, server


def answer(stack, action):
    """Let go who waits, and wait for the end of the scale-in."""
    for server in stack.pending():
        stack.let_go(server)
    tenant.wait_for('the scale-in to be over', lambda: stack.is_over(action))


def wait_for_update_to_wait(stack):
    """Until the update has looked at the cluster and found it busy."""
    tenant.wait_for('the update of the hook', lambda: (
        stack.resource('hook').resource_status == 'UPDATE_IN_PROGRESS'))
    # It looks every three seconds.
    time.sleep(4)
    assert 'UPDATE_IN_PROGRESS' == stack.status()


def messages(stack):
    """Tokens of the messages that a guest of this stack would read."""
    queue = stack.agent_config()['queue']
    found = requests.get(queue['url'], timeout=30, headers={
        'Client-ID': str(uuid.uuid4()),
        'URL-Expires': queue['expires'],
        'URL-Methods': ','.join(queue['methods']),
        'URL-Paths': ','.join(queue['paths']),
        'URL-Signature': queue['signature'],
        'X-Project-Id': queue['project_id'],
    }).json()['messages']
    return {message['body']['lifecycle_action_token'] for message in found}


def test_new_values_replace_the_old_ones_in_place(project, stack):
    """A cluster without hook for a moment, or new user data: new servers."""
    hook = stack.resource('hook').physical_resource_id
    config = stack.resource('hook').attributes['agent_config']
    servers = project.servers()
    [old] = stack.bindings()

    seen = [{old}]
    stack.update(wait=False, drain_timeout=110, criteria='YOUNGEST_FIRST')
    tenant.wait_for('the update', lambda: (
        seen.append(stack.bindings())
        or stack.status() == 'UPDATE_COMPLETE'))

    [(new, properties)] = stack.policies().items()
    assert [{old}, {old, new}, {new}] == [
        bindings for bindings, _again in itertools.groupby(seen)]
    assert 110 == properties['hooks']['timeout']
    assert 'YOUNGEST_FIRST' == properties['criteria']
    attributes = stack.resource('hook').attributes
    assert new == attributes['policy_id']
    assert config == attributes['agent_config']
    assert hook == stack.resource('hook').physical_resource_id
    assert servers == project.servers()


def test_update_waits_for_a_running_drain(project, stack):
    """The update would cut the drain, or fail on Senlin's lock."""
    before = stack.policies()
    [old] = stack.bindings()

    action, server = drain_one(stack)
    assert 110 == stack.hook_of(action)['timeout']
    [token] = stack.pending().values()
    stack.update(wait=False, drain_timeout=120)
    wait_for_update_to_wait(stack)

    assert {old} == stack.bindings()
    assert before[old] == stack.policies()[old]
    assert {server: token} == stack.pending()
    assert 'ACTIVE' == project.servers()[server]

    answer(stack, action)
    stack.wait('UPDATE_COMPLETE')
    [new] = stack.policies()
    assert {new} == stack.bindings()
    # A scale-in that comes when the old hook is gone.
    action, _server = drain_one(stack)
    assert 120 == stack.hook_of(action)['timeout']
    answer(stack, action)


def test_update_that_died_halfway_can_be_taken_back(local, project, stack):
    """A scale-in between two steps would find no hook, or one too many."""
    [old] = stack.bindings()
    before = stack.policies()

    stack.update(wait=False, drain_timeout=130)
    tenant.wait_for('both hooks', lambda: len(stack.bindings()) == 2)
    local.kill('heat')
    local.start('heat')
    # Nobody takes the next step, and here comes the scale-in.
    action, server = drain_one(stack)
    assert 2 == len(stack.bindings())
    assert stack.hook_of(action)['timeout'] in (120, 130)
    stack.update(wait=False, drain_timeout=120)
    wait_for_update_to_wait(stack)

    assert [server] == list(stack.pending())
    assert 'ACTIVE' == project.servers()[server]

    answer(stack, action)
    stack.wait('UPDATE_COMPLETE')
    assert {old} == stack.bindings()
    assert before == stack.policies()


def test_refused_update_leaves_the_old_values(stack):
    """A typing error would take the hook off."""
    bindings, policies = stack.bindings(), stack.policies()

    with pytest.raises(heat_exceptions.HTTPBadRequest) as refusal:
        stack.update(drain_timeout=600)
    assert ('hook: "timeout", 600 seconds, is not below 600 seconds, the '
            'timeout of the stack' in str(refusal.value))
    stack.update(wait=False, timeout_mins=120, drain_timeout=3600)
    stack.wait('UPDATE_FAILED')
    assert ('hook: "timeout", 3600 seconds, is not below 3600 seconds, the '
            'timeout of cluster %s' % stack.cluster_id in stack.why())

    assert bindings == stack.bindings()
    assert policies == stack.policies()

    stack.update(timeout_mins=10, drain_timeout=120)
    assert bindings == stack.bindings()
    assert policies == stack.policies()


def test_two_hooks_share_a_queue(project, stacks, stack, engine_log):
    """The drains of one application would be ended by another one."""
    sharing = stacks['sharing']
    queue = sharing.agent_config()['queue']['name']
    hook = stack.resource('hook').physical_resource_id
    cluster = stack.cluster_id
    members = stack.members()
    assert project.queue_exists(hook)

    # Another queue is another hook, and the cluster is handed over to it.
    stack.update(queue=queue)

    assert cluster == stack.cluster_id
    assert members == stack.members()
    assert hook != stack.resource('hook').physical_resource_id
    assert stack.bindings() <= set(stack.policies())
    assert 1 == len(stack.bindings())
    assert not project.queue_exists(hook)
    assert not list(project.connection.clustering.policies(name=hook))

    action, server = drain_one(stack)
    _action, other = drain_one(sharing)
    assert queue == stack.hook_of(action)['params']['queue']
    [token] = stack.pending().values()
    [others] = sharing.pending().values()
    assert {token, others} <= messages(stack)
    assert messages(stack) == messages(sharing)
    for signaller, foreign in ((stack, others), (sharing, token)):
        signaller.signal({'lifecycle_action_token': foreign})
    tenant.wait_for('both refusals', lambda: (
        engine_log().count('belongs to no cluster with this hook') >= 2))

    assert {server: token} == stack.pending()
    assert {other: others} == sharing.pending()
    stack.let_go(server)
    assert 'ACTIVE' == project.servers()[other]
    assert {other: others} == sharing.pending()

    sharing.let_go(other)
    sharing.start_delete()
    tenant.wait_for('the stack to be gone', sharing.is_gone)
    assert project.queue_exists(queue)
