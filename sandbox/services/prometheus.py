# SPDX-License-Identifier: Apache-2.0

"""Prometheus: the other place where metrics may be; left out if missing."""

import shutil

import yaml

from sandbox import cloud
from sandbox import intervals
from sandbox import ports
from sandbox.services import base
from sandbox.services import keystone

PORT = ports.PROMETHEUS
# Where servers that have something to tell are asked for it.
EXPORTER_PORT = 9100

# The metadata "metering.server_group" of a server, as Prometheus spells it.
GROUP = '__meta_openstack_tag_metering_server_group'


class Service(base.Service):

    name = 'prometheus'
    title = 'Prometheus'
    ports = {'prometheus': PORT}
    has_user = False

    def is_available(self):
        # A program of the distribution: no wheel brings it.
        return shutil.which('prometheus') is not None

    def conf(self):
        return str(self.cloud.etc / self.name / 'prometheus.yml')

    def files(self):
        return {'prometheus.yml': yaml.safe_dump({
            'global': {
                'scrape_interval': '%ds' % intervals.PROMETHEUS_SCRAPE,
                'scrape_timeout': '%ds' % intervals.PROMETHEUS_SCRAPE,
            },
            'scrape_configs': [self._servers_of('demo')],
        }, sort_keys=False)}

    def _servers_of(self, project):
        """Every server that is in a group, at its first address."""
        return {
            'job_name': project,
            'openstack_sd_configs': [{
                'role': 'instance',
                'identity_endpoint': self.cloud.url(keystone.PORT, '/v3'),
                'region': cloud.REGION,
                'domain_name': 'Default',
                'project_name': project,
                'username': project,
                'password': self.cloud.secret(project),
                'port': EXPORTER_PORT,
                'refresh_interval': '%ds' % intervals.PROMETHEUS_DISCOVERY,
            }],
            'relabel_configs': [
                {'source_labels': [GROUP], 'regex': '.+', 'action': 'keep'},
                {'source_labels': [GROUP], 'target_label': 'server_group'},
                {'source_labels': ['__meta_openstack_project_id'],
                 'target_label': 'project'},
            ],
        }

    def command(self):
        return [shutil.which('prometheus'), '--config.file', self.conf(),
                '--storage.tsdb.path', str(self.cloud.data(self.name) / 'db'),
                '--web.listen-address',
                '%s:%d' % (cloud.ADDRESS, PORT),
                '--log.level', 'warn']
