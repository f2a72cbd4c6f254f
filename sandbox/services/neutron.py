# SPDX-License-Identifier: Apache-2.0

"""Neutron: addresses for servers, out of the loopback range.

Every guest shares the network of this machine, so there is nothing to plug:
the driver in ``sandbox.guests.mechanism`` binds every port.
"""

import sys

from sandbox import bus
from sandbox import cloud
from sandbox import ports
from sandbox import releases
from sandbox.services import base

PORT = ports.NEUTRON


class Service(base.Service):

    name = 'neutron'
    title = 'Neutron'
    ports = {'neutron': PORT}
    databases = ('neutron',)
    endpoints = (base.Endpoint('network', 'neutron', PORT),)

    def files(self):
        return {
            'neutron.conf': cloud.ini({
                'DEFAULT': {
                    'bind_host': self.cloud.address,
                    'bind_port': PORT,
                    'core_plugin': 'ml2',
                    # Heat asks for the floating IP addresses of a server, as
                    # its attribute "addresses" has them too, and gives it no
                    # value if there is no API for them.
                    'service_plugins': 'router',
                    'transport_url': 'fake://',
                    'state_path': self.cloud.data(self.name),
                    'api_paste_config': cloud.packaged('neutron',
                                                       'api-paste.ini'),
                    # One, since 0 is refused; the others run inside it.
                    'api_workers': 1,
                    'rpc_workers': 0,
                    'rpc_state_report_workers': 0,
                    # It serves so many connections and then nobody, and
                    # Senlin leaves one open for every node that it touches.
                    'wsgi_keep_alive': False,
                    # Who waits for one of the connections to the database
                    # waits half a minute and gets an error.
                    'wsgi_default_pool_size': 20,
                    'notify_nova_on_port_status_changes': False,
                    'notify_nova_on_port_data_changes': False,
                },
                'database': base.database_options(self.cloud, 'neutron'),
                'keystone_authtoken': self.cloud.authtoken(self.name),
                'oslo_concurrency': {
                    'lock_path': self.cloud.data(self.name) / 'locks'},
                # The pool of addresses is the limit.
                'quotas': {'quota_port': -1},
                'ml2': {
                    'type_drivers': 'local',
                    'tenant_network_types': 'local',
                    'mechanism_drivers': 'loopback',
                    'extension_drivers': '',
                },
            }),
            **base.distribution('sandbox_ml2', {
                'neutron.ml2.mechanism_drivers': {
                    'loopback': 'sandbox.guests.mechanism:'
                                'LoopbackMechanismDriver'}}),
        }

    def migrations(self):
        return [[*self.command(), 'upgrade', 'heads']]

    def command(self):
        return [*super().command(), '--config-file', self.conf()]

    def environment(self):
        return {'PYTHONPATH': '%s:%s' % (
            cloud.REPO, self.cloud.etc / self.name / 'path')}


def sync_database():
    """Run Neutron's own migration.

    One step of 2025.2 has MySQL tell capital letters in tags from small ones,
    by statements that PostgreSQL refuses. It tells them anyway.
    """
    from alembic import op
    from neutron.db.migration import cli

    execute = op.execute
    op.execute = lambda statement, **options: (
        None if 'CHARACTER SET' in str(statement)
        else execute(statement, **options))
    cli.main()


def main():
    if 'upgrade' in sys.argv:
        return sync_database()

    if releases.on_threads():
        from neutron import server
        from neutron.server import api
    else:
        from neutron.cmd.eventlet import server

    from neutron.db.migration.models import head  # noqa: F401, all models
    import sqlalchemy.orm

    # Otherwise the first request after a start may list ports before
    # SQLAlchemy has given them their backward references: "type object
    # 'Port' has no attribute 'port_forwardings'".
    sqlalchemy.orm.configure_mappers()
    bus.prepare()
    if releases.on_threads():
        # As many as may wait for a connection to the database, see above.
        base.serve_wsgi(server.boot_server(api.api_server), PORT, threads=20)
    else:
        server.main()


if __name__ == '__main__':
    main()
