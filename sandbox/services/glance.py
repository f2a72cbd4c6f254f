# SPDX-License-Identifier: Apache-2.0

"""Glance: the image that every server is started from."""

from sandbox import cloud
from sandbox import ports
from sandbox.services import base

PORT = ports.GLANCE


class Service(base.Service):

    name = 'glance'
    title = 'Glance'
    ports = {'glance': PORT}
    databases = ('glance',)
    endpoints = (base.Endpoint('image', 'glance', PORT),)

    def files(self):
        data = self.cloud.data(self.name)
        return {
            'glance-api.conf': cloud.ini({
                'DEFAULT': {
                    'enabled_backends': 'local:file',
                    'enabled_import_methods': '[]',
                    'image_cache_dir': data / 'cache',
                },
                'database': base.database_options(self.cloud, 'glance'),
                'glance_store': {'default_backend': 'local'},
                'local': {'filesystem_store_datadir': data / 'images'},
                'os_glance_staging_store': {
                    'filesystem_store_datadir': data / 'staging'},
                'os_glance_tasks_store': {
                    'filesystem_store_datadir': data / 'tasks'},
                'keystone_authtoken': self.cloud.authtoken(self.name),
                'paste_deploy': {
                    'flavor': 'keystone',
                    'config_file': packaged_paste(),
                },
            }),
            # Glance insists on finding it beside the other.
            'glance-api-paste.ini': packaged_paste().read_text(),
        }

    def conf(self):
        return str(self.cloud.etc / self.name / 'glance-api.conf')

    def migrations(self):
        return [[cloud.script('glance-manage'), '--config-file', self.conf(),
                 'db_sync']]

    def environment(self):
        return {'OS_GLANCE_CONFIG_DIR': str(self.cloud.etc / self.name)}


def packaged_paste():
    return cloud.packaged('glance', 'glance-api-paste.ini')


def main():
    from glance.common import wsgi_app

    base.serve_wsgi(wsgi_app.init_app(), PORT)


if __name__ == '__main__':
    main()
