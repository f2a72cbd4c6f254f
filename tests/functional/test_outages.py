# SPDX-License-Identifier: Apache-2.0

"""Senlin or Zaqar is missing, down, or answers 500, and comes back."""

import time

from heatclient import exc as heat_exceptions
import pytest

from tests.functional import faults
from tests.functional import tenant

HOOK = tenant.TEMPLATES / 'hook.yaml'
SERVICES = (('clustering', 'messaging') if tenant.WITH_SENLIN else
            ('messaging',))


def test_hook_without_zaqar_is_refused(project):
    """A stack that waits for ever, or fails without saying for what."""
    with faults.missing(project, 'messaging'), pytest.raises(
            heat_exceptions.HTTPBadRequest,
            match='Service zaqar is not available for resource type '
                  'OS::Hooks::LifecycleHook'):
        project.create_stack(HOOK, wait=False)


@pytest.mark.parametrize('service_type', SERVICES)
def test_hook_outlives_outages(project, service_type, engine_log):
    """A restart of a service would fail the stacks that are being made."""
    with faults.front(project, service_type) as front:
        with front.outage():
            stack = project.create_stack(HOOK, wait=False)
        stack.wait('CREATE_COMPLETE')
        name = stack.resource('hook').physical_resource_id
        assert project.queue_exists(name)

        with front.outage():
            stack.update(drain_timeout=50, wait=False)
        stack.wait('UPDATE_COMPLETE')
        if tenant.WITH_SENLIN:
            # Elsewhere the timeout is read at each drain.
            assert [50] == [policy.spec['properties']['hooks']['timeout']
                            for policy in project.policies(name)]

        with front.outage():
            stack.start_delete()
        tenant.wait_for('the stack to be gone', stack.is_gone)

    assert not project.policies(name)
    assert not project.queue_exists(name)
    assert 'Traceback' not in engine_log()


@tenant.needs_senlin
def test_signal_that_met_an_outage_is_acted_on(project, engine_log):
    """The agent was told that all is well, and its server waits for ever."""
    stack = project.create_silent()
    stack.scale_in()
    [(server, token)] = stack.wait_for_drains(1).items()

    with faults.front(project, 'clustering') as front:
        with front.outage():
            assert stack.signal({'lifecycle_action_token': token,
                                 'reason': 'all done'}).ok
        tenant.wait_for('the deletion',
                        lambda: server not in project.servers())

    tenant.wait_for('the event', lambda: any(
        'all done' in event for event in stack.events('hook')))
    assert 'Traceback' not in engine_log()


@tenant.needs_senlin
def test_stack_delete_waits_for_services_that_are_away(project, engine_log):
    """The stack would fail, or its cluster be deleted without a drain."""
    stack = project.create_silent()
    [server] = stack.members()

    # A service that is missing is not waited for, but nothing goes.
    for service_type in SERVICES:
        with faults.missing(project, service_type):
            stack.start_delete()
            reason = stack.failure('DELETE')
        assert 'drained: ' in reason
        assert '%s service' % service_type in reason
        assert 'repeat the operation' in reason
    for name in ('hook', 'cluster', 'profile'):
        assert 'CREATE_COMPLETE' == stack.resource(name).resource_status

    log = len(engine_log())
    with (faults.front(project, 'clustering') as senlin,
          faults.front(project, 'messaging') as zaqar):
        with zaqar.outage():
            stack.start_delete()
        [token] = stack.wait_for_drains(1).values()
        with senlin.outage():
            assert 'ACTIVE' == project.servers()[server]
        # The condition polls every three seconds.
        time.sleep(4)
        assert 'ACTIVE' == project.servers()[server]
        assert {server: token} == stack.pending()
        stack.signal({'lifecycle_action_token': token})
        tenant.wait_for('the stack to be gone', stack.is_gone)

    assert server not in project.servers()
    # One drain, not one for each attempt.
    assert 'begun anew' not in engine_log()
    assert 'Traceback' not in engine_log()[log:]
