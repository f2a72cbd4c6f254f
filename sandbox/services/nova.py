# SPDX-License-Identifier: Apache-2.0

"""Nova: API, conductor, scheduler and compute in one process.

The compute driver is ours, ``sandbox.guests.guest_driver``: Nova's fake driver
plus a guest for every server.
"""

import sys

from sandbox import bus
from sandbox import cloud
from sandbox import intervals
from sandbox import ports
from sandbox import releases
from sandbox.services import base
from sandbox.services import postgres

PORT = ports.NOVA


class Service(base.Service):

    name = 'nova'
    title = 'Nova (API, conductor, scheduler, compute)'
    ports = {'nova': PORT}
    databases = ('nova_api', 'nova_cell0', 'nova')
    endpoints = (base.Endpoint('compute', 'nova', PORT, '/v2.1'),)

    def files(self):
        data = self.cloud.data(self.name)
        credentials = self.cloud.credentials(self.name)
        return {'nova.conf': cloud.ini({
            'DEFAULT': {
                'transport_url': 'fake://',
                'enabled_apis': 'osapi_compute',
                'osapi_compute_listen': self.cloud.address,
                'osapi_compute_listen_port': PORT,
                'my_ip': self.cloud.address,
                'host': 'sandbox',
                'state_path': data,
                # Nova imports "nova.virt." and this; see main().
                'compute_driver': 'guest_driver.GuestDriver',
                'instances_path': data / 'instances',
                # Guests die with Nova; they are started again with it.
                'resume_guests_state_on_host_boot': True,
                'report_interval': intervals.NOVA_SERVICE_REPORT,
                'service_down_time': intervals.NOVA_SERVICE_DOWN,
                'sync_power_state_interval': intervals.NOVA_SYNC_POWER_STATE,
                # Nobody tells Nova that a port is up, and it is up at once.
                'vif_plugging_is_fatal': False,
                'vif_plugging_timeout': 0,
            },
            'api_database': base.database_options(self.cloud, 'nova_api'),
            'database': base.database_options(self.cloud, 'nova'),
            'keystone_authtoken': self.cloud.authtoken(self.name),
            'service_user': dict(credentials, send_service_user_token=True),
            'placement': dict(credentials, valid_interfaces='public'),
            'neutron': dict(credentials, valid_interfaces='public'),
            'glance': {'valid_interfaces': 'public',
                       'region_name': cloud.REGION},
            'cinder': {'catalog_info': 'volumev3::publicURL'},
            'wsgi': {'api_paste_config': cloud.packaged('nova',
                                                        'api-paste.ini'),
                     # See Neutron: here it is the thousandth.
                     'keep_alive': False},
            'oslo_concurrency': {'lock_path': data / 'locks'},
            'quota': {'driver': 'nova.quota.NoopQuotaDriver'},
            'scheduler': {'workers': 1},
            'conductor': {'workers': 1},
            'vnc': {'enabled': False},
            # Options of our driver.
            'sandbox': {'guests': self.cloud.guests,
                        'hidden': self.cloud.state},
        })}

    def migrations(self):
        manage = [cloud.script('nova-manage'), '--config-file', self.conf()]
        yield [*manage, 'api_db', 'sync']
        yield [*manage, 'cell_v2', 'map_cell0', '--database_connection',
               self.cloud.database('nova_cell0')]
        yield [*manage, 'db', 'sync']
        # The only one of these that fails when it has been done before.
        if not postgres.query(
                self.cloud, 'nova_api',
                "SELECT 1 FROM cell_mappings WHERE name = 'cell1'"):
            yield [*manage, 'cell_v2', 'create_cell', '--name', 'cell1']

    def discover_hosts(self):
        """Command that makes the compute host known to the scheduler."""
        return [cloud.script('nova-manage'), '--config-file', self.conf(),
                'cell_v2', 'discover_hosts']

    def check(self):
        # The scheduler takes no host whose last report is an old one, such
        # as that of the last run.
        return super().check() and postgres.is_up(self.cloud) and bool(
            postgres.query(
                self.cloud, 'nova',
                'SELECT 1 FROM services '
                'WHERE "binary" = \'nova-compute\' '
                'AND coalesce(last_seen_up, created_at) > '
                'now() AT TIME ZONE \'UTC\' - %s * interval \'1 second\'',
                intervals.NOVA_SERVICE_DOWN))

    def command(self):
        return [*super().command(), '--config-file', self.conf()]

    def environment(self):
        # Where the API, on threads, finds its api-paste.ini.
        return {'OS_NOVA_CONFIG_DIR': str(cloud.packaged('nova'))}


def main():
    if releases.on_threads():
        return main_on_threads()

    # Before anything else of Nova: it patches the standard library.
    import nova.monkey_patch  # noqa: F401, I001

    from oslo_log import log as logging
    from oslo_service import service as oslo_service

    import nova.conf
    from nova import config
    from nova import objects
    from nova import service

    bus.prepare()
    config.parse_args(sys.argv)
    logging.setup(nova.conf.CONF, 'nova')
    objects.register_all()

    launcher = oslo_service.ServiceLauncher(nova.conf.CONF)
    for part in _parts():
        launcher.launch_service(part)
    launcher.launch_service(service.WSGIService('osapi_compute'))
    launcher.wait()


def main_on_threads():
    # Before anything else of Nova: it forbids to import eventlet.
    import nova.monkey_patch  # noqa: I001

    nova.monkey_patch.patch(backend='threading')

    from nova.api.openstack import wsgi_app

    bus.prepare()
    # It reads the configuration, and the others find it read.
    application = wsgi_app.init_application('osapi_compute', 'nova-api')
    for part in _parts():
        part.start()
    base.serve_wsgi(application, PORT, threads=16)


def _parts():
    """Yield the services that have no API."""
    from nova.compute import rpcapi as compute_rpcapi
    from nova.conductor import rpcapi as conductor_rpcapi
    from nova import objects
    from nova.scheduler import rpcapi as scheduler_rpcapi
    from nova import service
    import nova.virt
    import os_vif

    from sandbox import guests

    objects.Service.enable_min_version_cache()
    os_vif.initialize()
    # Drivers are only looked for below nova.virt.
    nova.virt.__path__.extend(guests.__path__)
    for binary, rpcapi in (('nova-conductor', conductor_rpcapi),
                           ('nova-scheduler', scheduler_rpcapi),
                           ('nova-compute', compute_rpcapi)):
        options = {'topic': rpcapi.RPC_TOPIC}
        # Where Nova 34 sends what a host is to finish before it goes.
        if hasattr(rpcapi, 'RPC_TOPIC_ALT'):
            options['topic_alt'] = rpcapi.RPC_TOPIC_ALT
        yield service.Service.create(binary=binary, **options)


if __name__ == '__main__':
    main()
