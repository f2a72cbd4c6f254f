# SPDX-License-Identifier: Apache-2.0

"""Watch the services and the guests of a running stack, and note events.

Everything is seen from the outside: with the tenant's own credentials, and by
reading the agents' logs in the guests' folders.
"""

import datetime
import json
import re
import threading

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions

from sandbox.services import aodh
from sandbox.services import zaqar

# Seconds between two looks of each watcher.
_SERVICES = 0.5
# What the agent is quick to see, too.
_QUEUE = 0.1
_LOGS = 0.1

_LINE = re.compile(r'(?P<time>\S+Z) \S+ (?P<text>.*)')
_AGENT_EVENTS = (
    (re.compile(r'drain \S+: told'), 'agent_told', 'agent: notified'),
    (re.compile(r'handler \S+: started'), 'handler_started',
     'agent: the drain handler starts'),
    (re.compile(r'handler \S+: (?!started)'), 'handler_ended',
     'agent: the drain handler has ended'),
    (re.compile(r'signal accepted'), 'signal_accepted',
     'Heat: the signal is accepted'),
)


class Watchers:
    """All watchers of a run, a thread each.

    :param local_cloud: the Cloud whose guests are looked into.
    :param connection: an openstacksdk connection of the tenant.
    """

    def __init__(self, local_cloud, connection, timeline):
        self._cloud = local_cloud
        self._connection = connection
        self._timeline = timeline
        self._stop = threading.Event()
        self._threads = []
        self.error = None
        self._logs = {}

    def start(self, servers, alarm_id, queue, cluster_id=None):
        """Watch these.

        :param servers: IDs of the servers in the beginning.
        :param queue: name of the hook's queue, or None without a hook.
        :param cluster_id: Senlin's cluster, None if Heat counts the servers.
        """
        self._servers = set(servers)
        self._repeat(self._alarm(alarm_id), _SERVICES)
        if cluster_id:
            self._repeat(self._scale_in(cluster_id), _SERVICES)
        self._repeat(self._deletions(), _SERVICES)
        if queue:
            self._repeat(self._messages(queue), _QUEUE)
            self._repeat(self._agent_logs(), _LOGS)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, look, interval):
        def loop():
            while True:
                try:
                    look()
                except (ksa_exceptions.ClientException,
                        sdk_exceptions.SDKException):
                    # A service that is slow to answer is asked again.
                    pass
                except Exception as error:
                    self.error = error
                    return
                if self._stop.wait(interval):
                    return

        thread = threading.Thread(target=loop, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _alarm(self, alarm_id):
        url = self._cloud.url(aodh.PORT, '/v2/alarms/%s/history' % alarm_id)
        seen = set()

        def look():
            for change in self._connection.session.get(url).json():
                # The detail is JSON inside JSON.
                if (change['type'] == 'state transition'
                        and json.loads(change['detail'])['state'] == 'alarm'
                        and change['event_id'] not in seen):
                    seen.add(change['event_id'])
                    self._timeline.add('alarm',
                                       'Aodh: the scale-in alarm fires',
                                       at=_utc(change['timestamp']))
        return look

    def _scale_in(self, cluster_id):
        seen = set()

        def look():
            for action in self._connection.clustering.actions(
                    action='CLUSTER_SCALE_IN'):
                if action.target_id == cluster_id and action.id not in seen:
                    seen.add(action.id)
                    self._timeline.add(
                        'scale_in', "Senlin: scale-in, by the receiver's call")
        return look

    def _deletions(self):
        compute = self._connection.compute

        def look():
            present = {s.id for s in compute.servers(details=False)}
            for server in self._servers - present:
                # The last words of its agent, kept open by _agent_logs.
                self._read_log(server)
                self._timeline.add('server_deleted',
                                   'Nova: the server is deleted', server)
            self._servers &= present
        return look

    def _messages(self, queue):
        seen = set()
        url = self._cloud.url(zaqar.PORT, '/v2/queues/%s/messages' % queue)
        headers = {'Client-ID': 'd5a8a4ae-6e33-4c4f-a6a2-1bb1f7c1c0de'}

        def look():
            answer = self._connection.session.get(
                url, params={'echo': 'true'}, headers=headers)
            for message in answer.json().get('messages', ()):
                if message['id'] not in seen:
                    seen.add(message['id'])
                    self._timeline.add(
                        'hook_message', 'Zaqar: the hook message is posted',
                        message['body']['resource_id'])
        return look

    def _agent_logs(self):
        def look():
            for server in list(self._servers):
                self._read_log(server)
        return look

    def _read_log(self, server):
        # An open file can be read to its end after its guest has gone.
        if server not in self._logs:
            path = (self._cloud.guests / server / 'var' / 'log'
                    / 'drain-agent.log')
            try:
                self._logs[server] = (path.open(), threading.Lock())
            except FileNotFoundError:
                return
        log, lock = self._logs[server]
        with lock:
            self._note(server, log)

    def _note(self, server, log):
        while True:
            position = log.tell()
            line = log.readline()
            if not line.endswith('\n'):
                log.seek(position)
                return
            for at, event, text in agent_events(line):
                self._timeline.add(event, text, server, at=at)


def agent_events(line):
    """Yield what a line of an agent's log says about a drain.

    :returns: tuples of seconds since the epoch, the name of an event and a
        text for people.
    """
    match = _LINE.match(line)
    for pattern, event, text in _AGENT_EVENTS if match else ():
        if pattern.match(match['text']):
            yield _utc(match['time']), event, text


def _utc(text):
    moment = datetime.datetime.fromisoformat(text.rstrip('Z'))
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()
