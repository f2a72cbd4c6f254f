# SPDX-License-Identifier: Apache-2.0

"""The demo: a group shrinks and is deleted, and no session is cut."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

from sandbox import bootstrap
from sandbox import clients
from sandbox import cloud
from sandbox import environments
from sandbox import examples
from sandbox import lifecycle
from sandbox import releases
from sandbox.services import gnocchi

from demo import timeline as timelines
from demo import watch

# The client of the sessions lies beside their server.
sys.path.insert(0, str(cloud.REPO / 'examples' / 'sessions'))
import client as sessions_client  # noqa: E402

STACK = 'drain-demo'
PORT = 7000

# The first sessions, all servers together, and how long the shortest and the
# longest of them last, in seconds. Their number a server falls below the
# threshold of environments/demo.yaml when a third of them is over; by then
# the alarm and Senlin have time to pick a server that still has some.
FIRST_SESSIONS = 48
FIRST_LENGTHS = (8, 75)
# The others, opened on what is left before the stack is deleted.
LAST_SESSIONS = 12
LAST_LENGTHS = (20, 45)

# Seconds for anything that the demo waits for. Its longest wait is for the
# drain timeout of environments/demo.yaml, 120 s, twice.
PATIENCE = 300


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class Demo:
    """One run.

    :param local_cloud: the Cloud it runs on, which is up.
    :param with_hook: False for the same stack without lifecycle hook.
    :param with_senlin: False for a group of Heat's in the place of a cluster.
    """

    def __init__(self, local_cloud, with_hook, with_senlin, build):
        self._cloud = local_cloud
        self._with_hook = with_hook
        self._with_senlin = with_senlin
        self._build = build
        self._connection = clients.connect(local_cloud)
        self.timeline = timelines.Timeline()
        self._watchers = watch.Watchers(local_cloud, self._connection,
                                        self.timeline)
        self._open = {}
        self._lock = threading.Lock()
        self._clients = []
        self._metric_off = threading.Event()

    def run(self):
        """Run it to its end and return the summary."""
        # Of an earlier run that could not tidy up.
        self._delete_stack()
        with contextlib.ExitStack() as at_the_end:
            resource = self._create_metric()
            at_the_end.callback(self._openstack, 'metric', 'resource',
                                'delete', resource)
            at_the_end.callback(self._delete_stack)
            at_the_end.callback(self._watchers.stop)
            at_the_end.callback(self._metric_off.set)
            self._create_stack(resource)
            self._play(resource)
        return timelines.summarize(self.timeline, self._with_hook)

    def _play(self, resource):
        outputs = self._outputs()
        servers = self._servers()
        alarm = self._stack_resource('scale_in_alarm')
        self._watchers.start(
            servers, alarm, outputs['hook_queue_name'],
            cluster_id=outputs['cluster_id'] if self._with_senlin else None)
        self._open_sessions(servers, FIRST_SESSIONS, FIRST_LENGTHS)
        metric = threading.Thread(target=self._push_measures, daemon=True,
                                  args=(self._metric(resource), len(servers)))
        metric.start()
        self._wait('the scale-in to be over', lambda: len(
            self.timeline.times('server_deleted')) == 1)
        self._wait('the first sessions to end', self._all_over)

        left = {id: address for id, address in servers.items()
                if not self.timeline.times('server_deleted', id)}
        self._open_sessions(left, LAST_SESSIONS, LAST_LENGTHS)
        self.timeline.add('stack_delete', 'Heat: stack delete is requested')
        self._openstack('stack', 'delete', '--yes', '--wait', STACK)
        self.timeline.add('stack_deleted', 'Heat: the stack is deleted')
        self._wait('the last sessions to end', self._all_over)
        self._wait('the deletion of every server', lambda: len(
            self.timeline.times('server_deleted')) == len(servers))
        self._metric_off.set()
        metric.join()

    # The stack

    def _create_metric(self):
        resource = str(uuid.uuid4())
        self._openstack('metric', 'resource', 'create', '--type', 'generic',
                        '--create-metric',
                        'sessions:' + bootstrap.ARCHIVE_POLICY, resource)
        return resource

    def _create_stack(self, resource):
        files = ['environments/demo.yaml', str(
            self._metric_environment(resource).relative_to(cloud.REPO))]
        if not self._with_hook:
            files.append('environments/without-hook.yaml')
        self._openstack(
            'stack', 'create', '--wait',
            '--template', str(self._template().relative_to(cloud.REPO)),
            *[word for name in files
              for word in ('--environment', name)], STACK)
        self.timeline.add('stack_created', 'Heat: the stack is created')

    def _template(self):
        return examples.write('sessions', self._build, self._with_senlin,
                              self._with_hook)

    def _metric_environment(self, resource):
        path = self._build / 'metric.yaml'
        path.write_text('parameter_defaults:\n  metric_resource_id: %s\n'
                        % resource)
        return path

    def _delete_stack(self):
        orchestration = self._connection.orchestration
        if orchestration.find_stack(STACK) is not None:
            self._openstack('stack', 'delete', '--yes', '--wait', STACK)

    def _outputs(self):
        stack = self._connection.orchestration.get_stack(STACK)
        return {o['output_key']: o['output_value'] for o in stack.outputs}

    def _stack_resource(self, name):
        """Physical ID of a resource, in whichever nested stack it is."""
        answer = self._connection.orchestration.get(
            '/stacks/%s/resources' % STACK, params={'nested_depth': 5})
        return next(r['physical_resource_id']
                    for r in answer.json()['resources']
                    if r['resource_name'] == name)

    def _servers(self):
        """Return {server ID: address} of the members."""
        return {server.id: server.addresses[bootstrap.NETWORK][0]['addr']
                for server in self._connection.compute.servers()}

    # The sessions

    def _open_sessions(self, servers, number, lengths):
        for address in servers.values():
            self._wait('%s to answer' % address,
                       lambda a=address: _answers(a))
        shortest, longest = lengths
        step = (longest - shortest) / (number - 1)
        names = list(servers)
        plan = []
        with self._lock:
            for i in range(number):
                server = names[i % len(names)]
                plan.append((servers[server], shortest + i * step))
                self._open[servers[server]] = server
        thread = threading.Thread(
            target=sessions_client.run, daemon=True,
            args=(plan, PORT, self._session_over))
        thread.start()
        self._clients.append(thread)
        self.timeline.add(
            'sessions_opened', '%d sessions of %d to %d s on %d servers'
            % (number, shortest, longest, len(servers)), sessions=number)

    def _session_over(self, address, finished, reason):
        self.timeline.add(
            'session_ended', 'a session has finished' if finished
            else 'A SESSION WAS CUT: %s' % reason,
            self._open[address], result='finished' if finished else 'cut')

    def _sessions_left(self):
        opened = sum(e['sessions'] for e in list(self.timeline.events)
                     if e['event'] == 'sessions_opened')
        return opened - len(self.timeline.times('session_ended'))

    def _all_over(self):
        return not self._sessions_left()

    # The metric

    def _metric(self, resource):
        url = self._cloud.url(
            gnocchi.PORT, '/v1/resource/generic/%s/metric/sessions' % resource)
        return self._connection.session.get(url).json()['id']

    def _push_measures(self, metric, servers):
        """Push the open sessions a server, until told otherwise."""
        url = self._cloud.url(gnocchi.PORT,
                              '/v1/metric/%s/measures' % metric)
        while not self._metric_off.wait(1):
            now = datetime.datetime.now(datetime.timezone.utc)
            self._connection.session.post(url, json=[{
                'timestamp': now.isoformat(),
                'value': self._sessions_left() / servers}])

    # Helpers

    def _openstack(self, *words):
        """Run the openstack command, as a person would."""
        print('$ openstack --os-cloud sandbox %s' % ' '.join(words),
              flush=True)
        log = self._build / 'openstack.log'
        with open(log, 'a') as stream:
            try:
                subprocess.run(
                    [cloud.script('openstack'), '--os-cloud', 'sandbox',
                     *words], check=True, timeout=PATIENCE, stdout=stream,
                    stderr=stream, stdin=subprocess.DEVNULL,
                    cwd=cloud.REPO, env=dict(
                        os.environ,
                        OS_CLIENT_CONFIG_FILE=str(self._cloud.clouds_yaml)))
            except subprocess.SubprocessError as error:
                raise DemoError(
                    '"openstack %s ..." failed, see the end of %s. (%s)'
                    % (' '.join(words[:2]), log,
                       type(error).__name__)) from None

    def _wait(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            if self._watchers.error:
                raise self._watchers.error
            if time.monotonic() > end:
                raise DemoError('Waited %d s for %s.' % (PATIENCE, what))
            time.sleep(0.1)


def _answers(address):
    try:
        with socket.create_connection((address, PORT), timeout=2):
            return True
    except OSError:
        return False


def main(argv=None):
    """Run the demo.

    :returns: 0 if no session was cut and everything came in its order.
    """
    parser = argparse.ArgumentParser(
        prog='demo', description='A server drains before it is deleted, on '
        'a real local cloud.')
    parser.add_argument('--without-hook', action='store_true',
                        help='the same without lifecycle hook: sessions are '
                             'cut, and the exit status says so')
    parser.add_argument('--without-senlin', action='store_true',
                        default=not releases.is_installed('senlin'),
                        help="the same with a group of Heat's own, as in a "
                             'release line that has no Senlin')
    parser.add_argument('--keep', action='store_true',
                        help='leave the local cloud running')
    parser.add_argument('--format', choices=('text', 'json'), default='text',
                        help='how the summary is printed')
    args = environments.parse(parser, argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    build = cloud.REPO / 'build' / releases.named(
        'demo-without-hook' if args.without_hook else 'demo',
        releases.current())
    build.mkdir(parents=True, exist_ok=True)
    local = lifecycle.LocalCloud(cloud.Cloud())
    try:
        with local.running(args.keep):
            demo = Demo(local.cloud, not args.without_hook,
                        not args.without_senlin, build)
            summary = demo.run()
    except (DemoError, cloud.SandboxError) as error:
        print('demo: %s' % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('demo: interrupted.', file=sys.stderr)
        return 130
    path = pathlib.Path(build, 'timeline.json')
    timelines.write(path, demo.timeline, summary, releases.current())
    if args.format == 'json':
        print(json.dumps(summary, indent=1))
    else:
        print('', *timelines.report(summary), 'Written   %s' % path, sep='\n')
    return int(bool(summary['sessions_cut']) or not summary['order_ok'])


if __name__ == '__main__':
    sys.exit(main())
