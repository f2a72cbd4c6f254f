# SPDX-License-Identifier: Apache-2.0

"""Senlin: API, conductor, engine and health manager in one process."""

import functools
import sys

from sandbox import bus
from sandbox import cloud
from sandbox import ports
from sandbox import releases
from sandbox.services import base

PORT = ports.SENLIN


class Service(base.Service):

    name = 'senlin'
    title = 'Senlin (API, conductor, engine, health manager)'
    ports = {'senlin': PORT}
    databases = ('senlin',)
    endpoints = (base.Endpoint('clustering', 'senlin', PORT),)

    def is_available(self):
        return releases.is_installed('senlin')

    def files(self):
        credentials = self.cloud.credentials(self.name)
        credentials.pop('region_name')
        return {'senlin.conf': cloud.ini({
            'DEFAULT': {
                'transport_url': 'fake://',
                'default_region_name': cloud.REGION,
                'host': 'sandbox',
                # An engine counts as dead after 2.2 times this long, and a
                # new one looks for dead ones five times only.
                'periodic_interval': 5,
            },
            'senlin_api': {'bind_host': self.cloud.address,
                           'bind_port': PORT, 'workers': 0,
                           'api_paste_config': cloud.packaged(
                               'senlin', 'api-paste.ini')},
            'conductor': {'workers': 1},
            'engine': {'workers': 1},
            'health_manager': {'workers': 1},
            'database': base.database_options(self.cloud, 'senlin'),
            'keystone_authtoken': self.cloud.authtoken(self.name),
            'authentication': {
                'auth_url': credentials['auth_url'],
                'service_username': self.name,
                'service_password': credentials['password'],
                'service_project_name': 'service',
                'service_user_domain': 'Default',
                'service_project_domain': 'Default',
                'interface': 'public',
            },
            # Where receivers answer, as tenants and Aodh see it.
            'receiver': {'host': self.cloud.address, 'port': PORT},
            'zaqar': self.cloud.trustee(self.name),
        })}

    def migrations(self):
        return [[*self.command(), 'db_sync']]

    def command(self):
        return [*super().command(), '--config-file', self.conf()]


def sync_database():
    """Run Senlin's own migration.

    Its first step asks for FLOAT(24,8), which PostgreSQL does not know; a
    later one turns the column into a numeric. Only the sync needs the hook.
    """
    import sqlalchemy
    from sqlalchemy.ext import compiler

    @compiler.compiles(sqlalchemy.Float, 'postgresql')
    def _double(_element, _compiler, **_kwargs):
        return 'DOUBLE PRECISION'

    from senlin.cmd import manage

    manage.main()


def main():
    import senlin.cmd  # noqa: F401, it patches the standard library

    if 'db_sync' in sys.argv:
        return sync_database()

    from oslo_log import log as logging
    from oslo_reports import guru_meditation_report as gmr
    from oslo_service import service as oslo_service
    from senlin.common import config
    from senlin.common import consts
    from senlin.common import messaging
    import senlin.conf
    from senlin import objects
    from senlin import version

    bus.prepare()
    _use_autocommit()
    conf = senlin.conf.CONF
    # The name of the program selects the section of api-paste.ini.
    config.parse_args(sys.argv, 'senlin-api')
    logging.setup(conf, 'senlin')
    logging.set_defaults()
    gmr.TextGuruMeditation.setup_autorun(version)
    objects.register_all()
    messaging.setup()

    from senlin.conductor import service as conductor
    from senlin.engine import service as engine
    from senlin.health_manager import service as health_manager

    launcher = oslo_service.ServiceLauncher(conf)
    for service_class, topic in (
            (conductor.ConductorService, consts.CONDUCTOR_TOPIC),
            (engine.EngineService, consts.ENGINE_TOPIC),
            (health_manager.HealthManagerService,
             consts.HEALTH_MANAGER_TOPIC)):
        launcher.launch_service(service_class(conf.host, topic))

    _start_api(conf)
    launcher.wait()


def _start_api(conf):
    """Start Senlin's API, with connections that end after one answer.

    It serves a thousand connections and then nobody, and Heat leaves one open
    for every stack that it shows. Senlin has ``wsgi_keep_alive`` for that, and
    without workers does not read it.
    """
    import eventlet.wsgi
    from senlin.api.common import wsgi

    class Server(wsgi.Server):

        def _single_run(self, application, sock):
            eventlet.wsgi.server(
                sock, application, custom_pool=self.pool, log=self._logger,
                url_length_limit=wsgi.URL_LENGTH_LIMIT, debug=conf.debug,
                keepalive=False)

    server = Server('senlin-api', conf.senlin_api)
    server.start(wsgi.load_paste_app(), default_port=PORT)


def _use_autocommit():
    """Give Senlin the kind of session that it asks oslo.db for.

    Senlin configures "__autocommit", since it runs queries after the block
    that made their session. oslo.db 15 does not know the option any more:
    such a query then keeps its connection until the garbage collector comes,
    and no pool is large enough.
    """
    from oslo_db.sqlalchemy import orm

    orm.get_maker = functools.partial(orm.get_maker, autocommit=True)


if __name__ == '__main__':
    main()
