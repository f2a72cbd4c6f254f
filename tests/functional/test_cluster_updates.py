# SPDX-License-Identifier: Apache-2.0

"""A cluster of our own type is updated: no running server notices.

The tests share a stack, and each of them leaves it as it may be found.
"""

import time
import uuid

import pytest

from sandbox import clients
from tests.functional import tenant

pytestmark = tenant.needs_senlin

TEMPLATE = tenant.TEMPLATES / 'updated_cluster.yaml'


@pytest.fixture(scope='module')
def image(project):
    """Name of an image that only this module knows."""
    name = project.create_image()
    yield name
    image = project.connection.image
    image.delete_image(image.find_image(name))


@pytest.fixture(scope='module')
def huge(project):
    """Name of a flavor that no host has room for."""
    compute = clients.connect(project.local.cloud, 'sandbox-admin').compute
    flavor = compute.create_flavor(name='huge-' + uuid.uuid4().hex[:8],
                                   ram=1, vcpus=100000, disk=1)
    yield flavor.name
    compute.delete_flavor(flavor)


@pytest.fixture(scope='module')
def stack(project):
    return project.create_stack(TEMPLATE)


def profiles(stack):
    """Return {ID: tag} of the profiles that a stack has made."""
    return {profile.id: profile.metadata.get('tag') for profile in
            stack.project.connection.clustering.profiles()
            if profile.name.startswith(stack.name)}


def left_of(stack, meanwhile=lambda: None):
    """Delete a stack, and return what is left of it in Senlin."""
    clustering = stack.project.connection.clustering
    # The hook and its policy have a name of their own.
    names = stack.name, resource_id(stack, 'hook') or stack.name
    stack.start_delete()
    meanwhile()
    tenant.wait_for('the stack to be gone', stack.is_gone)
    return [thing for thing in (*clustering.profiles(),
                                *clustering.policies(),
                                *clustering.clusters())
            if thing.name.startswith(names)]


def resource_id(stack, name):
    return stack.resource(name).physical_resource_id


def launched(project):
    """Return {server: (image, when it was started)}."""
    return {server.id: (server.image.id, server.launched_at)
            for server in project.connection.compute.servers()}


def start_update(stack, waits=True, **parameters):
    """Begin an update, which has to wait for a drain."""
    stack.update(wait=False, **parameters)
    tenant.wait_for('the update of the cluster', lambda: (
        stack.status_of('cluster') == 'UPDATE_IN_PROGRESS'))
    # It looks every three seconds.
    time.sleep(4)
    assert 'UPDATE_IN_PROGRESS' == stack.status()


def drain_one(stack):
    """Begin a scale-in by one; return its action and its server."""
    action = stack.scale_in()
    [server] = stack.wait_for_drains(1)
    return action, server


def let_everybody_go(stack, number):
    for server in stack.wait_for_drains(number):
        stack.let_go(server)


def grow(stack, count=1):
    action = stack.scale_out(count)
    tenant.wait_for('the scale-out', lambda: stack.is_over(action))


def test_collect_gives_the_servers(stack):
    """A load balancer, or a script, would not find the servers."""
    attributes = stack.resource('cluster').attributes

    assert stack.members() == set(stack.output('servers'))
    assert 1 == len(stack.members())
    assert list(stack.nodes().values())[0].id == attributes['nodes'][0]
    assert (1, 0, -1) == tuple(attributes[name] for name in (
        'desired_capacity', 'min_size', 'max_size'))
    assert {resource_id(stack, 'policy'), *stack.policies()} == set(
        attributes['policies'])
    assert {'tag': 'first'} == attributes['metadata']
    assert stack.check() is None


def test_new_image_is_for_the_servers_that_come_later(project, stack, image):
    """Senlin would rebuild the running servers, with their sessions."""
    before = launched(project)
    [old] = stack.members()
    first = resource_id(stack, 'profile')

    stack.update(image=image, tag='second')
    grow(stack)

    after = launched(project)
    second = resource_id(stack, 'profile')
    [new] = stack.members() - {old}
    assert before[old] == after[old]
    assert before[old][0] != after[new][0]
    assert {first, second} == {
        node.profile_id for node in stack.nodes().values()}
    assert second == stack.cluster().profile_id
    assert {first, second} == set(profiles(stack))

    # The former profile stays as long as a server was made from it.
    stack.update(tag='third')
    assert {first: 'first', second: 'third'} == profiles(stack)
    stack.update(size=0, wait=False)
    let_everybody_go(stack, 2)
    stack.wait('UPDATE_COMPLETE')
    assert {second: 'third'} == profiles(stack)


