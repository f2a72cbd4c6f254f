# SPDX-License-Identifier: Apache-2.0

"""Heat, with our plugin folder, in one of two forms.

API, CFN API and engine are one process; or each of them is one, with as many
engines as are asked for, and RabbitMQ between them, as on a site.
"""

import signal
import sys
import threading

from sandbox import bus
from sandbox import cloud
from sandbox import ports
from sandbox import releases
from sandbox.services import base
from sandbox.services import mariadb
from sandbox.services import rabbitmq

PORT = ports.HEAT
CFN_PORT = ports.HEAT_CFN

# Processes of one of several engines.
_WORKERS = 2


class Service(base.Service):

    name = 'heat'
    databases = ('heat',)
    # The engine ends at once; the APIs in its process do not hear of it.
    stop_timeout = 3
    endpoints = (
        base.Endpoint('orchestration', 'heat', PORT, '/v1/%(tenant_id)s'),
        base.Endpoint('cloudformation', 'heat-cfn', CFN_PORT, '/v1'),
    )

    @property
    def title(self):
        return ('Heat (API)' if self.cloud.heat_engines else
                'Heat (API, CFN API, engine)')

    @property
    def ports(self):
        own = {'heat': PORT}
        return own if self.cloud.heat_engines else {**own, **CfnApi.ports}

    def processes(self):
        if not self.cloud.heat_engines:
            return [self]
        return [self, CfnApi(self.cloud),
                *(Engine(self.cloud, number) for number in
                  range(1, self.cloud.heat_engines + 1))]

    def files(self):
        return {'heat.conf': cloud.ini({
            'DEFAULT': {
                'transport_url': (
                    rabbitmq.transport_url(self.cloud)
                    if self.cloud.heat_engines else 'fake://'),
                # One is the number that forks nothing, here and below.
                'num_engine_workers': 1,
                'plugin_dirs': self.cloud.plugin_dir,
                'environment_dir': cloud.packaged('heat', 'environment.d'),
                'template_dir': cloud.packaged('heat', 'templates'),
                'heat_metadata_server_url': self.cloud.url(CFN_PORT),
                'heat_waitcondition_server_url': self.cloud.url(
                    CFN_PORT, '/v1/waitcondition'),
                # The users behind pre-signed URLs live in a domain of their
                # own, as in production.
                'stack_user_domain_name': 'heat',
                'stack_domain_admin': 'heat_domain_admin',
                'stack_domain_admin_password': self.cloud.secret(
                    'heat_domain_admin'),
                'auth_encryption_key': self.cloud.secret('heat-encryption'),
                'region_name_for_services': cloud.REGION,
                # Off by default, and operators do switch them on.
                'enable_stack_abandon': True,
                'enable_stack_adopt': True,
            },
            'heat_api': {'bind_host': self.cloud.address, 'bind_port': PORT,
                         'workers': 1},
            'heat_api_cfn': {'bind_host': self.cloud.address,
                             'bind_port': CFN_PORT, 'workers': 1},
            'paste_deploy': {'api_paste_config': cloud.packaged(
                'heat', 'api-paste.ini')},
            # What names stand for is asked of each service once a minute, and
            # not for each template in which an image or a network is named.
            'cache': {'enabled': True, 'expiration_time': 60,
                      'backend': 'dogpile.cache.memory_pickle'},
            'database': self._database(),
            'keystone_authtoken': self.cloud.authtoken(self.name),
            'trustee': self.cloud.trustee(self.name),
            'ec2authtoken': self._ec2authtoken(),
            'clients_keystone': {'auth_uri': self.cloud.url(5000)},
            'clients': {'endpoint_type': 'publicURL'},
            'oslo_concurrency': {
                'lock_path': self.cloud.data(self.name) / 'locks'},
            'oslo_policy': {
                'policy_file': self.cloud.etc / self.name / 'policy.yaml'},
        }), 'policy.yaml': (
            # By its own rule Heat 22 refuses everybody: the CFN API names no
            # project to compare with. Servers with a software deployment ask.
            '"cloudformation:DescribeStackResource": ""\n')}

    def _database(self):
        options = base.database_options(self.cloud, 'heat')
        if self.cloud.profile == cloud.PRODUCTION:
            options['connection'] = mariadb.url(self.cloud, 'heat')
        return options

    def _ec2authtoken(self):
        """By what the CFN API has signed URLs checked."""
        if not releases.on_threads():
            return {'auth_uri': self.cloud.url(5000, '/v3')}
        # Not from the catalogue, whose URL ends with what Heat appends.
        return dict(self.cloud.credentials(self.name),
                    endpoint_override=self.cloud.url(5000))

    def migrations(self):
        return [[cloud.script('heat-manage'), '--config-file', self.conf(),
                 'db_sync']]

    def command(self):
        program = (_api(self.name + '-api') if self.cloud.heat_engines
                   else super().command())
        return [*program, '--config-file', self.conf()]


