# SPDX-License-Identifier: Apache-2.0

"""The drain agent: lets a server finish its work before it is deleted.

It reads the lifecycle hook's queue. When a message names this server, it turns
its health endpoint unhealthy, runs the handlers in name order with the message
in LIFECYCLE_* variables, then the built-in steps of its configuration, and
signals the result. LIFECYCLE_DEADLINE is the epoch second at which a handler
gets TERM, and KILL soon after.

A restarted agent runs a handler again if it was interrupted, not if it had
finished.

Needs Python 3.6. Keeps the signed URLs out of its log and command line.

User data carries it packed, as drain-agent.b64: see tools/ship_agent.py.
"""

import argparse
import contextlib
import fcntl
import glob
import http.client
import json
import os
import random
import re
import signal
import socket
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
CONFIG_DRIVE = '/dev/disk/by-label/config-2'
DMI_UUID = '/sys/class/dmi/id/product_uuid'
BOOT_ID = '/proc/sys/kernel/random/boot_id'
# Exists if the kernel has IPv6.
IF_INET6 = '/proc/net/if_inet6'

REQUEST_TIMEOUT = 10
# Far below the 300 seconds that Senlin's messages live.
MAX_BACKOFF = 15
# Seconds from a handler's deadline to the end of the hook's timeout, or a
# tenth of the timeout if less: half to stop the handler, half to signal.
MAX_MARGIN = 15
# Polls without news until the whole queue is read again: to a marker, Zaqar
# on Redis shows nothing that comes behind a page of expired messages (18.0.0
# without zaqar-gc, storage/redis/messages.py). About as long as a message
# lives, so that none is read much more than once.
LOOK_AGAIN = 300
# Polls until an accepted signal is sent again if the server is still there:
# Heat answers before it acts, and may die in between. Doubled each time.
SAY_AGAIN = 15
REPORT_PERIOD = 15

# States of a TCP connection in which bytes may be on their way or to come:
# ESTABLISHED, FIN_WAIT1, CLOSE_WAIT, LAST_ACK and CLOSING.
OPEN = ('01', '04', '08', '09', '0B')

# What a request and the reading of its answer can raise.
FAILURES = (OSError, http.client.HTTPException, ValueError, LookupError,
            ArithmeticError, TypeError, AttributeError, RecursionError)

# "drains" are those to be done, the first one at work. "last" is the one
# before, until its time is over. "draining" outlives both when a server is
# about to go.
STATE = {'client_id': '', 'marker': '', 'completed': [], 'drains': [],
         'last': {}, 'draining': False}
TOKEN = 'LIFECYCLE_ACTION_TOKEN'

RESULTS = ('CONTINUE', 'ROLLBACK')
FORMATS = ('text', 'json')

log_format = 'text'
# Files of which the log has said so.
unwritable = set()


def log(level, text, *values):
    now = time.time()
    when = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now)) + (
        '%.3fZ' % (now % 1))[1:]
    text = ''.join(c if c.isprintable() else ' ' for c in text % values)
    line = (json.dumps({'time': when, 'level': level, 'message': text})
            if log_format == 'json' else ' '.join((when, level, text)))
    # A full disk must not stop a drain.
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b'\n')


def describe(error):
    """Say what went wrong, not the URL as http.client does."""
    if isinstance(error, urlerror.HTTPError):
        error.close()
        return 'HTTP %d' % error.code
    if isinstance(error, urlerror.URLError):
        error = error.reason
    return getattr(error, 'strerror', None) or type(error).__name__


def is_place(place):
    """Whether it is a port, or "address:port"."""
    return 0 < int(str(place).rpartition(':')[2]) < 65536


def is_text(value):
    return isinstance(value, str)


# What the configuration may say beside what the hook has put there: the usual
# value, and whether another one will do.
SETTINGS = {
    'interval': (1, lambda value: 0 < value <= 60),
    'heartbeat': (0, lambda value: value >= 0),
    'on_failure': ('CONTINUE', lambda value: value in RESULTS),
    'drain_delay': (0, lambda value: value >= 0),
    'wait_ports': ([], lambda value: (
        value == list(value) and all(map(is_place, value)))),
    'stop_units': ([], lambda value: value == list(map(str, value))),
    'marker_file': ('', is_text),
    'health': ('', lambda value: value == '' or is_place(value)),
    'metrics_file': ('', is_text),
    'log_format': ('text', lambda value: value in FORMATS),
}


