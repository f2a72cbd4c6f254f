#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Measure what the drain agent costs a server, beside os-collect-config.

Both run on this machine against a small local server, the agent with its
default poll of one second. os-collect-config is asked for the same: to read a
Zaqar queue, and a URL as Heat's POLL_TEMP_URL does. It polls every 300 seconds
by default, which no short measurement can see: that row has its memory
measured, and the rest computed from what one of its polls cost.

Memory is that of the process without its handlers, in KiB. CPU time is that of
all its threads.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import venv

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from tests.agent import fake_cloud  # noqa: E402

RIVAL = REPO / 'build' / 'os-collect-config'
RIVAL_INTERVAL = 300
# Requests of one poll, by what is asked: Keystone twice and Zaqar, or HEAD and
# GET of a URL.
RIVAL_REQUESTS = {'zaqar': 3, 'request': 2}
NAMES = ('idle_pss', 'idle_rss', 'draining_pss', 'draining_rss',
         'cpu_seconds_per_hour', 'requests_per_minute')
TITLES = ('PSS idle', 'RSS idle', 'PSS drain', 'RSS drain', 'CPU s/h',
          'requests/min')


class Handler(fake_cloud._Handler):
    """The fake cloud's, with what os-collect-config asks for besides."""

    def parse_request(self):
        self.server.count += 1
        return super().parse_request()

    def do_HEAD(self):
        self._answer(200, b'')

    def do_GET(self):
        if self.path == '/metadata':
            self._answer(200, b'{"unchanged": true}')
        elif self.path.startswith('/v3'):
            self._answer(200, json.dumps({'version': {
                'id': 'v3.14', 'status': 'stable', 'links': [
                    {'rel': 'self', 'href': self.server.origin + '/v3'}],
            }}).encode())
        else:
            super().do_GET()

    def do_POST(self):
        if self.path != '/v3/auth/tokens':
            super().do_POST()
            return
        self.rfile.read(int(self.headers['Content-Length']))
        body = json.dumps({'token': {
            'methods': ['password'], 'user': {
                'id': 'u', 'name': 'u', 'domain': {'id': 'd', 'name': 'd'}},
            'issued_at': '2020-01-01T00:00:00.000000Z',
            'expires_at': '2100-01-01T00:00:00.000000Z',
            'project': {'id': 'p', 'name': 'p',
                        'domain': {'id': 'd', 'name': 'd'}},
            'roles': [], 'catalog': [{
                'type': 'messaging', 'name': 'zaqar', 'id': 'z',
                'endpoints': [{
                    'id': 'e', 'interface': 'public', 'region': 'r',
                    'region_id': 'r', 'url': self.server.origin}]}]}}).encode()
        self.send_response(201)
        self.send_header('X-Subject-Token', 'token')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self._answer(201)

    def do_DELETE(self):
        # What a pop takes from an empty queue.
        self._answer(200, b'{"messages": []}')


class Cloud(fake_cloud.FakeCloud):

    def __init__(self):
        self.count = 0
        super().__init__()
        self.RequestHandlerClass = Handler


def memory(pid):
    """Return (PSS, RSS)."""
    text = pathlib.Path('/proc/%d/smaps_rollup' % pid).read_text()
    lines = dict(line.split(':', 1) for line in text.splitlines()[1:])
    return tuple(int(lines[key].split()[0]) for key in ('Pss', 'Rss'))


def cpu_seconds(pid):
    # To the nanosecond: a tick of /proc/PID/stat is many polls.
    tasks = pathlib.Path('/proc/%d/task' % pid).glob('*/schedstat')
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit('%s does not work here' % process.args[-1])
        time.sleep(0.05)