def test_update_waits_for_a_running_drain(project, stack):
    """The update would cut the drain, or fail on Senlin's lock."""
    stack.update(size=2)
    before = launched(project)
    action, server = drain_one(stack)
    pending = stack.pending()
    [policy] = project.policies(
        project.connection.clustering.get_policy(
            resource_id(stack, 'policy')).name)

    start_update(stack, server_name='second', tag='fourth', cooldown=2,
                 cluster_timeout=1000, max_size=5)

    assert pending == stack.pending()
    assert before == launched(project)
    assert 900 == stack.cluster().timeout

    stack.let_go(server)
    stack.wait('UPDATE_COMPLETE')
    cluster = stack.cluster()
    assert stack.is_over(action)
    assert (1000, 5, {'tag': 'fourth'}, resource_id(stack, 'profile')) == (
        cluster.timeout, cluster.max_size, cluster.metadata,
        cluster.profile_id)
    # What the scale-in has changed stays changed.
    assert 1 == cluster.desired_capacity == len(stack.members())
    assert {resource_id(stack, 'policy'), *stack.policies()} == (
        stack.bindings())
    assert policy.id not in {p.id for p in project.policies()}


def test_smaller_size_drains(project, stack):
    """An update would cut what a scale-in does not."""
    grow(stack)
    servers = stack.members()
    assert 2 == len(servers)
    # Another value than last time, and one more than there are.
    stack.update(size=3)
    assert servers < stack.members()

    start_update(stack, size=1)

    assert 2 == len(stack.pending())
    assert {'ACTIVE'} == {project.servers()[server]
                          for server in stack.pending()}
    let_everybody_go(stack, 2)
    stack.wait('UPDATE_COMPLETE')
    assert 1 == len(stack.members()) == stack.cluster().desired_capacity


def test_other_updates_leave_the_number_to_the_alarms(stack):
    """Each update would undo what the load has asked for."""
    grow(stack)

    stack.update(tag='fifth', max_size=6)

    assert 2 == len(stack.members()) == stack.cluster().desired_capacity
    assert 6 == stack.cluster().max_size


def test_bounds_move_the_number(stack):
    """A bound would be written down and not kept."""
    assert 2 == len(stack.members())

    # The size of the template is the same; the bound alone moves the number.
    start_update(stack, max_size=1)
    let_everybody_go(stack, 1)
    stack.wait('UPDATE_COMPLETE')
    assert 1 == len(stack.members())

    stack.update(min_size=3, size=3, max_size=6)
    assert 3 == len(stack.members())
    stack.update(min_size=0)
    start_update(stack, max_size=2, size=2)
    let_everybody_go(stack, 1)
    stack.wait('UPDATE_COMPLETE')

    cluster = stack.cluster()
    assert (0, 2, 2) == (cluster.min_size, cluster.max_size,
                         cluster.desired_capacity)
    assert 2 == len(stack.members())


def test_guest_can_refuse_a_smaller_size(stack):
    """The update would say that it has done what it has not."""
    start_update(stack, size=1)
    [(server, token)] = stack.pending().items()
    assert stack.signal({'lifecycle_action_token': token,
                         'lifecycle_action_result': 'ROLLBACK'}).ok

    stack.wait('UPDATE_FAILED')

    assert 'a guest answered ROLLBACK' in stack.why()
    assert 2 == len(stack.members())
    tenant.wait_for('the capacity', lambda: (
        stack.cluster().desired_capacity == 2))
    # Asked again, the same size is a new question.
    start_update(stack, size=1)
    let_everybody_go(stack, 1)
    stack.wait('UPDATE_COMPLETE')
    assert 1 == len(stack.members())


