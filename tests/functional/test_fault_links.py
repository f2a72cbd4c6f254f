# SPDX-License-Identifier: Apache-2.0

"""The links of the faults lose and hold what they are to. No cloud."""

import concurrent.futures
import http.server
import threading

import pytest
import requests

from faults import network
from tests.functional import tenant

ADDRESS = '127.0.0.1'


class Service(http.server.BaseHTTPRequestHandler):
    """Answers everything, and remembers what it was asked."""

    def do_POST(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *args):
        """Leave the output of the tests alone."""


@pytest.fixture
def service():
    with http.server.ThreadingHTTPServer((ADDRESS, 0), Service) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, args=(0.05,),
                         daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def link(service):
    link = network.Link(ADDRESS, 'http://%s:%d' % service.server_address)
    yield link
    link.close()


def test_requests_of_a_cut_link_are_lost(service, link):
    """A signal would arrive that no real network would deliver."""
    link.cut()
    with pytest.raises(requests.RequestException):
        requests.post(link.url + '/signal', timeout=0.5)
    link.mend()

    assert requests.get(link.url + '/messages', timeout=5).ok
    assert ['/messages'] == service.asked


def test_held_requests_wait_and_arrive(service, link):
    """A phase would be over before the fault begins."""
    link.hold('/mine/')
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(requests.post, link.url + '/of/mine/signal',
                           timeout=60)
        tenant.wait_for('the request', lambda: link.is_waiting('/mine/'))
        requests.post(link.url + '/of/others/signal', timeout=60)
        requests.get(link.url + '/of/mine/messages', timeout=60)
        assert not link.is_answered('/mine/')
        assert len(service.asked) == 2
        link.release('/mine/')

        assert held.result().ok
    assert link.is_answered('/mine/')
    assert '/of/mine/signal' == service.asked[-1]


def test_dead_service_is_a_broken_connection(service, link):
    """An agent would take an answer of the link for one of Heat's."""
    service.shutdown()
    service.server_close()

    with pytest.raises(requests.ConnectionError):
        requests.post(link.url + '/signal', timeout=5)