@contextlib.contextmanager
def running(argv):
    """Run a program with nothing in its environment but a PATH."""
    process = subprocess.Popen(
        argv, env={'PATH': '/usr/bin:/bin'}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def idle(cloud, process, seconds):
    """Return what a program costs that polls in vain."""
    before, count = cpu_seconds(process.pid), cloud.count
    started = time.monotonic()
    time.sleep(seconds)
    used = cpu_seconds(process.pid) - before
    took = time.monotonic() - started
    return dict(zip(NAMES, memory(process.pid) + (None, None) + (
        used / took * 3600, (cloud.count - count) / took * 60)))


def measure_agent(agent, python, seconds):
    with tempfile.TemporaryDirectory() as folder, Cloud() as cloud:
        root = pathlib.Path(folder)
        message = fake_cloud.contract('hook_message')
        # Without an interval: the default is what is measured.
        config = dict(cloud.config, timeout=seconds + 600,
                      server_id=message['resource_id'])
        (root / 'agent.json').write_text(json.dumps(config))
        handlers = root / 'drain.d'
        handlers.mkdir()
        handler = handlers / '50-wait'
        handler.write_text('#!/bin/sh\ntouch %s/begun\nsleep %d\n'
                           % (root, seconds + 600))
        handler.chmod(0o755)
        with running([python, '-I', str(agent),
                      '--config', str(root / 'agent.json'),
                      '--state-dir', str(root / 'state'),
                      '--run-dir', str(root / 'run'),
                      '--handlers', str(handlers)]) as process:
            wait_for(lambda: len(cloud.polls) > 5, process)
            result = idle(cloud, process, seconds)
            cloud.post(message)
            wait_for((root / 'begun').exists, process)
            time.sleep(1)
            result['draining_pss'], result['draining_rss'] = (
                memory(process.pid))
        cloud.shutdown()
        return result


def install_rival():
    """Return os-collect-config in a virtual environment of its own."""
    program = RIVAL / 'bin' / 'os-collect-config'
    if not program.exists():
        venv.create(RIVAL, with_pip=True)
        subprocess.run([RIVAL / 'bin' / 'pip', 'install', '--quiet',
                        'os-collect-config'], check=True,
                       stdout=sys.stderr)
    return str(program)


def measure_rival(collector, seconds):
    with tempfile.TemporaryDirectory() as folder, Cloud() as cloud:
        argv = [install_rival(), '--cachedir', folder + '/cache',
                '--backup-cachedir', folder + '/backup',
                '--config-file', '/dev/null',
                '--min-polling-interval', '1', '--polling-interval', '1']
        if collector == 'request':
            argv += ['--request-metadata-url', cloud.origin + '/metadata']
        else:
            argv += ['--zaqar-auth-url', cloud.origin + '/v3',
                     '--zaqar-user-id', 'u', '--zaqar-password', 'p',
                     '--zaqar-project-id', 'p', '--zaqar-queue-id', 'q']
        # Without a command, it prints what it finds once and ends.
        with running(argv + ['--command', 'true', collector]) as process:
            wait_for(lambda: cloud.count > 20, process)
            result = idle(cloud, process, seconds)
        cloud.shutdown()
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--agent', type=pathlib.Path, metavar='PATH',
                        default=REPO / 'templates/agent/drain_agent.py')
    parser.add_argument('--python', default=shutil.which('python3'),
                        help='what runs the agent (default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--format', choices=('table', 'json'),
                        default='table')
    args = parser.parse_args()

    rows = {'drain agent, 1 s': measure_agent(
        args.agent, args.python, args.seconds)}
    for collector, requests in RIVAL_REQUESTS.items():
        often = measure_rival(collector, args.seconds)
        rows['os-collect-config, %s, 1 s' % collector] = often
        share = (requests * 60 / RIVAL_INTERVAL
                 / often['requests_per_minute'])
        rows['os-collect-config, %s, 300 s' % collector] = dict(often, **{
            name: often[name] * share for name in NAMES[4:]})
    if args.format == 'json':
        json.dump(rows, sys.stdout, indent=2)
        print()
        return
    print('%-34s' % '' + ''.join('%13s' % title for title in TITLES))
    for name, row in rows.items():
        print('%-34s' % name + ''.join(
            '%13s' % ('-' if row[key] is None else '%.4g' % row[key]
                      if key in NAMES[4:] else row[key]) for key in NAMES))


if __name__ == '__main__':
    main()
