# SPDX-License-Identifier: Apache-2.0

"""Trouble with a service of the local cloud, in the words of the tests.

Keystone hands out the catalogue with a token, and keeps both: whoever signed
in before the trouble began does not see it.
"""

import contextlib
import http.server
import threading
import time

import requests

from sandbox import clients
from tests.functional import tenant

# Headers that are about one connection, or that both ends write themselves.
_OWN_HEADERS = ('connection', 'content-encoding', 'content-length', 'date',
                'host', 'server', 'transfer-encoding')


@contextlib.contextmanager
def missing(project, service_type):
    """Take a service out of Keystone's catalogue."""
    identity = clients.connect(project.local.cloud, 'sandbox-admin').identity
    [service] = identity.services(type=service_type)
    identity.update_service(service.id, is_enabled=False)
    project.sign_in_again()
    try:
        yield
    finally:
        identity.update_service(service.id, is_enabled=True)
        project.sign_in_again()


@contextlib.contextmanager
def front(project, service_type):
    """Stand between a service and those who find it in the catalogue.

    Whatever begins inside the block has to end there.
    """
    identity = clients.connect(project.local.cloud, 'sandbox-admin').identity
    [service] = identity.services(type=service_type)
    urls = {endpoint.id: endpoint.url for endpoint in
            identity.endpoints(service_id=service.id)}
    [target] = set(urls.values())
    front = Front(project.local.cloud.address, target)
    try:
        for endpoint_id in urls:
            identity.update_endpoint(endpoint_id, url=front.url)
        project.sign_in_again()
        yield front
    finally:
        for endpoint_id, url in urls.items():
            identity.update_endpoint(endpoint_id, url=url)
        project.sign_in_again()
        front.close()


class Front:
    """Hands requests on to a service, or has the trouble it is told to have.

    The service itself goes on, as it does behind a broken load balancer.
    """

    @property
    def handler(self):
        return Handler

    def __init__(self, address, target):
        self.target = target
        self.fails = False
        self.failures = 0
        # Any port, and the same one ever after.
        self._address = (address, 0)
        self.open()
        self.url = 'http://%s:%d' % self._address

    def open(self):
        self._server = http.server.ThreadingHTTPServer(
            self._address, self.handler)
        self._address = self._server.server_address
        self._server.front = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def outage(self):
        """Answer 500 to all that comes inside the block.

        At its end, once Heat has met that twice, refuse connections until
        Heat has met that too.
        """
        self.failures = 0
        self.fails = True
        try:
            yield
            tenant.wait_for('Heat to try again', lambda: self.failures > 1)
            self.close()
            # There is nobody to count now. Heat tries every three seconds.
            time.sleep(4)
            self.open()
        finally:
            self.fails = False


class Handler(http.server.BaseHTTPRequestHandler):

    def _answer(self):
        front = self.server.front
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if front.fails:
            front.failures += 1
            self._send(500, {}, b'Internal Server Error')
            return
        self._hand_on(body)

    def _hand_on(self, body):
        self.give(self.ask(body))

    def ask(self, body):
        """Return the answer of the service that is stood for."""
        return requests.request(
            self.command, self.server.front.target + self.path, data=body,
            timeout=60, headers=_passed_on(self.headers),
            allow_redirects=False)

    def give(self, answer):
        self._send(answer.status_code, _passed_on(answer.headers),
                   answer.content)

    def _send(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _answer

    def log_message(self, *args):
        """Leave the output of the tests alone."""


def _passed_on(headers):
    return {name: value for name, value in headers.items()
            if name.lower() not in _OWN_HEADERS}
