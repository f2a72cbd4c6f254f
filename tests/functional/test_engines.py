# SPDX-License-Identifier: Apache-2.0

"""Heat as on a site: several engines with RabbitMQ between them."""

from concurrent import futures
import contextlib
import uuid

from heatclient import exc as heat_exceptions
import psutil
import pytest
import requests

from sandbox import cloud
from sandbox.services import mariadb
from sandbox.services import rabbitmq
from tests.functional import tenant


pytestmark = [
    pytest.mark.skipif(
        cloud.Cloud().heat_engines < 2,
        reason='Heat is one process here; start the local cloud with '
               'SANDBOX_HEAT_ENGINES=3'),
    pytest.mark.skipif(rabbitmq.program() is None,
                       reason='RabbitMQ is not installed'),
    pytest.mark.skipif(
        cloud.Cloud().profile == cloud.PRODUCTION
        and not mariadb.is_installed(), reason='MariaDB is not installed')]


@pytest.fixture(scope='module')
def engines(local):
    """Return the names of Heat's engines."""
    return [name for name in local.services if 'heat-engine' in name]


@pytest.fixture
def log_of(local, engines):
    """What an engine has logged since the test began."""
    begins = {engine: local.processes.log(engine).stat().st_size
              for engine in engines}

    def read(engine):
        with local.processes.log(engine).open('rb') as stream:
            stream.seek(begins[engine])
            return stream.read().decode('utf-8', 'replace')
    return read


@contextlib.contextmanager
def killed(local, *services):
    """What is done while these are away."""
    for service in services:
        local.kill(service)
    try:
        yield
    finally:
        for service in services:
            local.start(service)


def wait_for_servers(stack, status):
    """Wait until Heat makes or deletes one of the servers."""
    tenant.wait_for(status, lambda: status in {
        resource.resource_status
        for resource in stack.resources('OS::Nova::Server')})


def wait_for_rest(stack):
    """Wait for the end of a step, though the engine that is asked may die."""
    def is_at_rest():
        with contextlib.suppress(heat_exceptions.HTTPInternalServerError):
            return stack.is_at_rest()
    tenant.wait_for('the group to be at rest', is_at_rest)


def kill_workers(local, engine):
    """Kill what an engine has forked, and wait until it has forked anew."""
    launcher = psutil.Process(local.processes.pid(engine))
    before = launcher.children()
    assert before, 'the engine forks no workers'
    for worker in before:
        worker.kill()
    # One that has died stays a child until its launcher looks.
    tenant.wait_for('new workers', lambda: len(
        set(launcher.children()) - set(before)) >= len(before))
    tenant.wait_for('the engine', local.services[engine].check)


def drains_asked(project, stack):
    """Return {(server, token)} of the messages on the queue.

    An engine that dies between a message and its note makes two of one, and
    an agent takes a token once.
    """
    return {(message['resource_id'], message['lifecycle_action_token'])
            for message in project.messages(
                stack.resource('hook').physical_resource_id)}


def test_engines_share_the_signals_of_one_hook(project, engines, log_of):
    """The other tests would be about one engine, with others idle beside."""
    stack = project.create_silent(size=0)
    url = stack.agent_config()['signal_url']

    with futures.ThreadPoolExecutor(10) as pool:
        assert {200} == set(pool.map(
            lambda _number: stack.signal(
                {'lifecycle_action_token': str(uuid.uuid4())},
                url).status_code, range(40)))

    tenant.wait_for('the refusals', lambda: 40 == sum(
        log_of(engine).count('signal refused') for engine in engines))
    assert all('signal refused' in log_of(engine) for engine in engines)


@tenant.needs_senlin
def test_drain_goes_on_when_its_engine_dies(local, project, engines, log_of):
    """Servers would go undrained, or the stack could never be deleted."""
    stack = project.create_gated(size=2)
    first, second = stack.members()

    stack.start_delete()
    tokens = stack.wait_for_drains(2)
    tenant.wait_for('both handlers', lambda: (
        project.is_draining(first) and project.is_draining(second)))
    [holder] = [engine for engine in engines
                if 'remove_every_node is action' in log_of(engine)]
    with killed(local, holder):
        # It is Senlin that waits, and any engine hears the guest.
        project.release(first)
        tenant.wait_for('the deletion', lambda: first not in project.servers())
        assert 'ACTIVE' == project.servers()[second]

        # No engine takes the stack over by itself: that is for a second
        # deletion, which waits for the same drain.
        assert 'DELETE_IN_PROGRESS' == stack.status()
        stack.start_delete()
        stack.wait_for_guards(2, lambda: ''.join(map(log_of, engines)))
        assert 'ACTIVE' == project.servers()[second]
        assert {second: tokens[second]} == stack.pending()

        project.release(second)
        tenant.wait_for('the stack to be gone', stack.is_gone)
        assert not {first, second} & set(project.servers())


