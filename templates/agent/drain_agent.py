# SPDX-License-Identifier: Apache-2.0

"""The drain agent: lets a server finish its work before it is deleted.

It reads the lifecycle hook's queue. When a message names this server, it runs
the handlers in name order, with the message in LIFECYCLE_* variables, and
signals the result. LIFECYCLE_DEADLINE is the epoch second at which a handler
gets TERM, and KILL soon after.

A restarted agent runs a handler again if it was interrupted, not if it had
finished.

Needs Python 3.6. Keeps the signed URLs out of its log and command line.
"""

import argparse
import contextlib
import fcntl
import glob
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from urllib import error as urlerror
from urllib import parse
from urllib import request
import uuid

INSTANCE_ID = '/var/lib/cloud/data/instance-id'
METADATA = 'http://169.254.169.254/openstack/latest/meta_data.json'
DMI_UUID = '/sys/class/dmi/id/product_uuid'

REQUEST_TIMEOUT = 10
# Far below the 300 seconds that Senlin's messages live.
MAX_BACKOFF = 15
# Seconds from a handler's deadline to the end of the hook's timeout, or a
# tenth of the timeout if less: half to stop the handler, half to signal.
MAX_MARGIN = 15
# Polls without news until the whole queue is read again: to a marker, Zaqar
# on Redis shows nothing that comes behind ten expired messages (18.0.0 without
# zaqar-gc, storage/redis/messages.py).
LOOK_AGAIN = 30

# What a request and the reading of its answer can raise.
FAILURES = (OSError, http.client.HTTPException, ValueError, LookupError,
            TypeError, AttributeError)

STATE = {'client_id': '', 'marker': '', 'completed': [], 'drain': {}}
TOKEN = 'LIFECYCLE_ACTION_TOKEN'


def log(level, text, *values):
    now = time.time()
    line = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now)) + (
        '%.3fZ %s ' % (now % 1, level))[1:] + text % values
    line = ''.join(c if c.isprintable() else ' ' for c in line)
    # A full disk must not stop a drain.
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b'\n')


def describe(error):
    """Say what went wrong, not the URL as http.client does."""
    if isinstance(error, urlerror.HTTPError):
        return 'HTTP %d' % error.code
    if isinstance(error, urlerror.URLError):
        error = error.reason
    return getattr(error, 'strerror', None) or type(error).__name__


class NoRedirect(request.HTTPRedirectHandler):

    def redirect_request(self, *args):
        """Refuse: a POST becomes a GET, whose 200 means nothing."""


# No proxy: it would answer with the metadata of the server it runs on.
OPENER = request.build_opener(NoRedirect, request.ProxyHandler({}))


def fetch(url, timeout=REQUEST_TIMEOUT, **kwargs):
    asked = request.Request(url, **kwargs)
    with OPENER.open(asked, timeout=timeout) as response:
        return response.read().decode('utf-8', 'replace')


def read(path):
    with open(path, encoding='utf-8', errors='replace') as source:
        return source.read()


class State(dict):
    """What must survive a restart: one JSON file, replaced in one step."""

    def __init__(self, path):
        super().__init__(STATE, client_id=str(uuid.uuid4()))
        self.path = path
        try:
            found = json.loads(read(path))
            for key, value in STATE.items():
                if not isinstance(found[key], type(value)):
                    raise TypeError
            self.update(found)
        except FAILURES as error:
            log('info', 'starting afresh, %s: %s', path, describe(error))

    def save(self, **changes):
        self.update(changes)
        try:
            with open(self.path + '.new', 'w') as target:
                json.dump(self, target)
                target.flush()
                os.fsync(target.fileno())
            os.replace(self.path + '.new', self.path)
        except OSError as error:
            # Better drain without a memory than not at all.
            log('error', '%s: %s', self.path, describe(error))


