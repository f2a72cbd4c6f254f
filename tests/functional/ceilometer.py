# SPDX-License-Identifier: Apache-2.0

"""What Ceilometer tells Gnocchi about servers, told by the tests."""

import datetime
import time

from sandbox import bootstrap
from sandbox import clients
from sandbox import intervals
from sandbox.services import gnocchi

# Ceilometer keeps the user's metadata that begins so, without it.
_METERING = 'metering.'

# Counters of servers differ by hours of computing, here by no less than is
# computed in any of the tests: ten hours in nanoseconds.
_HEAD_START = 36_000 * 10**9


class Ceilometer:
    """Measures the CPU of the servers of a project as its tests wish.

    :param project: the tenant whose servers they are.
    """

    def __init__(self, project):
        self._project = project
        self._session = clients.connect(
            project.local.cloud, 'sandbox-ceilometer').session
        # {server: CPU time in nanoseconds}, and until when it was told.
        self._cpu = {}
        self._told = {}

    def measure(self, percent):
        """Tell the CPU time of each server up to now.

        :param percent: {server: CPU of one virtual CPU since the last time}.
        """
        period = intervals.GNOCCHI_FAST_GRANULARITY
        now = int(time.time()) // period * period
        servers = {server.id: server for server in
                   self._project.connection.compute.servers()}
        for gone in set(self._cpu) - set(servers):
            self._end(gone)
        measures = {}
        for server in set(percent) & set(servers):
            if server not in self._cpu:
                self._begin(servers[server])
                # A rate needs more than one measure.
                self._told[server] = now - 3 * period
            points = []
            for instant in range(self._told[server] + period, now + 1,
                                 period):
                self._cpu[server] += (
                    percent[server] * period * 10**9 // 100)
                points.append({'timestamp': instant,
                               'value': self._cpu[server]})
            self._told[server] = max(now, self._told[server])
            if points:
                measures[server] = {'cpu': points}
        if measures:
            self._request('POST', '/batch/resources/metrics/measures',
                          json=measures)

    def _begin(self, server):
        metadata = {key[len(_METERING):]: value
                    for key, value in server.metadata.items()
                    if key.startswith(_METERING)}
        self._request('POST', '/resource/instance', json={
            'id': server.id,
            'project_id': server.project_id,
            'user_id': server.user_id,
            'host': 'sandbox',
            'display_name': server.name,
            'flavor_id': bootstrap.FLAVOR,
            'flavor_name': bootstrap.FLAVOR,
            'server_group': metadata.get('server_group'),
            'metrics': {'cpu': {
                'archive_policy_name': bootstrap.RATE_ARCHIVE_POLICY}},
        })
        self._cpu[server.id] = len(self._cpu) * _HEAD_START

    def _end(self, server):
        """As on the notification of Nova that a server is deleted."""
        del self._cpu[server]
        now = datetime.datetime.now(datetime.timezone.utc)
        self._request('PATCH', '/resource/instance/' + server,
                      json={'ended_at': now.isoformat()})

    def _request(self, method, path, **options):
        return self._session.request(
            self._project.local.cloud.url(gnocchi.PORT, '/v1' + path),
            method, **options)
