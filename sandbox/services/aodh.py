# SPDX-License-Identifier: Apache-2.0

"""Aodh: API, evaluator and notifier in one process."""

import os

from sandbox import cloud
from sandbox import intervals
from sandbox import ports
from sandbox.services import base
from sandbox.services import gnocchi
from sandbox.services import prometheus

PORT = ports.AODH


class Service(base.Service):

    name = 'aodh'
    title = 'Aodh (API, evaluator, notifier)'
    ports = {'aodh': PORT}
    databases = ('aodh',)
    endpoints = (base.Endpoint('alarming', 'aodh', PORT),)

    def files(self):
        return {
            'aodh.conf': cloud.ini({
                'DEFAULT': {
                    'transport_url': 'fake://',
                    'additional_ingestion_lag': intervals.AODH_INGESTION_LAG,
                    # Otherwise queries see only what carries the ID of the
                    # project "service", in which no tenant has anything.
                    'prometheus_disable_rbac': True,
                },
                'api': {'auth_mode': 'keystone',
                        'paste_config': self.cloud.etc / self.name
                        / 'api-paste.ini'},
                'evaluator': {
                    'evaluation_interval': intervals.AODH_EVALUATION},
                'database': base.database_options(self.cloud, 'aodh'),
                'keystone_authtoken': self.cloud.authtoken(self.name),
                'service_credentials': dict(
                    self.cloud.credentials(self.name), interface='public'),
            }),
            'api-paste.ini': gnocchi.paste_with_config(
                'aodh.api', self.name, self.conf()),
        }

    def migrations(self):
        return [[cloud.script('aodh-dbsync'), '--config-file', self.conf()]]

    def environment(self):
        return {'AODH_CONFIG_FILE': self.conf(),
                # The client that Aodh uses knows of no option in aodh.conf.
                'PROMETHEUS_HOST': self.cloud.address,
                'PROMETHEUS_PORT': str(prometheus.PORT)}


def main():
    from aodh.api import app
    from aodh import evaluator
    from aodh import notifier
    from aodh import service

    conf = service.prepare_service(
        argv=[], config_files=[os.environ['AODH_CONFIG_FILE']])
    application = app.load_app(conf)
    # Both work in threads of their own from here on.
    notifier.AlarmNotifierService(0, conf)
    evaluator.AlarmEvaluationService(0, conf)
    base.serve_wsgi(application, PORT)


if __name__ == '__main__':
    main()