def test_update_outlives_a_dead_heat(local, stack):
    """The drain would go on, and the stack would never hear of its end."""
    grow(stack)
    start_update(stack, size=0)
    pending = stack.wait_for_drains(2)

    local.kill('heat')
    local.start('heat')
    start_update(stack, size=0)

    assert pending == stack.pending()
    let_everybody_go(stack, 2)
    stack.wait('UPDATE_COMPLETE')
    assert 0 == len(stack.members()) == stack.cluster().desired_capacity
    stack.update(size=1)


def test_policies_come_and_go(project, stack):
    """A policy would stay on the cluster, or take the hook with it."""
    policy = resource_id(stack, 'policy')
    hooks = set(stack.policies())

    stack.update(has_policy=False)
    assert hooks == stack.bindings()
    stack.update(has_policy=True)
    assert hooks | {policy} == stack.bindings()

    # Somebody takes it off; a check sees it, and an update puts it back.
    project.connection.clustering.detach_policy_from_cluster(
        stack.cluster_id, policy)
    tenant.wait_for('the policy to go', lambda: hooks == stack.bindings())
    assert 'has lost the policies %s' % policy in stack.check()
    stack.update()
    assert hooks | {policy} == stack.bindings()
    assert policy == resource_id(stack, 'policy')


def test_heat_without_senlin_types(project):
    """A stack without a cluster would look healthy."""
    body = tenant.read(TEMPLATE)
    body['resources']['profile']['type'] = 'OS::Senlin::Profile'

    stack = project.create_stack(
        body, wait=False, environments=[tenant.TEMPLATES / 'no_senlin.yaml'])
    reason = stack.failure('CREATE')

    assert 'cluster: Senlin knows no profile "' in reason
    assert 'From Heat 23.0.0 on OS::Senlin::Profile reports' in reason
    assert [] == left_of(stack)


def test_server_that_fails_to_build(project, huge):
    """The stack would wait for a server that never comes, or not say why."""
    stack = project.create_stack(TEMPLATE, wait=False, flavor=huge)
    reason = stack.failure('CREATE')

    assert 'cluster: Senlin ended CLUSTER_CREATE of cluster ' in reason
    # An event ends after 255 characters.
    assert 'Failed in creating server: Server:' in reason
    assert [] == left_of(stack)


def test_update_repairs_what_failed_to_build(stack, huge):
    """The cluster would keep servers in ERROR, and take no update."""
    stack.update(size=1)
    [server] = stack.members()

    stack.update(wait=False, flavor=huge, min_size=2, size=2)
    stack.wait('UPDATE_FAILED')
    assert 'transitioned to failure state ERROR. See' in stack.why()
    assert 'ERROR' == stack.cluster().status
    stack.update(flavor='tiny')

    cluster = stack.cluster()
    assert ('ACTIVE', 2, 2) == (cluster.status, cluster.min_size,
                                cluster.desired_capacity)
    assert server in stack.members()
    assert {'ACTIVE'} == {node.status for node in stack.nodes().values()}
    stack.update(wait=False, min_size=0, size=1)
    let_everybody_go(stack, 1)
    stack.wait('UPDATE_COMPLETE')


@pytest.mark.parametrize('change, said', [
    ({'profile': {'image': 'nonsense'}}, 'No Image found for nonsense'),
    ({'profile': {'imag': 'guest'}}, "Unrecognizable spec item 'imag'"),
    ({'policy': {'event': 'nonsense'}},
     "'nonsense' must be one of the allowed values: CLUSTER_SCALE_IN"),
])
def test_what_senlin_refuses_is_told(project, change, said):
    """The stack would wait for Senlin to become well, and not say why."""
    body = tenant.read(TEMPLATE)
    [(name, properties)] = change.items()
    body['resources'][name]['properties']['properties'].update(properties)

    stack = project.create_stack(body, wait=False)
    reason = stack.failure('CREATE')

    assert '%s: Senlin refuses the %s: ' % (name, name) in reason
    assert said in reason
    assert [] == left_of(stack)


def test_nothing_is_left_of_a_deleted_stack(project, stack):
    """Profiles and policies would pile up in the project."""
    # A profile that a server was made from, and one for the next.
    stack.update(server_name='third')
    [server] = stack.members()
    assert 2 == len(profiles(stack))

    assert [] == left_of(stack, lambda: let_everybody_go(stack, 1))
    assert server not in project.servers()
