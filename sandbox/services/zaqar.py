# SPDX-License-Identifier: Apache-2.0

"""Zaqar: the queues on which lifecycle hooks speak, kept in Redis."""

import sys

from sandbox import cloud
from sandbox import ports
from sandbox.services import base

PORT = ports.ZAQAR


class Service(base.Service):

    name = 'zaqar'
    title = 'Zaqar'
    ports = {'zaqar': PORT}
    endpoints = (base.Endpoint('messaging', 'zaqar', PORT),)

    def files(self):
        store = 'redis:%s' % self.cloud.redis_socket
        return {'zaqar.conf': cloud.ini({
            'DEFAULT': {'auth_strategy': 'keystone', 'admin_mode': True},
            'drivers': {'transport': 'wsgi', 'message_store': 'redis',
                        'management_store': 'redis'},
            'drivers:message_store:redis': {'uri': store},
            'drivers:management_store:redis': {'uri': store},
            # Out of the box Zaqar takes subscriptions and delivers nothing.
            'storage': {'message_pipeline': 'zaqar.notification.notifier'},
            'signed_url': {'secret_key': self.cloud.secret('zaqar-urls')},
            'keystone_authtoken': self.cloud.authtoken(self.name),
            'trustee': self.cloud.trustee(self.name),
        })}

    def command(self):
        return [*super().command(), '--config-file', self.conf()]


class Gate:
    """Does what the proxy before Zaqar has to do on a site.

    See "For operators" in doc/source/security.rst.
    """

    def __init__(self, application):
        self._application = application

    def __call__(self, environ, start_response):
        environ.pop('HTTP_EXTRA_SPEC', None)
        if not environ.get('HTTP_URL_SIGNATURE', '').strip():
            environ.pop('HTTP_URL_SIGNATURE', None)
        return self._application(environ, start_response)


def main():
    from oslo_config import cfg
    from oslo_log import log as logging
    from zaqar import bootstrap

    conf = cfg.CONF
    logging.register_options(conf)
    conf(project='zaqar', args=sys.argv[1:])
    logging.setup(conf, 'zaqar')
    # Every guest polls once a second.
    base.serve_wsgi(Gate(bootstrap.Bootstrap(conf).transport.app), PORT,
                    threads=16)


if __name__ == '__main__':
    main()
