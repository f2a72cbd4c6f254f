#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Measure what the drain agent costs a server, on this machine.

It runs against a small local server, with its default poll of one second. What
it costs beside os-collect-config, in servers of the local cloud, is measured
by "python -m bench --only software_deployment".

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

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from tests.agent import fake_cloud  # noqa: E402

NAMES = ('idle_pss', 'idle_rss', 'draining_pss', 'draining_rss',
         'cpu_seconds_per_hour', 'requests_per_minute')
TITLES = ('PSS idle', 'RSS idle', 'PSS drain', 'RSS drain', 'CPU s/h',
          'requests/min')


class Handler(fake_cloud._Handler):
    """The fake cloud's, and counts."""

    def parse_request(self):
        self.server.count += 1
        return super().parse_request()


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
    if args.format == 'json':
        json.dump(rows, sys.stdout, indent=2)
        print()
        return
    print('%-20s' % '' + ''.join('%13s' % title for title in TITLES))
    for name, row in rows.items():
        print('%-20s' % name + ''.join(
            '%13s' % ('-' if row[key] is None else '%.4g' % row[key]
                      if key in NAMES[4:] else row[key]) for key in NAMES))


if __name__ == '__main__':
    main()