def of_no_use(path, error):
    # A file or a key at most, since a value may be a secret.
    return '%s is of no use: %s' % (
        path, error if isinstance(error, KeyError) else describe(error))


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


def write(path, text):
    """Replace a file in one step; whoever reads it sees all or nothing."""
    try:
        with open(path + '.new', 'w') as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        os.replace(path + '.new', path)
        unwritable.discard(path)
    except OSError as error:
        # Better drain without a memory than not at all.
        if path not in unwritable:
            log('error', '%s: %s', path, describe(error))
        unwritable.add(path)


def settings(path):
    """Return {file: text} of the hook's file and those beside it."""
    found = {}
    for name in [path] + sorted(glob.glob(
            glob.escape(os.path.dirname(path)) + '/agent.d/*.json')):
        found[name] = None
        with contextlib.suppress(OSError):
            found[name] = read(name)
    return found


def configure(path):
    """Return the configuration.

    :raises FAILURES: when it is of no use. The text is a file or a key, not a
        value, since a value may be a secret.
    """
    config = {key: usual for key, (usual, _) in SETTINGS.items()}
    for name in settings(path):
        try:
            config.update(json.loads(read(name)))
        except FAILURES as error:
            raise KeyError('%s: %s' % (name, describe(error)))
    for key, (_, fits) in SETTINGS.items():
        try:
            good = fits(config[key])
        except FAILURES:
            good = False
        if not good:
            raise KeyError(key)
    config['timeout'] = float(config['timeout'])
    return config


def identify(config, folder):
    """Return (server ID, where it was found), or None."""
    def config_drive():
        subprocess.check_output(['mount', '-o', 'ro', CONFIG_DRIVE, folder],
                                stderr=subprocess.DEVNULL)
        try:
            return json.loads(read(
                folder + '/openstack/latest/meta_data.json'))['uuid']
        finally:
            subprocess.call(['umount', folder])

    for source, get in (
            ('the configuration', lambda: config['server_id']),
            (INSTANCE_ID, lambda: read(INSTANCE_ID)),
            (METADATA, lambda: json.loads(fetch(METADATA, 3))['uuid']),
            (CONFIG_DRIVE, config_drive),
            (DMI_UUID, lambda: read(DMI_UUID))):
        try:
            # Not the "i-0000002a" of cloud-init's EC2 source.
            return str(uuid.UUID(get().strip())), source
        except FAILURES + (subprocess.SubprocessError,):
            continue


def connections(places):
    """Return how many connections to our ports are not over.

    :param places: ports, or "address:port".
    """
    wanted = [str(place).rpartition(':') for place in places]
    count = 0
    for path in glob.glob('/proc/net/tcp*'):
        for line in read(path).splitlines()[1:]:
            local, _, state = line.split()[1:4]
            address, port = local.split(':')
            # Words of the machine's own byte order.
            packed = b''.join(
                int(address[i:i + 8], 16).to_bytes(4, sys.byteorder)
                for i in range(0, len(address), 8))
            name = socket.inet_ntop(
                socket.AF_INET6 if len(packed) > 4 else socket.AF_INET,
                packed).replace('::ffff:', '')
            count += state in OPEN and any(
                int(w[2]) == int(port, 16) and w[0].strip('[]') in ('', name)
                for w in wanted)
    return count


class Clock:
    """Seconds since a moment, told by a record that outlives the process.

    Within a boot the clock of the machine may be set at will. After a reboot
    nothing else is left; one set back then must not count below zero.
    """

    @staticmethod
    def start():
        return {'boot': read(BOOT_ID), 'mono': time.monotonic(),
                'wall': time.time()}

    @staticmethod
    def elapsed(record):
        if record['boot'] == read(BOOT_ID):
            return time.monotonic() - record['mono']
        passed = max(0, time.time() - record['wall'])
        record.update(Clock.start(), mono=time.monotonic() - passed)
        return passed


