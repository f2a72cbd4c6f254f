# SPDX-License-Identifier: Apache-2.0

"""Gnocchi: the API through which measures come in."""

from sandbox import cloud
from sandbox import intervals
from sandbox import ports
from sandbox.services import base

PORT = ports.GNOCCHI


class Service(base.Service):

    name = 'gnocchi'
    title = 'Gnocchi API'
    ports = {'gnocchi': PORT}
    databases = ('gnocchi',)
    endpoints = (base.Endpoint('metric', 'gnocchi', PORT),)

    def files(self):
        return {
            'gnocchi.conf': cloud.ini({
                'DEFAULT': {
                    'coordination_url': self.cloud.database('gnocchi')},
                'api': {'auth_mode': 'keystone',
                        'paste_config': self.cloud.etc / self.name
                        / 'api-paste.ini'},
                'indexer': {'url': self.cloud.database('gnocchi')},
                'storage': {'driver': 'file',
                            'file_basepath': self.cloud.data(self.name)},
                'metricd': {
                    'workers': 1,
                    'metric_processing_delay':
                        intervals.GNOCCHI_METRIC_PROCESSING,
                },
                'keystone_authtoken': self.cloud.authtoken(self.name),
            }),
            'api-paste.ini': paste_with_config('gnocchi.rest', self.name,
                                               self.conf()),
        }

    def migrations(self):
        # Measures come in through one sack and not through 128: metricd locks
        # each of them at every look, and for each lock connects to PostgreSQL,
        # which takes a quarter of a core.
        return [[cloud.script('gnocchi-upgrade'), '--config-file',
                 self.conf(), '--sacks-number', '1']]

    def command(self):
        return [*super().command(), '--config-file', self.conf()]


def paste_with_config(package, project, conf):
    """Packaged api-paste.ini that makes Keystone's filter read our file.

    As shipped, the filter looks for the file in the standard folders only.
    """
    import importlib.resources

    text = importlib.resources.files(package).joinpath(
        'api-paste.ini').read_text()
    line = 'oslo_config_project = %s\n' % project
    return text.replace(line, '%soslo_config_file = %s\n' % (line, conf))


def main():
    from gnocchi.cli import api
    from gnocchi.indexer import sqlalchemy_base
    from gnocchi.rest import app

    # Gnocchi completes its tables with the first query only, which fails if it
    # is the one of "metric list": "type object 'Metric' has no attribute
    # 'resource'".
    sqlalchemy_base.Base.registry.configure()

    base.serve_wsgi(app.load_app(api.prepare_service()), PORT)


if __name__ == '__main__':
    main()
