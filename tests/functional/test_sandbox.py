# SPDX-License-Identifier: Apache-2.0

"""The local cloud keeps its word: guests, addresses, restarts."""

import base64
from concurrent import futures
import os
import pathlib

import pytest
import requests

from sandbox import bootstrap
from sandbox import clients
from sandbox.services import keystone
from sandbox.services import senlin
from tests.functional import tenant


@pytest.fixture
def server(project):
    """A server with the user data of templates/guest.sh, ACTIVE."""
    compute = project.connection.compute
    server = compute.create_server(
        name='guest-test', image_id=project.connection.image.find_image(
            bootstrap.IMAGE).id,
        flavor_id=compute.find_flavor(bootstrap.FLAVOR).id,
        networks=[{'uuid': project.connection.network.find_network(
            bootstrap.NETWORK).id}],
        user_data=base64.b64encode(
            (tenant.TEMPLATES / 'guest.sh').read_bytes()).decode())
    try:
        yield compute.wait_for_server(server, wait=tenant.PATIENCE)
    finally:
        compute.delete_server(server, ignore_missing=True)
        # The next test counts the servers.
        tenant.wait_for('the deletion',
                        lambda: server.id not in project.servers())


def see(server, name):
    """What the guest serves under a name, '' while it does not answer."""
    address = server.addresses[bootstrap.NETWORK][0]['addr']
    try:
        answer = requests.get('http://%s:8099/%s' % (address, name),
                              timeout=5)
    except requests.RequestException:
        return ''
    return answer.text if answer.ok else ''


def processes_of(server):
    """IDs of the processes on this machine that mention the server."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open('/proc/%s/cmdline' % entry) as stream:
                    if server.id in stream.read():
                        found.append(int(entry))
            except OSError:
                continue
    return found


def test_guest_runs_user_data_and_answers_at_its_address(project, server):
    """A server with nothing inside would drain nothing."""
    tenant.wait_for('the guest to answer', lambda: see(server, 'instance-id'))

    assert server.id == see(server, 'instance-id').strip()
    assert '0' == see(server, 'uid').strip()
    assert 'guest-test' == see(server, 'hostname').strip()


def test_guest_dies_with_its_server(project, server):
    """Sessions would outlive their server, and no cut would be seen."""
    tenant.wait_for('the guest to answer', lambda: see(server, 'boots'))
    assert processes_of(server)

    project.connection.compute.delete_server(server)
    tenant.wait_for('the deletion',
                    lambda: server.id not in project.servers())

    assert not processes_of(server)
    assert not see(server, 'boots')
    assert not project.guest(server.id).exists()


def test_guest_comes_back_after_nova_was_killed(local, project, server):
    """A cloud whose machine crashed would be of no use any more."""
    tenant.wait_for('the guest to answer', lambda: see(server, 'boots'))

    local.kill('nova')
    tenant.wait_for('the end of the guest', lambda: not processes_of(server))
    local.start('nova')

    # The same disk, booted again.
    tenant.wait_for('the guest to answer', lambda: (
        see(server, 'boots').count('boot') == 2))


def test_reboot_restarts_the_guest(project, server):
    """What survives a reboot of a server could not be tested."""
    tenant.wait_for('the guest to answer', lambda: see(server, 'boots'))

    project.connection.compute.reboot_server(server, 'HARD')

    tenant.wait_for('the guest to answer', lambda: (
        see(server, 'boots').count('boot') == 2))


def test_guest_sees_no_secret_of_the_cloud(local, project, server):
    """Whatever runs in a server could log in as administrator."""
    tenant.wait_for('the guest to answer', lambda: see(server, 'boots'))
    outer = processes_of(server)[0]
    with open('/proc/%d/task/%d/children' % (outer, outer)) as stream:
        root = pathlib.Path('/proc', stream.read().split()[0], 'root')

    assert (root / 'var/www/boots').exists()
    for secrets in (local.cloud.state / 'secrets.json',
                    local.cloud.clouds_yaml, local.cloud.conf('keystone')):
        assert secrets.exists()
        assert not (root / secrets.relative_to('/')).exists()


def test_every_service_answers(local):
    """A service that died unnoticed fails tests that are not about it."""
    assert ['running'] * len(local.services) == [
        row['state'] for row in local.status()]


def test_keystone_keeps_its_users_apart(local):
    """Whoever asks at the same time would act in the name of another."""
    sessions = [clients.connect(local.cloud, name).session
                for name in ('sandbox', 'sandbox-other')]
    own = [session.get_project_id() for session in sessions]

    def is_own(number):
        answer = sessions[number % 2].get(
            local.cloud.url(keystone.PORT, '/v3/auth/projects'))
        return own[number % 2] in {
            project['id'] for project in answer.json()['projects']}
    with futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_own, range(200)))


@tenant.needs_senlin
def test_senlin_keeps_no_connection_open(local):
    """Heat leaves its own open, and nobody gets in after a thousand."""
    answer = requests.get(local.cloud.url(senlin.PORT),
                          timeout=tenant.PATIENCE)

    assert 'close' == answer.headers['Connection']
