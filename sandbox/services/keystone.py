# SPDX-License-Identifier: Apache-2.0

"""Keystone: identity, and the catalogue of all others."""

import os
import threading

from sandbox import cloud
from sandbox import ports
from sandbox.services import base

PORT = ports.KEYSTONE


class Service(base.Service):

    name = 'keystone'
    title = 'Keystone'
    ports = {'keystone': PORT}
    databases = ('keystone',)
    has_user = False

    def files(self):
        keys = self.cloud.data(self.name)
        return {'keystone.conf': cloud.ini({
            'database': base.database_options(self.cloud, 'keystone'),
            'identity': {
                # bcrypt's default takes 0.3 s of CPU a login, and every
                # service logs in. To be set before the first password is.
                'password_hash_rounds': 4,
            },
            'token': {'provider': 'fernet', 'expiration': 86400},
            'fernet_tokens': {'key_repository': keys / 'fernet'},
            'fernet_receipts': {'key_repository': keys / 'fernet'},
            'credential': {'key_repository': keys / 'credential'},
            # Coherent, since there is one process. Pickled, since Keystone
            # changes what it is given: with the plain memory backend a
            # credential that is read twice has lost its secret.
            'cache': {'enabled': True,
                      'backend': 'dogpile.cache.memory_pickle'},
        })}

    def migrations(self):
        manage = [cloud.script('keystone-manage'), '--config-file',
                  self.conf()]
        keys = self.cloud.data(self.name)
        owner = ['--keystone-user', str(os.getuid()),
                 '--keystone-group', str(os.getgid())]
        for folder in ('fernet', 'credential'):
            # Keystone warns at every token if others may read its keys.
            (keys / folder).mkdir(mode=0o700, exist_ok=True)
        return [
            [*manage, 'db_sync'],
            [*manage, 'fernet_setup', *owner],
            [*manage, 'credential_setup', *owner],
            [*manage, 'bootstrap',
             '--bootstrap-password', self.cloud.secret('admin'),
             '--bootstrap-service-name', 'keystone',
             '--bootstrap-region-id', cloud.REGION]
            + [word for interface in ('public', 'internal', 'admin')
               for word in ('--bootstrap-%s-url' % interface,
                            self.cloud.url(PORT, '/v3'))],
        ]

    def environment(self):
        return {'OS_KEYSTONE_CONFIG_FILES': self.conf()}


# What belongs to the request that a thread handles.
_request = threading.local()


def main():
    from keystone.server.flask.request_processing.middleware import (
        auth_context)
    from keystone.server import wsgi

    # Keystone keeps it in one place for all of its threads, so that a request
    # may be acted upon in the name of another one that comes in between.
    auth_context.AuthContextMiddleware.token = property(
        lambda _middleware: getattr(_request, 'token', None),
        lambda _middleware, token: setattr(_request, 'token', token))
    # Two tokens for every request of every other service.
    base.serve_wsgi(wsgi.initialize_public_application(), PORT, threads=16)


if __name__ == '__main__':
    main()
