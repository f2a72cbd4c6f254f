# SPDX-License-Identifier: Apache-2.0

"""Octavia: load balancers that are HAProxy processes of this machine.

The API, and beside it in the same process what the API's provider driver
relies on; see ``sandbox.balancers``.
"""

import sys

from sandbox import cloud
from sandbox import ports
from sandbox.services import base

PORT = ports.OCTAVIA

PROVIDER = 'haproxy'

# What a tenant needs to use it, by Octavia's own rules.
ROLE = 'load-balancer_member'


class Service(base.Service):

    name = 'octavia'
    title = 'Octavia (API, HAProxy)'
    ports = {'octavia': PORT}
    databases = ('octavia',)
    endpoints = (base.Endpoint('load-balancer', 'octavia', PORT),)

    def files(self):
        credentials = self.cloud.credentials(self.name)
        return {
            'octavia.conf': cloud.ini({
                'DEFAULT': {'transport_url': 'fake://'},
                'api_settings': {
                    'enabled_provider_drivers':
                        '%s:HAProxy on this machine' % PROVIDER,
                    'default_provider_driver': PROVIDER,
                    # What this provider does not do.
                    'allow_ping_health_monitors': False,
                    'allow_tls_terminated_listeners': False,
                    'allow_prometheus_listeners': False,
                },
                'controller_worker': {
                    # Loaded with the network driver, and never used.
                    'compute_driver': 'compute_noop_driver'},
                'database': base.database_options(self.cloud, self.name),
                'keystone_authtoken': self.cloud.authtoken(self.name),
                'service_auth': credentials,
                'neutron': dict(credentials, valid_interfaces='public'),
                'oslo_concurrency': {
                    'lock_path': self.cloud.data(self.name) / 'locks'},
                # Options of our driver.
                'sandbox': {'data': self.cloud.data(self.name),
                            'run': self.cloud.run},
            }),
            **base.distribution('sandbox_octavia', {
                'octavia.api.drivers': {
                    PROVIDER: 'sandbox.balancers.provider_driver:'
                              'HaproxyDriver'}}),
        }

    def migrations(self):
        return [
            [*self.command(), 'create_schema'],
            [cloud.script('octavia-db-manage'), '--config-file', self.conf(),
             'stamp', 'head'],
        ]

    def command(self):
        return [*super().command(), '--config-file', self.conf()]

    def environment(self):
        return {'PYTHONPATH': '%s:%s' % (
            cloud.REPO, self.cloud.etc / self.name / 'path')}


def create_schema(conf_file):
    """Make the tables of Octavia's models, and fill its lists of words.

    Octavia's migrations are for MySQL: PostgreSQL refuses the first of those
    that name a primary key or quote with backticks. Octavia's own functional
    tests start from its models and constants, too.
    """
    from octavia.common import config
    from octavia.common import constants
    from octavia.db import api
    from octavia.db import base_models
    from octavia.db import models

    config.init(['--config-file', conf_file])
    base_models.BASE.metadata.create_all(api.get_engine())
    with api.session().begin() as session:
        for model, words in (
                (models.Algorithm, constants.SUPPORTED_LB_ALGORITHMS),
                (models.AmphoraRoles, constants.SUPPORTED_AMPHORA_ROLES),
                (models.ClientAuthenticationMode,
                 constants.SUPPORTED_CLIENT_AUTH_MODES),
                (models.HealthMonitorType,
                 constants.SUPPORTED_HEALTH_MONITOR_TYPES),
                (models.L7PolicyAction, constants.SUPPORTED_L7POLICY_ACTIONS),
                (models.L7RuleCompareType,
                 constants.SUPPORTED_L7RULE_COMPARE_TYPES),
                (models.L7RuleType, constants.SUPPORTED_L7RULE_TYPES),
                (models.LBTopology, constants.SUPPORTED_LB_TOPOLOGIES),
                (models.OperatingStatus,
                 constants.SUPPORTED_OPERATING_STATUSES),
                (models.Protocol, constants.SUPPORTED_PROTOCOLS),
                (models.ProvisioningStatus,
                 constants.SUPPORTED_PROVISIONING_STATUSES),
                (models.SessionPersistenceType,
                 constants.SUPPORTED_SP_TYPES),
                (models.VRRPAuthMethod, constants.SUPPORTED_VRRP_AUTH)):
            for word in words:
                session.merge(model(name=word))


def main():
    if 'create_schema' in sys.argv:
        return create_schema(sys.argv[sys.argv.index('--config-file') + 1])

    from octavia.api import app
    from octavia.common import config
    import sqlalchemy.orm

    from oslo_config import cfg

    from sandbox.balancers import agent

    config.cfg.CONF.register_opts([
        cfg.StrOpt('data', help='Folder for the files of HAProxy.'),
        cfg.StrOpt('run', help='Folder for the sockets of HAProxy.'),
    ], group='sandbox')
    application = app.setup_app(argv=sys.argv)
    # Not by two first requests at the same time.
    sqlalchemy.orm.configure_mappers()
    options = cfg.CONF.sandbox
    looked_after = agent.Agent(options.data, options.run)
    looked_after.start()
    base.serve_wsgi(looked_after.prompt(application), PORT)


if __name__ == '__main__':
    main()
