#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""An endpoint for the webhooks of a cluster, to run or to start your own from.

It prints one line of JSON for each server that has to go. Replace report() by
what your application does with it, and let that be quick or happen elsewhere:
Zaqar has ten workers for all its webhooks, and one waits for the answer.

    WEBHOOK_CREDENTIALS=zaqar:secret ./endpoint.py --port 8080

The URL for the stack is then http://zaqar:secret@host:8080/ plus any path.
"""

import argparse
import base64
import hmac
import http.server
import json
import os
import pathlib
import ssl
import sys
import threading
import urllib.request
import uuid

# A hook message with what Zaqar puts around it has some 400 bytes.
LARGEST_BODY = 65536

# Seconds until a caller that says nothing has to call again.
PATIENCE = 10


def report(notice):
    """Tell whom it concerns; called once for each token."""
    print(json.dumps(notice), flush=True)


class Refused(Exception):
    """A request that is not for us: the status and the reason."""


class Seen:
    """The tokens that were reported, over restarts if there is a file."""

    def __init__(self, path=None):
        self._path = path and pathlib.Path(path)
        self._lock = threading.Lock()
        self._tokens = set()
        if self._path and self._path.exists():
            self._tokens.update(self._path.read_text().split())

    def report_once(self, notice):
        token = notice['lifecycle_action_token']
        with self._lock:
            if token in self._tokens:
                return
            # Noted last: dying in between reports a server twice, and never
            # not at all.
            report(notice)
            self._tokens.add(token)
            if self._path:
                with self._path.open('a') as stream:
                    stream.write(token + '\n')


def notice_in(message):
    """Return the hook message that Zaqar has wrapped.

    :raises Refused: when it is something else.
    """
    notice = message.get('body')
    if not isinstance(notice, dict):
        raise Refused(400, 'no message of a queue')
    for key in ('lifecycle_action_token', 'node_id', 'resource_id',
                'lifecycle_transition_type'):
        if not isinstance(notice.get(key), str):
            raise Refused(400, 'no hook message: "%s" is missing' % key)
    try:
        uuid.UUID(notice['lifecycle_action_token'])
    except ValueError:
        raise Refused(400, 'the token is none')
    return notice


def confirm(message, zaqar):
    """Answer a Zaqar that wants to know whether we agree to be told.

    The message itself carries the permission. It names the URL as well; only
    the Zaqar that we were started with is called.
    """
    url = message.get('WSGISubscribeURL')
    if not (zaqar and isinstance(url, str) and
            url.startswith(zaqar.rstrip('/') + '/')):
        raise Refused(403, 'start with --zaqar URL to confirm subscriptions')
    headers = {name: str(message.get(name)) for name in (
        'URL-Signature', 'URL-Methods', 'URL-Paths', 'URL-Expires',
        'X-Project-ID')}
    headers.update({'Client-ID': str(uuid.uuid4()),
                    'Content-Type': 'application/json'})
    request = urllib.request.Request(
        url, json.dumps({'confirmed': True}).encode(), headers, method='PUT')
    # It begins with the URL from the command line.
    with urllib.request.urlopen(  # nosec B310
            request, timeout=PATIENCE) as answer:
        answer.read()


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = PATIENCE

    def do_POST(self):
        try:
            self._check_credentials()
            message = self._message()
            if message.get('Message_Type') == 'SubscriptionConfirmation':
                # Zaqar may want an answer before it can take ours.
                threading.Thread(target=self._confirm, args=(message,)).start()
            elif message.get('Message_Type') == 'Notification':
                self.server.seen.report_once(notice_in(message))
            else:
                raise Refused(400, 'unknown "Message_Type"')
        except Refused as refusal:
            self._answer(*refusal.args)
        else:
            self._answer(204)

    def _check_credentials(self):
        wanted = self.server.credentials
        if wanted and not hmac.compare_digest(
                self.headers.get('Authorization', '').encode(),
                b'Basic ' + base64.b64encode(wanted.encode())):
            raise Refused(401, 'not the credentials')

    def _message(self):
        try:
            length = int(self.headers['Content-Length'])
        except (TypeError, ValueError):
            raise Refused(411, 'no "Content-Length"')
        if not 0 < length <= LARGEST_BODY:
            raise Refused(413, 'no message has %d bytes' % length)
        try:
            message = json.loads(self.rfile.read(length).decode())
        except ValueError:
            raise Refused(400, 'no JSON')
        if not isinstance(message, dict):
            raise Refused(400, 'no JSON object')
        return message

    def _confirm(self, message):
        try:
            confirm(message, self.server.zaqar)
        except Refused as refusal:
            self.log_message('not confirmed: %s', refusal.args[1])
        except (OSError, ValueError) as error:
            self.log_message('not confirmed: %s', error)
        else:
            self.log_message('subscription confirmed')

    def _answer(self, status, reason=''):
        if reason:
            self.log_message('refused, %d: %s', status, reason)
        self.send_response(status)
        if status == 401:
            self.send_header('WWW-Authenticate', 'Basic realm="webhook"')
        self.send_header('Content-Length', str(len(reason.encode())))
        self.end_headers()
        self.wfile.write(reason.encode())

    def log_request(self, code='-', size='-'):
        """What was refused is in the log, and what was not is reported."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, credentials=None, seen=None, zaqar=None):
        super().__init__(address, Handler)
        self.credentials = credentials
        self.seen = seen or Seen()
        self.zaqar = zaqar


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--address', default='0.0.0.0',  # nosec B104
                        help='to listen on (default: all)')
    parser.add_argument('--port', type=int, default=8080)
    parser.add_argument('--seen', metavar='FILE',
                        help='keep the tokens here over restarts')
    parser.add_argument('--certificate', metavar='FILE',
                        help='speak https: PEM with the certificate and key')
    parser.add_argument('--zaqar', metavar='URL',
                        help='confirm the subscription, if this Zaqar asks')
    options = parser.parse_args()
    credentials = os.environ.get('WEBHOOK_CREDENTIALS')
    if not credentials:
        sys.exit('Set WEBHOOK_CREDENTIALS to user:password, as in the URL.')

    server = Server((options.address, options.port), credentials,
                    Seen(options.seen), options.zaqar)
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        # The handshake is left to the thread of the connection: a caller who
        # never finishes it would stop the others.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False)
    print('listening on port %d' % server.server_port, file=sys.stderr,
          flush=True)
    server.serve_forever()


if __name__ == '__main__':
    main()
