# SPDX-License-Identifier: Apache-2.0

"""Clients of a load balancer do not notice that the cluster changes.

The load balancer is Octavia's, with a real HAProxy; the servers are nginx.
"""

import asyncio
import random

import psutil
import requests

from sandbox import bootstrap
from tests.functional import tenant
from tests.functional import test_real_servers as real_servers
from tests import programs

pytestmark = tenant.needs_senlin

State = real_servers.State

# As the example has it.
PORT = 80

# A download lasts 16 to 24 seconds, so that it outlasts the time in which the
# load balancer sees the health check fail. The buffers of two connections hold
# up to 10 MiB of it, which nginx has nothing to do with any more.
FILE_SIZE = 40 * 1024 * 1024
CHUNK_SECONDS = (0.025, 0.0375)

# Seconds in which somebody reads a page.
THINK = (0.05, 0.15)


class Download(real_servers.Download):
    """A download by a slow client, through the load balancer."""

    port = PORT
    chunk_seconds = CHUNK_SECONDS


class Page:
    """One small page, on a connection of its own."""

    def __init__(self, address):
        self.address = address
        self.state = State.NEW
        self.problem = ''

    async def run(self):
        writer = None
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(self.address, PORT),
                real_servers.client.SILENCE)
            writer.write(b'GET / HTTP/1.1\r\nHost: example\r\n'
                         b'Connection: close\r\n\r\n')
            answer = await asyncio.wait_for(
                reader.read(), real_servers.client.SILENCE)
            if not (answer.startswith(b'HTTP/1.1 200 ')
                    and b'served by' in answer):
                raise ValueError('not the page: %r' % answer)
            self.state = State.FINISHED
        except (OSError, EOFError, ValueError,
                asyncio.TimeoutError) as error:
            self.problem = repr(error)
            self.state = State.CUT
        finally:
            if writer:
                writer.close()
        await asyncio.sleep(random.uniform(*THINK))


class Balanced:
    """A stack of the example, as its clients and its owner see it."""

    def __init__(self, project):
        self._project = project
        self._octavia = project.connection.load_balancer
        [subnet] = project.connection.network.subnets(
            name=bootstrap.NETWORK)
        self.stack = project.create_stack(
            real_servers.EXAMPLES / 'web_behind_load_balancer.yaml',
            environments=[tenant.MANUAL], max_size=3, image=bootstrap.IMAGE,
            flavor=bootstrap.FLAVOR, network=bootstrap.NETWORK,
            subnet=subnet.id)
        self.url = self.stack.output('url')
        self.address = self.url.split('/')[2]
        self._pool = self.stack.output('pool_id')

    def answers(self):
        try:
            return requests.get(self.url, timeout=tenant.PATIENCE).ok
        except requests.ConnectionError:
            return False

    def scale(self, direction):
        requests.post(self.stack.output('scale_%s_url' % direction),
                      timeout=tenant.PATIENCE).raise_for_status()

    def members(self):
        """Return {address: operating status} of the pool."""
        return {member.address: member.operating_status
                for member in self._octavia.members(self._pool)}

    def wait_for_members(self, number):
        """Wait until so many servers take clients, and no other is there."""
        tenant.wait_for('%d members' % number, lambda: (
            list(self.members().values()) == ['ONLINE'] * number))

    def addresses(self):
        return self.stack.addresses()

    def publish(self, content):
        """Put a file to download on every server."""
        for server in self.addresses():
            (self._project.guest(server) / 'var/www/html/download'
             ).write_bytes(content)

    def wait_for_health_check_to_fail(self):
        """Return the (server, address) that drains, while it still serves."""
        addresses = self.addresses()
        server = tenant.wait_for('the drain', lambda: [
            server for server in addresses
            if (self._project.guest(server) / 'run/draining').exists()])[0]
        tenant.wait_for(
            'the load balancer to see it',
            lambda: self.members().get(addresses[server]) == 'ERROR')
        return server, addresses[server]

    def is_there(self, server):
        return server in self._project.servers()


def open_connections(address):
    """Number of connections that a server has not finished.

    As psutil has them from the kernel: "ss" is not on every machine.
    """
    return sum(connection.laddr == (address, real_servers.NGINX_PORT)
               and connection.status in (psutil.CONN_ESTABLISHED,
                                         psutil.CONN_FIN_WAIT1)
               for connection in psutil.net_connections('tcp4'))


def test_clients_do_not_notice_that_the_cluster_changes(project):
    """Behind a load balancer a scale-in would still fail requests."""
    programs.needs('nginx')
    programs.needs('haproxy')
    content = random.randbytes(FILE_SIZE)
    web = Balanced(project)
    tenant.wait_for('the first page', web.answers)
    readers = real_servers.Load([web.address], Page)

    web.scale('out')
    web.wait_for_members(2)

    web.publish(content)
    downloads = real_servers.Load(
        [web.address], lambda address: Download(address, content))
    for address in web.addresses().values():
        tenant.wait_for('a download from ' + address,
                        lambda: open_connections(address))
    web.scale('in')
    server, address = web.wait_for_health_check_to_fail()
    # nginx has closed its door, and serves who is inside.
    tenant.wait_for('nginx to be told',
                    lambda: real_servers.refuses(address))
    inside = open_connections(address)
    # Senlin takes it out of the pool with the deletion, not before.
    assert web.is_there(server)
    assert address in web.members()
    tenant.wait_for('the deletion', lambda: not web.is_there(server))
    web.wait_for_members(1)
    assert address not in web.members()
    for load in (downloads, readers):
        load.finish()

    assert inside
    assert [] == downloads.problems() + readers.problems()
    assert {State.FINISHED} == {
        visit.state for visit in downloads.visits + readers.visits}

    web.stack.start_delete()
    tenant.wait_for('the end of the stack', web.stack.is_gone)
    assert [] == list(project.connection.load_balancer.load_balancers())
    assert [] == list(project.connection.load_balancer.pools())
    assert [] == project.policies()
