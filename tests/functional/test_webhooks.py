# SPDX-License-Identifier: Apache-2.0

"""The application's own endpoints are told of every server that goes."""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading

from heatclient import exc as heat_exceptions
import pytest

from sandbox import cloud
from tests.functional import tenant

ENDPOINT = cloud.REPO / 'examples' / 'webhook' / 'endpoint.py'
CREDENTIALS = 'zaqar:s3cret'


class Recorder(http.server.ThreadingHTTPServer):
    """An endpoint that keeps what it is told, and answers as it is set.

    :param status: what it answers; None for nothing until it is closed.
    """

    def __init__(self, address, status=204):
        super().__init__((address, 0), _Handler)
        self.status = status
        self.told = []
        self.closing = threading.Event()
        self.url = 'http://%s:%d/' % self.server_address
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def bodies(self):
        return [message['body'] for message in self.told]

    def close(self):
        # Zaqar repeats what was never answered, and has ten workers for that.
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers['Content-Length'])
        self.server.told.append(json.loads(self.rfile.read(length)))
        if self.server.status is None:
            self.server.closing.wait()
        self.send_response(self.server.status or 204)
        self.end_headers()

    def log_message(self, *args):
        pass


class Example:
    """The endpoint of examples/webhook as a process."""

    def __init__(self, folder, address):
        self._printed = folder / 'printed'
        log = folder / 'log'
        with self._printed.open('w') as out, log.open('w') as err:
            self._process = subprocess.Popen(
                [sys.executable, str(ENDPOINT), '--address', address,
                 '--port', '0'], stdout=out, stderr=err,
                env=dict(os.environ, WEBHOOK_CREDENTIALS=CREDENTIALS))
        port = tenant.wait_for('the endpoint', lambda: re.search(
            r'port (\d+)\n', log.read_text()))[1]
        self.url = 'http://%s@%s:%s/hook?of=test' % (CREDENTIALS, address,
                                                     port)

    def bodies(self):
        return [json.loads(line)
                for line in self._printed.read_text().splitlines()]

    def close(self):
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope='module')
def example(local, tmp_path_factory):
    example = Example(tmp_path_factory.mktemp('endpoint'),
                      local.cloud.address)
    yield example
    example.close()


@pytest.fixture(scope='module')
def recorder(local):
    recorder = Recorder(local.cloud.address)
    yield recorder
    recorder.close()


@pytest.fixture(scope='module')
def stack(project, example, recorder):
    """A cluster that tells two endpoints."""
    return project.create_gated(
        size=3, webhooks=[example.url, recorder.url])


def _scale_in(project, stack):
    """Let one server drain, and return the message of its hook."""
    queue = stack.output('hook_queue_name')
    before = len(project.messages(queue))
    stack.scale_in()
    return tenant.wait_for('the message on the queue', lambda: (
        project.messages(queue)[before:]))[0]


def _told(endpoint, message):
    tenant.wait_for('the endpoint to be told',
                    lambda: message in endpoint.bodies())
    assert 1 == endpoint.bodies().count(message)


def _let_go(project, server):
    tenant.wait_for('the drain', lambda: project.is_draining(server))
    project.release(server)
    tenant.wait_for('the deletion', lambda: server not in project.servers())


def test_endpoints_are_told_what_is_on_the_queue(project, stack, example,
                                                 recorder):
    """Agent and endpoints would speak of different drains."""
    message = _scale_in(project, stack)

    _told(example, message)
    _told(recorder, message)
    assert {message['resource_id']: message['lifecycle_action_token']} == (
        stack.pending())
    # What an endpoint of somebody else's is written against.
    literal = json.loads(
        (cloud.REPO / 'tests' / 'contract' / 'webhook.json').read_text())
    [told] = [told for told in recorder.told if message == told['body']]
    assert dict(literal, body=message,
                queue_name=stack.output('hook_queue_name')) == told

    _let_go(project, message['resource_id'])


def test_endpoints_in_trouble_hurt_nobody_else(project, stack, example,
                                               recorder):
    """A dead endpoint would cost the drain, or the other endpoints' news.

    They come and go with an update, which leaves the others alone.
    """
    queue = stack.output('hook_queue_name')
    before = project.subscriptions(queue)
    address = project.local.cloud.address
    failing = Recorder(address, status=503)
    hanging = Recorder(address, status=None)
    with socket.create_server((address, 0)) as gone:
        down = 'http://%s:%d/' % gone.getsockname()
    try:
        # In front of the others, where the numbers of a group would shift.
        stack.update(webhooks=[down, hanging.url, failing.url, example.url,
                               recorder.url])
        during = project.subscriptions(queue)
        message = _scale_in(project, stack)
        _told(example, message)
        _told(recorder, message)
        _let_go(project, message['resource_id'])
        stack.update(webhooks=[recorder.url, example.url])
        after = project.subscriptions(queue)
    finally:
        failing.close()
        hanging.close()

    assert {down, hanging.url, failing.url, *before} == set(during)
    assert before == {url: during[url] for url in before}
    assert before == after
    assert [message] == hanging.bodies()
    # To Zaqar 18.0.0 an answer is an answer: it is not repeated.
    assert [message] == failing.bodies()


def test_update_with_a_webhook_that_is_none_changes_nothing(project, stack):
    """An endpoint would be unsubscribed for the sake of a typing error."""
    queue = stack.output('hook_queue_name')
    before = project.subscriptions(queue)

    with pytest.raises(heat_exceptions.HTTPBadRequest,
                       match="'webhooks'.* http:// or https:// URLs"):
        stack.update(webhooks=['ftp://a.example.com/'])

    assert before == project.subscriptions(queue)


def test_stack_delete_tells_of_the_last_servers(project, stack, example,
                                                recorder):
    """Whoever counts the servers would count some for ever."""
    queue = stack.output('hook_queue_name')
    last = stack.members()

    stack.start_delete()
    pending = stack.wait_for_drains(len(last))
    for endpoint in (example, recorder):
        tenant.wait_for('the endpoint to be told', lambda: (
            set(pending.values()) <= {body['lifecycle_action_token']
                                      for body in endpoint.bodies()}))
    assert {example.url, recorder.url} == set(project.subscriptions(queue))

    for server in last:
        project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)

    # Zaqar itself keeps them, without the queue.
    assert {} == project.subscriptions(queue)
