# SPDX-License-Identifier: Apache-2.0

"""The front door with every environment: started, updated, deleted."""

import pytest
import requests

from sandbox import bootstrap
from sandbox import cloud
from tests.functional import tenant
from tests import programs

ENVIRONMENTS = sorted((cloud.REPO / 'environments').glob('*.yaml'))

SERVER = {'image': bootstrap.IMAGE, 'flavor': bootstrap.FLAVOR,
          'network': bootstrap.NETWORK}


def rules(alarm):
    """Return what an alarm goes by; Aodh changes the rest as it looks."""
    return {key: value for key, value in alarm.items()
            if key.endswith('_rule')}


@pytest.fixture(scope='module')
def stacks(project):
    """A stack of the front door for each environment, all without a server."""
    # What an environment leaves to the user; a source ignores the others'.
    defaults = dict(min_size=0, desired_capacity=0, metric='sessions',
                    metric_resource_id='none', metric_scale_in_threshold=1,
                    metric_scale_out_threshold=2, query='up')
    started = {path.stem: project.create_stack(
        tenant.DOOR, wait=False, environments=(
            [path] if maps_the_alarms(path) else [tenant.MANUAL, path]),
        defaults=defaults, **SERVER, max_size=2, scale_in_threshold=10,
        scale_out_threshold=40) for path in ENVIRONMENTS}
    for stack in started.values():
        stack.wait('CREATE_COMPLETE')
    return started


def maps_the_alarms(path):
    return 'Hooks::ScalingAlarms' in tenant.read(path).get(
        'resource_registry', {})


def test_every_environment_starts_updates_and_is_deleted(project, stacks):
    """A value that can be set once only means a new stack, hence a drain."""
    before = {name: stack.alarms() for name, stack in stacks.items()}
    hooks = {name: stack.resource('hook').physical_resource_id
             for name, stack in stacks.items()}
    names = [stack.name for stack in stacks.values()]
    # Queue and policies of a hook have its name, where there is a hook.
    names += filter(None, hooks.values())

    image = project.create_image()
    for stack in stacks.values():
        stack.update(wait=False, max_size=3, drain_timeout=200, image=image,
                     scale_out_threshold=50, scale_in_threshold=20)
    for name, stack in stacks.items():
        stack.end('UPDATE')
        assert 'UPDATE_COMPLETE' == stack.status(), stack.why()

    for name, stack in stacks.items():
        if tenant.WITH_SENLIN:
            assert 3 == stack.cluster().max_size
            assert 200 + 3600 == stack.cluster().timeout
        after = stack.alarms()
        assert hooks[name] == stack.resource('hook').physical_resource_id
        # The same alarms, with the new thresholds.
        assert ({key: alarm['alarm_id'] for key, alarm in after.items()}
                == {key: alarm['alarm_id']
                    for key, alarm in before[name].items()})
        assert not any(rules(after[key]) == rules(before[name][key])
                       for key in after)
    assert any(before.values())

    for stack in stacks.values():
        stack.start_delete()
    for stack in stacks.values():
        tenant.wait_for('the stack to be gone', stack.is_gone)
    left = {alarm['alarm_id'] for alarm in project.alarms()}
    assert not left & {alarm['alarm_id'] for alarms in before.values()
                       for alarm in alarms.values()}
    assert not project.queues() & set(names)
    assert [] == [thing.name for thing in project.left_in_senlin()
                  if thing.name.startswith(tuple(names))]


def test_minimal_example_drains_when_nobody_is_connected(project):
    """The first thing that a new user starts has to work as it is."""
    stack = project.create_example(
        'minimal', environments=[tenant.MANUAL], **SERVER, max_size=1)
    [server] = stack.members()

    assert 'handler wait_ports: succeeded' in stack.delete_and_read(server)

    assert server not in project.servers()


@tenant.needs_senlin
def test_full_example_serves_and_drains(project):
    """What uses every part at once shows where two do not fit together."""
    programs.needs('haproxy')
    stack = project.create_stack(
        tenant.EXAMPLES / 'full.yaml', environments=[tenant.MANUAL],
        # Neutron refuses a loopback range with DHCP.
        defaults={'dhcp': False}, cidr='127.99.0.0/24', max_size=2,
        image=bootstrap.IMAGE, flavor=bootstrap.FLAVOR,
        # Nobody is there, and nobody is waited for.
        webhooks='http://127.0.0.1:9/')
    [server] = stack.members()
    url = stack.output('url')

    tenant.wait_for('the page', lambda: answers(url))
    assert 'handler 50-nginx: succeeded' in stack.delete_and_read(server)

    assert server not in project.servers()
    assert not answers(url)


def answers(url):
    try:
        return requests.get(url, timeout=tenant.PATIENCE).ok
    except requests.ConnectionError:
        return False


def test_nothing_scales_out_what_is_being_deleted(project):
    """A server that is added behind a drain would be deleted without one."""
    stack = project.create_gated(size=1)
    [server] = stack.members()
    before = set(project.servers())
    url = stack.output('scale_out_url')

    stack.start_delete()
    tenant.wait_for('the drain', lambda: project.is_draining(server))
    answer = requests.post(url, timeout=tenant.PATIENCE)

    # Heat 27 says 500 of a URL whose key has gone.
    assert not answer.ok
    assert {} == stack.alarms()
    assert before == set(project.servers())
    project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)


@tenant.needs_senlin
def test_update_in_the_middle_of_a_drain(project):
    """An update must neither end the drain nor wait for ever behind it."""
    stack = project.create_gated(size=2)
    members = stack.members()
    before = set(project.servers())
    stack.scale_in()
    [victim] = tenant.wait_for('the drain', lambda: [
        server for server in members if project.is_draining(server)])

    stack.update(wait=False, image=project.create_image(), max_size=4,
                 drain_timeout=250)
    tenant.wait_for('the update to begin',
                    lambda: stack.status() == 'UPDATE_IN_PROGRESS')
    assert 'ACTIVE' == project.servers()[victim]
    assert [victim] == list(stack.pending())
    project.release(victim)
    stack.wait('UPDATE_COMPLETE')

    [survivor] = members - {victim}
    assert before - {victim} == set(project.servers())
    # Servers that run are left alone, and the next one is of the new image.
    compute = project.connection.compute
    old = compute.get_server(survivor).image.id
    requests.post(stack.output('scale_out_url'),
                  timeout=tenant.PATIENCE).raise_for_status()
    [newcomer] = tenant.wait_for('the new server', lambda: [
        server for server, status in project.servers().items()
        if server not in before and status == 'ACTIVE'])
    assert old != compute.get_server(newcomer).image.id
    for server in (survivor, newcomer):
        project.release(server)
