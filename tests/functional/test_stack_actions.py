# SPDX-License-Identifier: Apache-2.0

"""What else can be done with a stack: check, suspend, abandon, adopt."""

from heatclient import exc as heat_exceptions
import pytest

from tests.functional import tenant

pytestmark = tenant.needs_senlin


@pytest.fixture(scope='module')
def stacks(project):
    """All stacks of this module, made at the same time."""
    made = {
        'stack': project.create_silent(size=2, drain_timeout=100, wait=False),
        'failing': project.create_silent(size=2, drain_timeout=40,
                                         wait=False),
        'abandoned': project.create_silent(size=1, wait=False),
    }
    for stack in made.values():
        stack.wait('CREATE_COMPLETE')
    return made


@pytest.fixture
def stack(stacks):
    return stacks['stack']


@pytest.fixture(scope='module')
def failing(stacks):
    """A stack whose deletion waits for two drains but has no time for them.

    It gives up ten seconds before the minute of the stack is over, in the
    middle of the second drain.
    """
    stack = stacks['failing']
    # The drain of the first server begins in this state ...
    stack.update(timeout_mins=1)
    stack.scale_in()
    tenant.wait_for('the first drain', stack.pending)
    # ... and the one of the second has to wait for it.
    stack.start_delete()
    return stack


def test_pending_is_readable_during_a_delete(stack, failing):
    """An operator could not see what a deletion waits for."""
    tenant.wait_for('the deletion to begin', lambda: (
        failing.resource('drained').resource_status == 'DELETE_IN_PROGRESS'))

    assert 1 == len(failing.pending())
    assert 'DELETE_IN_PROGRESS' == failing.status()


def test_healthy_stack_passes_its_check(stack):
    """A check that cries wolf makes Heat replace what is in order."""
    assert stack.check() is None

    for name in ('hook', 'drained'):
        assert 'CHECK_COMPLETE' == stack.resource(name).resource_status


def test_pending_is_readable_after_a_failed_delete(project, failing):
    """An operator could not see why a deletion has failed."""
    failing.wait('DELETE_FAILED')

    [server] = failing.pending()
    assert 'ACTIVE' == project.servers()[server]
    assert ('This has taken the 60 seconds of the stack timeout'
            in failing.why())

    failing.let_go(server)
    failing.start_delete()
    tenant.wait_for('the stack to be gone', failing.is_gone)


def test_suspended_stack_still_hears_its_guests(project, stack):
    """Senlin goes on shrinking, and every drain would run into its end."""
    stack.suspend()
    action = stack.scale_in()
    [server] = tenant.wait_for('the drain', stack.pending)
    assert 'SUSPEND_COMPLETE' == stack.status()
    stack.let_go(server)
    tenant.wait_for('the scale-in to be over', lambda: stack.is_over(action))

    stack.resume()
    action = stack.scale_in()
    [server] = tenant.wait_for('the drain', stack.pending)
    stack.let_go(server)
    tenant.wait_for('the scale-in to be over', lambda: stack.is_over(action))
    assert [] == stack.cluster().node_ids


def test_abandoned_stack_cannot_be_adopted(project, stacks):
    """An adoption that fails halfway takes the cluster along, undrained."""
    senlin = project.connection.clustering
    stack = stacks['abandoned']
    hook = stack.resource('hook').physical_resource_id
    cluster = stack.cluster_id
    profile = stack.resource('profile').physical_resource_id
    [server] = stack.members()
    policies = stack.bindings()

    def left():
        return (project.servers().get(server), stack.bindings(cluster),
                project.queue_exists(hook), senlin.find_policy(hook).id)

    before = left()
    document = stack.abandon()
    assert before == left()

    with pytest.raises(heat_exceptions.HTTPBadRequest) as refusal:
        project.adopt_stack(document)
    assert 'hook: a hook cannot be adopted' in str(refusal.value)
    assert before == left()

    # Nobody else will.
    senlin.delete_cluster(cluster)
    tenant.wait_for('the deletion', lambda: (
        senlin.find_cluster(cluster) is None))
    for policy in policies:
        senlin.delete_policy(policy)
    senlin.delete_profile(profile)
    project.delete_queue(hook)