def test_drain_outlives_rabbitmq(local, project, engines):
    """A broker that is restarted would cost sessions, or stop Heat."""
    stack = project.create_gated(size=1)
    [server] = stack.members()

    stack.start_delete()
    tenant.wait_for('the drain', lambda: project.is_draining(server))
    with killed(local, 'rabbitmq'):
        project.release(server)
        # Its API has no engine to hand the signal to.
        tenant.wait_for('the agent to fail', lambda: (
            'warning signal' in project.agent_log(server)))
        assert 'ACTIVE' == project.servers()[server]

    tenant.wait_for('the stack to be gone', stack.is_gone)
    assert server not in project.servers()


@tenant.needs_none
def test_group_hears_its_guests_whichever_engine_dies(local, project, engines):
    """A group would depend on the engine that has begun a drain."""
    stack = project.create_silent(size=len(engines) + 2, drain_timeout=240,
                                  min_size=1)
    begun = {}
    for number in range(1, len(engines) + 1):
        stack.scale_in()
        begun = stack.wait_for_drains(number)
    for engine, server in zip(engines, begun):
        with killed(local, engine):
            assert 'ACTIVE' == project.servers()[server]
            stack.let_go(server)
            tenant.wait_for('the group to know', lambda: (
                server not in stack.members()))
    assert 2 == stack.capacity()
    assert drains_asked(project, stack) == set(begun.items())


@tenant.needs_none
def test_group_goes_on_with_workers_that_are_forked_later(local, project,
                                                          engines, log_of):
    """A worker would wait in vain for what it asks of other engines."""
    stack = project.create_silent(size=3, drain_timeout=240, min_size=1)
    stack.scale_in(2)
    (first, token), (second, other) = stack.wait_for_drains(2).items()
    assert stack.signal({'lifecycle_action_token': token}).ok
    tenant.wait_for('the deletion', lambda: first not in project.servers())

    for engine in engines:
        kill_workers(local, engine)
    assert stack.signal({'lifecycle_action_token': other}).ok
    tenant.wait_for('the deletion', lambda: second not in project.servers())
    wait_for_rest(stack)
    stack.scale_out()
    tenant.wait_for('a new server', lambda: 2 == stack.capacity())
    assert not [engine for engine in engines
                if 'MessagingTimeout' in log_of(engine)]


@pytest.mark.parametrize('waiter_dies', [False, True])
@tenant.needs_none
def test_group_removes_though_engines_die_in_its_step(
        local, project, engines, log_of, waiter_dies):
    """It would be deaf, and servers stay, until the stack's timeout."""
    stack = project.create_silent(size=2, drain_timeout=240, min_size=1)
    stack.scale_in()
    [(server, token)] = stack.wait_for_drains(1).items()
    assert stack.signal({'lifecycle_action_token': token}).ok
    wait_for_servers(stack, 'DELETE_IN_PROGRESS')
    [waiter] = [engine for engine in engines
                if 'group: to remove: ' in log_of(engine)]

    with killed(local, *(engine for engine in engines
                         if (engine == waiter) == waiter_dies)):
        tenant.wait_for('the deletion', lambda: (
            server not in project.servers()))
        wait_for_rest(stack)
        assert server not in stack.members()
    assert 1 == stack.capacity()
    assert drains_asked(project, stack) == {(server, token)}


@tenant.needs_none
def test_group_grows_though_engines_die_in_its_step(local, project, engines,
                                                    log_of):
    """What an alarm has asked for would come after the stack's timeout."""
    stack = project.create_silent(size=1)
    [server] = stack.members()
    stack.scale_out()
    wait_for_servers(stack, 'CREATE_IN_PROGRESS')
    [waiter] = [engine for engine in engines
                if 'scale_out alarm, adjusting group' in log_of(engine)]

    with killed(local, *(engine for engine in engines if engine != waiter)):
        wait_for_rest(stack)
        assert 2 == stack.capacity()
    members = stack.members()
    assert 2 == len(members) and server in members
    assert sorted(members) == sorted(stack.output('servers'))
    assert ['ACTIVE'] * 2 == [project.servers()[id] for id in members]


@tenant.needs_none
def test_group_that_many_engines_scale_at_once(project, engines):
    """A server would drain twice, or a group fall below its minimum."""
    stack = project.create_silent(size=4, drain_timeout=240, min_size=1)
    url = stack.output('scale_in_url')

    with futures.ThreadPoolExecutor(9) as pool:
        assert {200} == set(pool.map(
            lambda _number: requests.post(url, timeout=60).status_code,
            range(9)))
    # More than one may have found the group at work for 15 s.
    for _attempt in range(3):
        if len(stack.pending()) < 3:
            stack.scale_in()
    drains = stack.wait_for_drains(3)
    assert 1 == stack.capacity()
    assert 3 == len(project.messages(
        stack.resource('hook').physical_resource_id))

    with futures.ThreadPoolExecutor(9) as pool:
        assert {200} == set(pool.map(
            lambda token: stack.signal(
                {'lifecycle_action_token': token}).status_code,
            3 * sorted(drains.values())))
    tenant.wait_for('the deletions', lambda: (
        drains.keys().isdisjoint(project.servers())))
    tenant.wait_for('the group to know', lambda: 1 == len(stack.members()))
    assert 1 == stack.capacity()
