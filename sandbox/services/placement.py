# SPDX-License-Identifier: Apache-2.0

"""Placement: what the compute host has left."""

from sandbox import cloud
from sandbox import ports
from sandbox.services import base

PORT = ports.PLACEMENT


class Service(base.Service):

    name = 'placement'
    title = 'Placement'
    ports = {'placement': PORT}
    databases = ('placement',)
    endpoints = (base.Endpoint('placement', 'placement', PORT),)

    def files(self):
        return {'placement.conf': cloud.ini({
            'DEFAULT': {'log_file': ''},
            'api': {'auth_strategy': 'keystone'},
            'placement_database': base.database_options(
                self.cloud, 'placement'),
            'keystone_authtoken': self.cloud.authtoken(self.name),
        })}

    def migrations(self):
        return [[cloud.script('placement-manage'), '--config-file',
                 self.conf(), 'db', 'sync']]

    def environment(self):
        return {'OS_PLACEMENT_CONFIG_DIR': str(self.cloud.etc / self.name)}


def main():
    from placement import wsgi

    base.serve_wsgi(wsgi.init_application(), PORT)


if __name__ == '__main__':
    main()
