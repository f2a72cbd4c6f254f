# SPDX-License-Identifier: Apache-2.0

"""What cannot work is refused, in one sentence that says what to do.

Each stack that is made all the same can be deleted, and leaves nothing.
"""

from heatclient import exc as heat_exceptions
import pytest

from tests.functional import tenant


@pytest.fixture(scope='module')
def empty(project):
    """A guarded cluster without members."""
    return project.create_silent(size=0, drain_timeout=60)


def template(**resources):
    return {'heat_template_version': 'wallaby', 'resources': resources}


def hook(**properties):
    return {'type': 'OS::Hooks::LifecycleHook', 'properties': properties}


def condition(**properties):
    return {'type': 'OS::Hooks::DrainWaitCondition',
            'properties': properties}


def refusal(project, body, **options):
    """Return why a template is refused, before or while it is created."""
    try:
        stack = project.create_stack(body, wait=False, **options)
    except heat_exceptions.HTTPBadRequest as error:
        return str(error)
    reason = stack.failure('CREATE')
    stack.start_delete()
    tenant.wait_for('the stack to be gone', stack.is_gone)
    return reason


@pytest.fixture
def nothing_new(project):
    """Fail the test if it leaves a policy or a queue behind."""
    before = project.policies(), project.queues()
    yield
    assert before == (project.policies(), project.queues())


@pytest.mark.core
@pytest.mark.parametrize('given, said', [
    ({}, 'neither "cluster" nor "server" is given; give one'),
    ({'cluster': 'one', 'server': 'two'},
     'both "cluster" and "server" are given; give one'),
])
def test_condition_needs_one_thing_to_guard(project, given, said):
    """A condition that guards nothing would look healthy."""
    assert 'guard: %s.' % said in refusal(project, template(
        guard=condition(hook='any', **given)))


@pytest.mark.core
@pytest.mark.parametrize('name, said', [
    ('no spaces', '"no spaces" does not match pattern'),
    ('ü', '"ü" does not match pattern'),
    ('x' * 65, 'length (65) is out of range'),
])
def test_queue_name_that_zaqar_does_not_take(project, name, said):
    """The first drain would fail, long after the creation."""
    reason = refusal(project, template(hook=hook(queue=name)))

    assert 'resources.hook.properties.queue' in reason
    assert said in reason


@pytest.mark.core
def test_hook_longer_than_the_stack(project):
    """Heat would end the deletion in the middle of a drain."""
    reason = refusal(project, template(hook=hook(timeout=60)),
                     timeout_mins=1)

    assert ('hook: "timeout", 60 seconds, is not below 60 seconds, the '
            'timeout of the stack' in reason)
    assert '"--timeout" (in minutes)' in reason


@tenant.needs_senlin
def test_hook_longer_than_its_cluster(project, nothing_new):
    """Senlin would end every drain with the server alive."""
    body = tenant.read(tenant.TEMPLATES / 'silent_cluster.yaml')
    body['resources']['cluster']['properties']['timeout'] = 60

    reason = refusal(project, body, size=0, drain_timeout=60)

    assert ('drained: the timeout of the hook, 60 seconds, is not below 60 '
            'seconds, the timeout of cluster ' in reason)
    assert 'give the cluster a longer one' in reason


@tenant.needs_senlin
def test_heat_without_senlin_types(project, nothing_new):
    """A stack without a cluster would look healthy."""
    reason = refusal(
        project, tenant.TEMPLATES / 'silent_cluster.yaml', size=1,
        drain_timeout=60, environments=[tenant.TEMPLATES / 'no_senlin.yaml'])

    assert 'drained: Senlin knows no cluster "' in reason
    assert 'From Heat 23.0.0 on OS::Senlin::Cluster reports' in reason
    assert 'guard clusters with Heat 22 or older.' in reason


@tenant.needs_senlin
def test_hook_that_is_none(project, empty, nothing_new):
    """A cluster without a hook would look guarded."""
    # A policy that deletes, but tells nobody.
    plain = project.connection.clustering.create_policy(
        name='plain', spec={'type': 'senlin.policy.deletion',
                            'version': '1.1', 'properties': {}})
    try:
        for name in ('nonsense', 'plain', plain.id):
            reason = refusal(project, template(
                guard=condition(hook=name, cluster=empty.cluster_id)))
            assert ('guard: "hook" is not an OS::Hooks::LifecycleHook: Senlin '
                    'knows no deletion policy with a Zaqar hook by the name '
                    '"%s"; give the hook by get_resource.' % name in reason)
    finally:
        project.connection.clustering.delete_policy(plain)


def test_server_with_a_hook_that_is_none(project, nothing_new):
    """A server without a hook would look guarded."""
    reason = refusal(project, template(
        guard=condition(hook='nonsense', server='two')))

    assert ('guard: "hook" is not an OS::Hooks::LifecycleHook of this '
            'project' in reason)
    assert '"nonsense"; give the hook by get_resource' in reason


@tenant.needs_none
def test_cluster_without_senlin(project, nothing_new):
    """A cluster that is none would look guarded."""
    reason = refusal(project, template(
        hook=hook(timeout=60),
        guard=condition(hook={'get_resource': 'hook'}, cluster='web')))

    assert 'guard: Heat has no clusters of Senlin' in reason
    assert 'use an OS::Hooks::AutoScalingGroup instead' in reason


@tenant.needs_senlin
def test_cluster_that_has_a_deletion_policy(project, empty, nothing_new):
    """Senlin takes one, and it would not be the hook."""
    [policy] = project.policies(empty.resource('hook').physical_resource_id)

    reason = refusal(project, template(
        hook=hook(timeout=60),
        guard=condition(hook={'get_resource': 'hook'},
                        cluster=empty.cluster_id)))

    assert ('guard: cluster %s has another deletion policy, %s, and Senlin '
            'allows one; take it off with "openstack cluster policy detach".'
            % (empty.cluster_id, policy.id) in reason)
    # The other hook is where it was.
    assert empty.check() is None