def _api(name):
    """Command that is one of the APIs and nothing else."""
    if releases.on_threads():
        return [sys.executable, '-m', 'sandbox.services.heat', name]
    return [cloud.script(name)]


class CfnApi(base.Service):
    """Where signed URLs lead."""

    name = 'heat-api-cfn'
    title = 'Heat (CFN API)'
    ports = {'heat-cfn': CFN_PORT}

    def command(self):
        return [*_api(self.name), '--config-file',
                str(self.cloud.conf('heat'))]


class Engine(base.Service):
    """One of several.

    :param number: from 1 on.
    """

    stop_timeout = Service.stop_timeout

    def __init__(self, local_cloud, number):
        super().__init__(local_cloud)
        self.name = 'heat-engine-%d' % number
        self.title = 'Heat (engine %d of %d)' % (number,
                                                 local_cloud.heat_engines)

    def files(self):
        # As if it were on a host of its own, whose workers are forked.
        return {self.name + '.conf': cloud.ini({
            'DEFAULT': {'host': self.name, 'num_engine_workers': _WORKERS}})}

    def command(self):
        return [cloud.script('heat-engine'),
                '--config-file', str(self.cloud.conf('heat')),
                '--config-file', self.conf()]

    def check(self):
        try:
            return rabbitmq.consumers(
                self.cloud, 'engine.' + self.name) >= _WORKERS
        except OSError:
            return False


def main():
    if releases.on_threads():
        return main_on_threads()

    # Patches the standard library, so it comes before anything else.
    from heat.cmd import all as heat_all

    bus.prepare()
    heat_all.main()


def main_on_threads():
    """Be the API that the first argument names, or without one all of Heat.

    Heat itself has no program for either any more.
    """
    # Before anything of Heat is imported.
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)

    from heat.common import config
    from heat.common import messaging
    from oslo_config import cfg
    from oslo_log import log as logging

    apis = {'heat-api': PORT, 'heat-api-cfn': CFN_PORT}
    argv = sys.argv[1:]
    only = argv.pop(0) if argv[0] in apis else None

    bus.prepare()
    logging.register_options(cfg.CONF)
    cfg.CONF(argv, project='heat', prog=only or 'heat-engine')
    logging.setup(cfg.CONF, 'heat')
    config.set_config_defaults()
    messaging.setup()

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    engine = None if only else _start_engine()
    for name in [only] if only else apis:
        threading.Thread(
            target=base.serve_wsgi, daemon=True,
            args=(config.load_paste_app(name), apis[name], 16)).start()
    ended.wait()
    if engine:
        engine.stop()


def _start_engine():
    from heat.common import config
    from heat.engine import service
    from heat.engine import template
    from heat.rpc import api
    from oslo_config import cfg

    config.startup_sanity_check()
    # It has the kinds of templates loaded before two threads ask for them.
    template._get_template_extension_manager()
    engine = service.EngineService(cfg.CONF.host, api.ENGINE_TOPIC)
    engine.start()
    return engine


if __name__ == '__main__':
    main()
