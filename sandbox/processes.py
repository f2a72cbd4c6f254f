# SPDX-License-Identifier: Apache-2.0

"""Start, find and stop the processes of the local cloud.

A service is the leader of a session of its own. Its process id is kept on
disk together with the time at which the kernel started it, so that nothing
else is ever signalled, however often ids are used again.
"""

import json
import os
import signal
import subprocess
import time

from sandbox import cloud
from sandbox import prerequisites


def _started(pid):
    """When the kernel started a process (clock ticks since boot), or None."""
    try:
        with open('/proc/%d/stat' % pid) as stream:
            fields = stream.read().rpartition(')')[2].split()
    except OSError:
        return None
    # proc(5): the state is the first field here, the start time the 20th.
    return None if fields[0] == 'Z' else int(fields[19])


def _session(leader):
    """Process ids of the session that a leader opened."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                if os.getsid(int(entry)) == leader and _started(int(entry)):
                    found.append(int(entry))
            except OSError:
                continue
    return found


class Processes:
    """The processes of one cloud.

    :param local_cloud: the cloud whose state folder keeps the records.
    """

    def __init__(self, local_cloud):
        self._cloud = local_cloud
        self._children = {}

    def _record(self, name):
        return self._cloud.state / 'pids' / name

    def log(self, name):
        return self._cloud.logs / (name + '.log')

    def environment(self, extra=()):
        """A small environment: no variable of the caller changes a service."""
        kept = {name: value for name, value in os.environ.items()
                if name in ('PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR')}
        return {**kept, 'PYTHONPATH': str(cloud.REPO),
                'PYTHONUNBUFFERED': '1', 'SANDBOX_NETWORK': cloud.NETWORK,
                # By this another cloud knows who has its ports.
                prerequisites.MARK: str(self._cloud.state),
                **dict(extra)}

    def start(self, service):
        """Start a service unless it runs."""
        if self.pid(service.name):
            return
        # Somebody may still run of a leader that died.
        self.stop(service.name, 0)
        with open(self.log(service.name), 'ab') as log:
            child = subprocess.Popen(
                service.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=self.environment(service.environment()))
        self._children[service.name] = child
        cloud.write_atomically(
            self._record(service.name),
            json.dumps({'pid': child.pid, 'started': _started(child.pid)}))

    def pid(self, name):
        """Process id of a running service, or None."""
        child = self._children.get(name)
        if child is not None and child.poll() is not None:
            return None
        record = self._read(name)
        if record and record['started'] == _started(record['pid']):
            return record['pid']
        return None

    def _read(self, name):
        try:
            return json.loads(self._record(name).read_text())
        except (OSError, ValueError):
            return None

    def names(self):
        """Names of all services that have ever been started."""
        try:
            return sorted(os.listdir(self._cloud.state / 'pids'))
        except FileNotFoundError:
            return []

    def signal(self, name, number):
        """Send a signal to every process of a service.

        :returns: the ids of the processes that were there.
        """
        record = self._read(name)
        if not record:
            return []
        pids = []
        if record['started'] == _started(record['pid']):
            pids.append(record['pid'])
        elif _started(record['pid']) is not None:
            # The id is somebody else's by now, and so is its session.
            return []
        pids += [pid for pid in _session(record['pid']) if pid not in pids]
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        return pids

    def stop(self, name, timeout):
        """Stop a service: SIGTERM, and SIGKILL after a while.

        :param timeout: seconds between the two.
        """
        if self.signal(name, signal.SIGTERM):
            end = time.monotonic() + timeout
            while self.signal(name, 0) and time.monotonic() < end:
                self._reap(name)
                time.sleep(0.05)
            while self.signal(name, signal.SIGKILL):
                self._reap(name)
                time.sleep(0.05)
        self._reap(name)
        self._children.pop(name, None)
        self._record(name).unlink(missing_ok=True)

    def _reap(self, name):
        if name in self._children:
            self._children[name].poll()