class State(dict):
    """What must survive a restart: one JSON file."""

    def __init__(self, path):
        super().__init__(STATE, client_id=str(uuid.uuid4()), completed=[],
                         drains=[])
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
        write(self.path, json.dumps(self))


class Agent:

    def __init__(self, config, state, args):
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
        self.config = config
        self.state = state
        self.args = args
        self.handlers = os.path.abspath(args.handlers)
        # The largest page that Zaqar hands out as it comes.
        self.query = {'echo': 'true', 'limit': '20'}
        self.status_file = args.run_dir + '/status.json'
        # When the queue was last read.
        self.seen = 0
        self.failures = {}
        self.next_poll = self.next_report = self.next_beat = 0
        # Process groups of the handler at work.
        self.groups = set()
        # First what came after the marker, then the whole queue.
        self.quiet = -2
        self.status = dict(
            Clock.start(), pid=os.getpid(), server='not known yet',
            source='nowhere', step='', trouble='', polls=0, failures=0,
            CONTINUE=0, ROLLBACK=0)

    def run(self):
        # Before anything that may wait, or after a reboot in a drain the
        # application would serve until the metadata service answers.
        self.mark()
        if self.config['health']:
            self.serve_health()
        found = None
        while not found:
            found = identify(self.config, self.args.run_dir)
            time.sleep(0 if found else
                       self.pace('server id', 'no source has it'))
        self.server_id, source = found
        log('info', 'server %s, from %s', *found)
        self.status.update(server=self.server_id, source=source)
        # A handler that outlived its agent must not meet itself.
        self.end_handlers()
        usual = period = SAY_AGAIN * self.config['interval']
        said = time.monotonic()
        try:
            while True:
                self.follow_settings()
                if self.state['drains']:
                    self.drain(self.state['drains'][0])
                    period, said = usual, time.monotonic()
                elif (self.state['last']
                        and time.monotonic() - said > period):
                    self.say_again(self.state['last'])
                    period, said = period * 2, time.monotonic()
                time.sleep(self.listen())
        finally:
            self.end_handlers()

    def follow_settings(self):
        """Start again when they have changed, unless they are of no use.

        The user data of an application writes them when we run already.
        """
        now = settings(self.args.config)
        if now == self.settings:
            return
        self.settings = now
        try:
            configure(self.args.config)
        except FAILURES as error:
            log('error', 'new settings are of no use: %s', error)
            return
        log('info', 'new settings, starting again')
        os.execv(sys.executable, [sys.executable, '-I'] + sys.argv)

    def listen(self):
        """Poll and report if it is time; return the seconds until it is."""
        now = time.monotonic()
        if now >= self.next_poll:
            self.next_poll = now + self.poll()
        if now >= self.next_report:
            self.report()
        if (self.config['heartbeat'] and self.state['drains']
                and now >= self.next_beat):
            self.next_beat = now + self.config['heartbeat']
            # Apart, since Heat may hang when a handler has to end.
            threading.Thread(target=self.beat, args=(self.state['drains'],),
                             daemon=True).start()
        return max(0, self.next_poll - time.monotonic())

    def pause(self, seconds, wait=time.sleep):
        """Let time pass, and listen meanwhile.

        :param wait: called with the seconds to wait; what it raises ends the
            pause.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            wait(max(0, min(self.listen(), end - time.monotonic())))

    def pace(self, what, problem=''):
        """Return the next wait; log when success and failure alternate."""
        before = self.failures.get(what, 0)
        if bool(problem) != bool(before):
            log('warning' if problem else 'info', '%s: %s', what,
                problem or 'works again')
            if what == 'queue':
                self.report(trouble=problem)
        self.failures[what] = after = min(before + 1, 20) if problem else 0
        delay = min(MAX_BACKOFF, self.config['interval'] * 2 ** after)
        # Apart from the others, and never later than was asked for.
        return delay * random.uniform(0.8, 1)

    def poll(self):
        """Read a page of the queue; return the wait until the next one."""
        marker = self.state['marker']
        query = dict(self.query)
        self.quiet += 1
        self.status['polls'] += 1
        if marker and self.quiet % LOOK_AGAIN:
            # What somebody has claimed is for us all the same. Only with a
            # marker: without, Zaqar on Redis answers 503.
            query.update(marker=marker, include_claimed='true')
        found = []
        try:
            # A queue that hangs must not hold up a handler's end.
            page = json.loads(fetch(
                self.url + '?' + parse.urlencode(query),
                1 if self.state['drains'] else REQUEST_TIMEOUT,
                headers=self.headers) or '{}')
            for link in page.get('links', ()):
                if link['rel'] == 'next':
                    href = parse.urlsplit(link['href'])
                    marker = parse.parse_qs(href.query)['marker'][0]
            for message in page.get('messages', ()):
                # One that is of no use must not hide the others.
                with contextlib.suppress(*FAILURES):
                    found += self.consider(message, message['body'], found)
        except FAILURES as error:
            if getattr(error, 'code', 0) == 400:
                # A smaller page may be all that this Zaqar hands out.
                self.query.pop('limit', None)
            # It may be the marker, and this may last until all expire.
            self.quiet = -1
            self.status['failures'] += 1
            return self.pace('queue', describe(error))
        delay = self.pace('queue')
        self.seen = time.time()
        self.touch()
        if marker == self.state['marker'] and not found:
            return delay
        self.quiet = 0
        self.state.save(marker=marker, drains=self.state['drains'] + found)
        return 0

    def consider(self, message, body, found):
        """Return a list of the drain that the message asks for here."""
        token = body['lifecycle_action_token']
        # As Senlin writes it: nothing else fits into an environment for sure.
        if (body['resource_id'].lower() != self.server_id
                or str(uuid.UUID(token)) != token
                or token in self.state['completed']
                or any(token == drain['env'][TOKEN]
                       for drain in self.state['drains'] + found)):
            return []
        # The hook's clock runs since the message was posted.
        end = self.config['timeout'] - max(0, message.get('age', 0))
        if end <= 0:
            log('warning', 'drain %.8s: too late, ignored', token)
            self.state['completed'].append(token)
            return []
        log('info', 'drain %.8s: told, %d s left', token, end)
        env = {}
        for key, value in body.items():
            if re.fullmatch('[a-z][a-z0-9_]{,63}', key):
                key = 'lifecycle_' + re.sub('^lifecycle_', '', key)
                env[key.upper()] = ''.join(
                    c for c in str(value)[:4096] if c.isprintable())
        env.update({TOKEN: token, 'LIFECYCLE_SERVER_ID': self.server_id})
        return [{
            # Seconds from now.
            'clock': Clock.start(), 'end': end,
            'deadline': end - min(MAX_MARGIN, self.config['timeout'] / 10),
            # What went wrong with each step that had its turn.
            'steps': {}, 'signal': None, 'env': env}]

    def drain(self, drain):
        """Carry on with a drain from wherever it is, to its end."""
        token = drain['env'][TOKEN]
        done = drain['steps']
        log('info', 'drain %.8s: begun', token)
        self.state.save(last={}, draining=True)
        self.mark()
        if not drain['signal']:
            for name, step in self.steps():
                if name in done:
                    continue
                log('info', 'handler %s: started', name)
                self.report(step=name)
                problem = ('was not run: no time left' if self.left(drain) <= 0
                           else step(name, drain))
                log('warning' if problem else 'info', 'handler %s: %s', name,
                    problem or 'succeeded')
                done[name] = problem
                self.state.save()
            problems = [name + ' ' + problem
                        for name, problem in sorted(done.items()) if problem]
            reason = 'drained in %d s' % Clock.elapsed(drain['clock'])
            if not set(done) - {'drain_delay'}:
                reason = 'no handler in ' + self.handlers
            # Saved first, so that a repetition says the same.
            drain['signal'] = {
                'lifecycle_action_token': token,
                'lifecycle_action_result':
                    self.config['on_failure'] if problems else 'CONTINUE',
                'reason': '; '.join(problems)[:255] or reason}
            self.state.save()
        self.report(step='signal')
        self.send(drain)
        result = drain['signal']['lifecycle_action_result']
        self.status[result] += 1
        if result == 'ROLLBACK' and 'stop_units' in done:
            self.execute(['systemctl', 'start'] + self.config['stop_units'],
                         'start', drain, 30)
        # The messages of still older drains have expired.
        self.state.save(completed=self.state['completed'][-99:] + [token],
                        drains=self.state['drains'][1:], last=drain,
                        draining=result == 'CONTINUE')
        self.mark()
        self.report(step='')

    def steps(self):
        """Yield (name, step); a step returns what went wrong, or ''."""
        config = self.config
        if config['drain_delay']:
            yield 'drain_delay', self.delay
        for path in sorted(glob.glob(glob.escape(self.handlers) + '/*')):
            if os.path.isfile(path) and os.access(path, os.X_OK):
                yield os.path.basename(path), (
                    lambda name, drain, path=path: self.execute(
                        [path], name, drain, self.left(drain)))
        if config['wait_ports']:
            yield 'wait_ports', self.wait_ports
        if config['stop_units']:
            yield 'stop_units', lambda name, drain: self.execute(
                ['systemctl', 'stop'] + config['stop_units'], name, drain,
                self.left(drain))

    def left(self, drain, until='deadline'):
        return drain[until] - Clock.elapsed(drain['clock'])

    def delay(self, name, drain):
        """Give load balancers the time to notice."""
        self.pause(min(self.config['drain_delay'], self.left(drain)))
        return ''

    def wait_ports(self, name, drain):
        """Wait until the last connection is over."""
        while True:
            count = connections(self.config['wait_ports'])
            left = self.left(drain)
            if not count:
                return ''
            if left <= 0:
                return 'had connections left at the deadline: %d' % count
            self.pause(min(left, self.config['interval']))

    def execute(self, argv, name, drain, left):
        """Run a program; return what went wrong, '' for success."""
        deadline = str(int(time.time() + left))
        try:
            process = subprocess.Popen(
                argv, cwd='/', env=dict(os.environ, **dict(
                    drain['env'], LIFECYCLE_DEADLINE=deadline)),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True)
        except (OSError, ValueError) as error:
            return 'cannot be run: ' + describe(error)

        def relay():
            # A limit, or a line without an end would fill the memory.
            with process.stdout as output:
                for line in iter(lambda: output.readline(4096), b''):
                    log('info', '%s| %s', name,
                        line.decode('utf-8', 'replace').rstrip())

        def wait(seconds):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                raise StopIteration

        self.groups = {process.pid}
        # A thread, because what the handler leaves running may hold the pipe
        # open: the end of output is not the handler's end.
        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        with contextlib.suppress(StopIteration):
            self.pause(left, wait)
            if process.poll() is None:
                self.end_handlers()
                return 'was stopped at the deadline'
        self.groups = set()
        thread.join(1)
        status = process.returncode
        if status < 0:
            return 'was killed by signal %d' % -status
        return 'failed with exit status %d' % status if status else ''

    def end_handlers(self):
        """Stop whatever a drain's handlers have running: TERM, then KILL."""
        if not self.state['drains']:
            return
        drain = self.state['drains'][0]
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

    def post(self, document, left):
        fetch(self.signal_url, max(1, min(REQUEST_TIMEOUT, left)),
              data=json.dumps(document).encode(),
              headers={'Content-Type': 'application/json'})

    def beat(self, drains):
        """Let the hook know that somebody is at work here."""
        for drain in drains:
            with contextlib.suppress(*FAILURES):
                self.post({'lifecycle_action_token': drain['env'][TOKEN],
                           'lifecycle_action_result': 'HEARTBEAT'},
                          REQUEST_TIMEOUT)

    def send(self, drain):
        """Signal until it is accepted or the hook has given up."""
        document = drain['signal']
        while True:
            left = self.left(drain, 'end')
            try:
                self.post(document, left)
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
                self.failures['signal'] = 0
                return
            self.pause(min(delay, left))

    def say_again(self, drain):
        """Repeat a signal, as long as it can matter."""
        left = self.left(drain, 'end')
        if left <= 0:
            self.state.save(last={})
            if self.state['draining']:
                log('warning', 'this server is still here, though its time is '
                    'over; it stays unhealthy until the agent is told '
                    'otherwise')
            return
        with contextlib.suppress(*FAILURES):
            self.post(drain['signal'], left)
            log('info', 'signal repeated: the server is still here')

    def mark(self):
        """Show whether we drain by a file, as the health endpoint does."""
        path = self.config['marker_file']
        if not path:
            return
        try:
            if self.state['draining']:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                open(path, 'a').close()
            elif os.path.exists(path):
                os.remove(path)
        except OSError as error:
            log('error', 'marker_file %s: %s', path, describe(error))

    def serve_health(self):
        """Answer 200 in service, 503 while draining, to any GET and HEAD."""
        from http import server
        import socketserver

        state = self.state

        class Health(server.BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self):
                draining = state['draining']
                body = b'draining\n' if draining else b'in service\n'
                self.send_response(503 if draining else 200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                if self.command == 'GET':
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *args):
                pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

            def __init__(self, family, address):
                self.address_family = family
                super().__init__(address, Health)

            def server_bind(self):
                if self.address_family == socket.AF_INET6:
                    # IPv4 has a socket of its own.
                    self.socket.setsockopt(
                        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                super().server_bind()

            def handle_error(self, *args):
                """Say nothing of clients that hang up."""

        @contextlib.contextmanager
        def logged():
            try:
                yield
            except OSError as error:
                # The load balancer will notice, and a drain is worth more.
                log('error', 'health %s: %s', self.config['health'],
                    describe(error))

        host, _, port = str(self.config['health']).rpartition(':')
        with logged():
            # Of both families, if it is a bare port. A set, because a name may
            # have one address twice.
            for family, address in {(info[0], info[4]) for info in (
                    socket.getaddrinfo(
                        host.strip('[]') or None, port,
                        socket.AF_UNSPEC if os.path.exists(IF_INET6)
                        else socket.AF_INET,
                        socket.SOCK_STREAM, 0, socket.AI_PASSIVE))}:
                with logged():
                    threading.Thread(
                        target=Server(family, address).serve_forever,
                        daemon=True).start()

    def report(self, **changes):
        """Write what the status command and Prometheus read."""
        self.next_report = time.monotonic() + REPORT_PERIOD
        status, state = self.status, self.state
        status.update(changes, draining=state['draining'],
                      drain=None, last=state['last'].get('signal'))
        for drain in state['drains'][:1]:
            # Everybody may read it, so not the whole token.
            status['drain'] = {'token': drain['env'][TOKEN][:8],
                               'end': drain['end'], 'clock': drain['clock']}
        if self.config['wait_ports']:
            status['connections'] = connections(self.config['wait_ports'])
        write(self.status_file, json.dumps(status))
        self.touch()
        if self.config['metrics_file']:
            write(self.config['metrics_file'], metrics(status, self.seen))

    def touch(self):
        """Let the time of the status file be the one of the last poll."""
        with contextlib.suppress(OSError):
            os.utime(self.status_file, (self.seen, self.seen))


def metrics(status, seen):
    """Return the text of a file for Prometheus's node exporter."""
    lines = []
    for name, kind, value in (
            ('last_poll_timestamp_seconds', 'gauge', '%.3f' % seen),
            ('polls_total', 'counter', status['polls']),
            ('poll_failures_total', 'counter', status['failures']),
            ('draining', 'gauge', int(status['draining'])),
            ('connections', 'gauge', status.get('connections')),
            ('drains_total{result="CONTINUE"}', 'counter', status['CONTINUE']),
            ('drains_total{result="ROLLBACK"}', '', status['ROLLBACK'])):
        if value is not None:
            if kind:
                lines.append('# TYPE drain_agent_%s %s'
                             % (name.partition('{')[0], kind))
            lines.append('drain_agent_%s %s' % (name, value))
    return '\n'.join(lines) + '\n'


def show_status(args):
    """Print one screen; return 0 if the agent listens."""
    path = args.run_dir + '/status.json'
    try:
        status = json.loads(read(path))
        status['last_poll'] = os.stat(path).st_mtime
        os.stat('/proc/%d' % status['pid'])
    except FAILURES as error:
        print('No drain agent runs here: %s.' % describe(error))
        return 1
    age = max(0, time.time() - status['last_poll'])
    status['listens'] = age < 60 and not status['trouble']
    drain = status['drain']
    if drain:
        drain['left'] = int(drain['end'] - Clock.elapsed(drain['clock']))
    if args.format == 'json':
        print(json.dumps(status, indent=1))
    else:
        drains = 'none'
        if drain:
            drains = '%(token)s, %(left)d s left, at %%s' % drain
            drains %= status['step']
        elif status['draining']:
            drains = 'over, the server is about to go'
        last = status['last'] or {}
        for name, value in (
                ('Server', '%(server)s, from %(source)s' % status),
                ('Listening', 'since ' + time.strftime(
                    '%Y-%m-%d %H:%M:%S', time.localtime(status['wall']))),
                ('Last poll', '%d s ago' % age
                 if status['last_poll'] else 'never'),
                ('Queue', status['trouble'] or 'works'),
                ('Drain', drains),
                ('Connections', status.get('connections')),
                ('Last result', last and ', '.join(
                    (last['lifecycle_action_result'], last['reason'])))):
            if value not in (None, {}):
                print('%-12s %s' % (name, value))
    return 0 if status['listens'] else 1


def check(args):
    """Prove that a drain would work, without one; return 0 if it would."""
    def queue():
        agent.query['limit'] = '1'
        fetch(agent.url + '?' + parse.urlencode(agent.query),
              headers=agent.headers)

    def handlers():
        names = [name for name, _ in agent.steps()]
        if not names:
            raise OSError(0, 'no handler in ' + agent.handlers)
        return ', '.join(names)

    def server():
        found = identify(agent.config, args.run_dir)
        if not found:
            raise OSError(0, 'no source has the server ID')
        return '%s, from %s' % found

    def signal_url():
        agent.post({'lifecycle_action_result': 'TEST',
                    'reason': 'drain-agent check'}, REQUEST_TIMEOUT)

    ok, failed = 'ok      %-14s %s', 'failed  %-14s %s'
    try:
        agent = Agent(configure(args.config), dict(
            STATE, client_id=str(uuid.uuid4())), args)
    except FAILURES as error:
        print(failed % ('configuration', of_no_use(args.config, error)))
        return 1
    print(ok % ('configuration', args.config))
    result = 0
    for name, step in (('server', server), ('queue', queue),
                       ('signal', signal_url), ('handlers', handlers)):
        try:
            print(ok % (name, step() or ''))
        except FAILURES as error:
            print(failed % (name, describe(error)))
            result = 1
    return result


def run(args):
    global log_format
    try:
        os.makedirs(args.state_dir, 0o700, exist_ok=True)
        os.makedirs(args.run_dir, 0o755, exist_ok=True)
        # Locked until the process ends, and lockable on a full disk.
        fcntl.flock(os.open(args.state_dir, os.O_RDONLY),
                    fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log('error', 'another agent runs on %s', args.state_dir)
        return 1
    try:
        # First, so that a change while they are read is seen.
        before = settings(args.config)
        config = configure(args.config)
        log_format = args.log_format or config['log_format']
        agent = Agent(config, State(args.state_dir + '/state.json'), args)
        agent.settings = before
    except FAILURES as error:
        log('error', '%s', of_no_use(args.config, error))
        return 1
    if args.command == 'mark':
        agent.mark()
    else:
        agent.run()


def stop(*args):
    # What may be killed anywhere may be stopped anywhere.
    log('info', 'stopped')
    sys.exit()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('command', nargs='?', default='run',
                        choices=('run', 'mark', 'status', 'check'))
    parser.add_argument('--config', default='/etc/lifecycle/agent.json')
    parser.add_argument('--state-dir', default='/var/lib/lifecycle')
    parser.add_argument('--run-dir', default='/run/drain-agent')
    parser.add_argument('--handlers', default='/etc/lifecycle/drain.d')
    parser.add_argument('--log-format', choices=FORMATS)
    parser.add_argument('--format', choices=FORMATS)
    args = parser.parse_args()
    if args.command == 'status':
        return show_status(args)
    if args.command == 'check':
        return check(args)
    signal.signal(signal.SIGTERM, stop)
    return run(args)


if __name__ == '__main__':
    sys.exit(main())