class Agent:

    def __init__(self, config, state, handlers):
        queue = config['queue']
        self.url = queue['url']
        self.headers = {
            'Accept': 'application/json',
            'Client-ID': state['client_id'],
            'URL-Expires': queue['expires'],
            'URL-Methods': ','.join(queue['methods']),
            'URL-Paths': ','.join(queue['paths']),
            'URL-Signature': queue['signature'],
            'X-Project-Id': queue['project_id'],
        }
        self.signal_url = config['signal_url']
        self.timeout = float(config['timeout'])
        self.interval = float(config.get('interval', 1))
        self.on_failure = config.get('on_failure', 'CONTINUE')
        if self.on_failure not in ('CONTINUE', 'ROLLBACK'):
            raise KeyError('on_failure')
        self.config = config
        self.state = state
        self.handlers = os.path.abspath(handlers)
        self.failures = 0
        # Process groups of the handler at work.
        self.groups = set()
        # First what came after the marker, then the whole queue.
        self.quiet = -2

    def run(self):
        while not self.identify():
            time.sleep(self.pace('server id', 'no source has it'))
        self.failures = 0
        # A handler that outlived its agent must not meet itself.
        self.end_handlers()
        try:
            while True:
                if self.state['drain']:
                    self.drain(self.state['drain'])
                time.sleep(self.poll())
        finally:
            self.end_handlers()

    def pace(self, what, problem=''):
        """Return the next wait; log when success and failure alternate."""
        if bool(problem) != bool(self.failures):
            log('warning' if problem else 'info', '%s: %s', what,
                problem or 'works again')
        self.failures = min(self.failures + 1, 20) if problem else 0
        delay = min(MAX_BACKOFF, self.interval * 2 ** self.failures)
        return delay * random.uniform(0.8, 1.2)

    def identify(self):
        for source, get in (
                ('the configuration', lambda: self.config['server_id']),
                (INSTANCE_ID, lambda: read(INSTANCE_ID)),
                (METADATA, lambda: json.loads(fetch(METADATA, 3))['uuid']),
                (DMI_UUID, lambda: read(DMI_UUID))):
            try:
                # Not the "i-0000002a" of cloud-init's EC2 source.
                self.server_id = str(uuid.UUID(get().strip()))
            except FAILURES:
                continue
            log('info', 'server %s, from %s', self.server_id, source)
            return True

    def poll(self):
        """Read a page of the queue; return the wait until the next one."""
        marker = self.state['marker']
        query = {'echo': 'true'}
        self.quiet += 1
        if marker and self.quiet % LOOK_AGAIN:
            # What somebody has claimed is for us all the same. Only with a
            # marker: without, Zaqar on Redis answers 503.
            query.update(marker=marker, include_claimed='true')
        url = self.url + '?' + parse.urlencode(query)
        try:
            page = json.loads(fetch(url, headers=self.headers) or '{}')
            for link in page.get('links', ()):
                if link['rel'] == 'next':
                    href = parse.urlsplit(link['href'])
                    marker = parse.parse_qs(href.query)['marker'][0]
            for message in page.get('messages', ()):
                self.consider(message, message['body'])
        except FAILURES as error:
            # It may be the marker, and this may last until all expire.
            self.quiet = -1
            return self.pace('queue', describe(error))
        delay = self.pace('queue')
        if self.state['drain']:
            # The marker stays: the page may have more for us.
            return 0
        if marker == self.state['marker']:
            return delay
        self.quiet = 0
        self.state.save(marker=marker)
        return 0

    def consider(self, message, body):
        """Put a drain in the state if the message asks for one here."""
        if self.state['drain'] or not isinstance(body, dict):
            return
        token = str(body.get('lifecycle_action_token') or '')
        server = str(body.get('resource_id')).lower()
        if (server != self.server_id or not token
                or token in self.state['completed']):
            return
        now = time.time()
        # The hook's clock runs since the message was posted.
        end = now - message.get('age', 0) + self.timeout
        if end <= now:
            log('warning', 'drain %.8s: too late, ignored', token)
            self.complete(token)
            return
        deadline = end - min(MAX_MARGIN, self.timeout / 10)
        log('info', 'drain %.8s: begun, %d s left', token, end - now)
        # By the wall clock: no other means anything after a reboot.
        self.state.save(drain={
            'started': now, 'deadline': deadline, 'end': end,
            # What went wrong with each handler that had its turn.
            'handlers': {},
            'signal': None,
            'env': {
                TOKEN: token,
                'LIFECYCLE_SERVER_ID': server,
                'LIFECYCLE_NODE_ID': str(body.get('node_id')),
                'LIFECYCLE_TRANSITION_TYPE':
                    str(body.get('lifecycle_transition_type')),
                'LIFECYCLE_DEADLINE': str(int(deadline)),
            }})

    def complete(self, token):
        # The messages of still older drains have expired.
        done = self.state['completed'][-99:] + [token]
        self.state.save(completed=done, drain={})

    def drain(self, drain):
        """Carry on with a drain from wherever it is, to its end."""
        # From here on the clock may be set. One set back before must not
        # give more time than there was.
        offset = time.monotonic() - max(time.time(), drain['started'])
        done = drain['handlers']
        if not drain['signal']:
            for path in sorted(glob.glob(glob.escape(self.handlers) + '/*')):
                name = os.path.basename(path)
                executable = os.path.isfile(path) and os.access(path, os.X_OK)
                if executable and name not in done:
                    problem = self.handle(name, path, drain, offset)
                    log('warning' if problem else 'info', 'handler %s: %s',
                        name, problem or 'succeeded')
                    done[name] = problem
                    self.state.save()
            problems = [name + ' ' + problem
                        for name, problem in sorted(done.items()) if problem]
            reason = 'drained in %d s' % (
                time.monotonic() - offset - drain['started'])
            if not done:
                reason = 'no handler in ' + self.handlers
            # Saved first, so that a repetition says the same.
            drain['signal'] = {
                'lifecycle_action_token': drain['env'][TOKEN],
                'lifecycle_action_result':
                    self.on_failure if problems else 'CONTINUE',
                'reason': '; '.join(problems)[:255] or reason}
            self.state.save()
        self.send(drain['signal'], drain['end'] + offset)
        self.complete(drain['env'][TOKEN])

    def handle(self, name, path, drain, offset):
        """Run a handler; return what went wrong, '' for success."""
        log('info', 'handler %s: started', name)
        left = drain['deadline'] + offset - time.monotonic()
        if left <= 0:
            return 'was not run: no time left'
        try:
            process = subprocess.Popen(
                [path], env=dict(os.environ, **drain['env']), cwd='/',
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True)
        except (OSError, ValueError) as error:
            return 'cannot be run: ' + describe(error)

        def relay():
            # A limit, or a line without an end would fill the memory.
            for line in iter(lambda: process.stdout.readline(4096), b''):
                log('info', '%s| %s', name,
                    line.decode('utf-8', 'replace').rstrip())

        self.groups = {process.pid}
        # A thread, because what the handler leaves running may hold the pipe
        # open: the end of output is not the handler's end.
        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        try:
            status = process.wait(left)
        except subprocess.TimeoutExpired:
            self.end_handlers()
            return 'was stopped at the deadline'
        self.groups = set()
        thread.join(1)
        if status < 0:
            return 'was killed by signal %d' % -status
        return 'failed with exit status %d' % status if status else ''

    def end_handlers(self):
        """Stop whatever a drain's handlers have running: TERM, then KILL."""
        drain = self.state['drain']
        if not drain:
            return
        limit = time.monotonic() + (drain['end'] - drain['deadline']) / 2
        mark = TOKEN + '=' + drain['env'][TOKEN]
        number = signal.SIGTERM
        while True:
            # What has left the handler's group or lost its agent.
            for path in glob.glob('/proc/[0-9]*/environ'):
                with contextlib.suppress(OSError):
                    if mark in read(path).split('\0'):
                        self.groups.add(os.getpgid(int(path.split('/')[2])))
            for group in tuple(self.groups):
                # A zombie would keep its group alive.
                with contextlib.suppress(OSError):
                    os.waitpid(-group, os.WNOHANG)
                try:
                    os.killpg(group, number)
                except OSError:
                    self.groups.remove(group)
            if not self.groups or number == signal.SIGKILL:
                return
            time.sleep(0.05)
            number = 0 if time.monotonic() < limit else signal.SIGKILL

    def send(self, document, limit):
        """Signal until it is accepted or the hook has given up."""
        while True:
            left = limit - time.monotonic()
            try:
                fetch(self.signal_url, max(1, min(REQUEST_TIMEOUT, left)),
                      data=json.dumps(document).encode(),
                      headers={'Content-Type': 'application/json'})
            except FAILURES as error:
                delay = self.pace('signal', describe(error))
            else:
                self.pace('signal')
                log('info', 'signal accepted: %s, %s',
                    document['lifecycle_action_result'], document['reason'])
                return
            # Once however late, since clocks differ.
            if left <= 0:
                log('error', 'signal: given up, the timeout is over')
                self.failures = 0
                return
            time.sleep(min(delay, left))


def stop(*args):
    # What may be killed anywhere may be stopped anywhere.
    log('info', 'stopped')
    sys.exit()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--config', default='/etc/lifecycle/agent.json')
    parser.add_argument('--state-dir', default='/var/lib/lifecycle')
    parser.add_argument('--handlers', default='/etc/lifecycle/drain.d')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    try:
        os.makedirs(args.state_dir, 0o700, exist_ok=True)
        # Locked until the process ends, and lockable on a full disk.
        fcntl.flock(os.open(args.state_dir, os.O_RDONLY),
                    fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log('error', 'another agent runs on %s', args.state_dir)
        return 1
    try:
        state = State(args.state_dir + '/state.json')
        agent = Agent(json.loads(read(args.config)), state, args.handlers)
    except FAILURES as error:
        # A key at most, since a value may be a secret.
        log('error', '%s is of no use: %s', args.config,
            error if isinstance(error, KeyError) else describe(error))
        return 1
    agent.run()


if __name__ == '__main__':
    sys.exit(main())
