# SPDX-License-Identifier: Apache-2.0

"""The endpoint of the examples, as a process, told as Zaqar tells it."""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import uuid

import pytest
import requests

from tests.agent import conftest

ENDPOINT = conftest.REPO / 'examples' / 'webhook' / 'endpoint.py'
CREDENTIALS = 'zaqar:s3cret'


def contract(name):
    return json.loads(
        (conftest.REPO / 'tests' / 'contract' / (name + '.json')).read_text())


class Endpoint:
    """The process, what it has printed and what it has logged."""

    def __init__(self, folder, *options):
        self.options = options
        self.printed = folder / 'printed'
        self.log = folder / 'log'
        self.seen = folder / 'seen'
        self.start()

    def start(self):
        with self.printed.open('a') as out, self.log.open('w') as err:
            self.process = subprocess.Popen(
                [sys.executable, str(ENDPOINT), '--address', '127.0.0.1',
                 '--port', '0', '--seen', str(self.seen), *self.options],
                stdout=out, stderr=err,
                env=dict(os.environ, WEBHOOK_CREDENTIALS=CREDENTIALS))
        port = conftest.wait_for(
            lambda: re.search(r'port (\d+)\n', self.log.read_text()),
            'the endpoint')[1]
        self.address = ('127.0.0.1', int(port))
        self.url = 'http://%s@127.0.0.1:%s/hook' % (CREDENTIALS, port)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def post(self, message, url=None):
        return requests.post(url or self.url, json=message, timeout=10)

    def reports(self):
        return [json.loads(line)
                for line in self.printed.read_text().splitlines()]


@pytest.fixture
def start(tmp_path):
    endpoints = []

    def start(*options):
        endpoints.append(Endpoint(tmp_path, *options))
        return endpoints[-1]
    yield start
    for endpoint in endpoints:
        endpoint.kill()


@pytest.fixture
def endpoint(start):
    return start()


def test_hook_message_is_reported(endpoint):
    """The application would not know that a server goes."""
    answer = endpoint.post(contract('webhook'))

    assert 204 == answer.status_code
    assert [contract('hook_message')] == endpoint.reports()


def test_envelope_holds_the_message_of_the_queue():
    """Who reads the queue and who is told would not speak of the same."""
    assert contract('hook_message') == contract('webhook')['body']


def test_message_that_comes_again_is_reported_once(endpoint):
    """Zaqar repeats what it has had no answer to: two handlers would run."""
    for _i in range(3):
        assert endpoint.post(contract('webhook')).ok

    assert 1 == len(endpoint.reports())


def test_message_that_comes_again_after_a_restart(endpoint):
    """The repetition may meet the next process."""
    endpoint.post(contract('webhook'))
    endpoint.kill()
    endpoint.start()

    assert endpoint.post(contract('webhook')).ok
    assert 1 == len(endpoint.reports())


def test_every_server_of_a_scale_in_is_reported(endpoint):
    """Ten workers of Zaqar's may post at once."""
    messages = []
    for _i in range(20):
        message = contract('webhook')
        message['body']['lifecycle_action_token'] = str(uuid.uuid4())
        messages.append(message)
    threads = [threading.Thread(target=endpoint.post, args=(message,))
               for message in messages * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def tokens(bodies):
        return sorted(body['lifecycle_action_token'] for body in bodies)

    assert (tokens(message['body'] for message in messages)
            == tokens(endpoint.reports()))


@pytest.mark.parametrize('credentials', ['', 'zaqar:wrong@', 'zaqar@'])
def test_stranger_is_refused(endpoint, credentials):
    """Anybody could tell the application that its servers go."""
    url = endpoint.url.replace(CREDENTIALS + '@', credentials)

    assert 401 == endpoint.post(contract('webhook'), url).status_code
    assert [] == endpoint.reports()


@pytest.mark.parametrize('change,status', [
    ({'Message_Type': 'Other'}, 400),
    ({'body': 'text'}, 400),
    ({'body': {'lifecycle_action_token': 'x'}}, 400),
    ({'body': dict(contract('hook_message'), lifecycle_action_token='../x')},
     400),
    ({'padding': 'x' * 70000}, 413),
])
def test_other_messages_are_refused(endpoint, change, status):
    """A queue may carry what others post, and an attacker may post more."""
    answer = endpoint.post(dict(contract('webhook'), **change))

    assert status == answer.status_code
    assert answer.text in endpoint.log.read_text()
    assert [] == endpoint.reports()


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'\xff', b'null'])
def test_body_that_is_no_message_is_refused(endpoint, body):
    """A traceback would be all that the log says."""
    answer = requests.post(endpoint.url, data=body, timeout=10)

    assert 400 <= answer.status_code < 500
    assert 'Traceback' not in endpoint.log.read_text()


def test_caller_that_hangs_stops_nobody(endpoint):
    """One open connection would keep the messages of all clusters away."""
    with socket.create_connection(endpoint.address):
        assert endpoint.post(contract('webhook')).ok

    assert 1 == len(endpoint.reports())


def test_secrets_stay_out_of_the_log(endpoint):
    """Its log is read by more people than its configuration."""
    endpoint.post(contract('webhook'))
    endpoint.post({})

    assert 's3cret' not in endpoint.log.read_text()


def test_no_credentials_no_endpoint():
    """It would believe everybody."""
    ended = subprocess.run([sys.executable, str(ENDPOINT)], timeout=10, env={},
                           capture_output=True, text=True)

    assert 1 == ended.returncode
    assert 'WEBHOOK_CREDENTIALS' in ended.stderr


class _Zaqar(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.asked.append((self.path, dict(self.headers),
                                  json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def zaqar():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Zaqar)
    server.asked = []
    server.url = 'http://127.0.0.1:%d' % server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _confirmation(zaqar):
    message = contract('webhook_confirmation')
    message['WSGISubscribeURL'] = zaqar.url + message['URL-Paths']
    return message


def test_subscription_is_confirmed(start, zaqar):
    """A Zaqar that requires it would never send a message."""
    endpoint = start('--zaqar', zaqar.url)
    message = _confirmation(zaqar)

    assert 204 == endpoint.post(message).status_code
    [(path, headers, body)] = conftest.wait_for(lambda: zaqar.asked,
                                                'the confirmation')

    assert message['URL-Paths'] == path
    for name in ('URL-Signature', 'URL-Methods', 'URL-Paths', 'URL-Expires',
                 'X-Project-ID'):
        assert message[name] == headers[name.title()]
    assert message['SubscribeBody'] == body


@pytest.mark.parametrize('known', [None, 'http://zaqar.example.com:8888'])
def test_no_other_server_is_called(start, zaqar, known):
    """A message could make the endpoint call whatever its author likes."""
    endpoint = start(*(('--zaqar', known) if known else ()))

    endpoint.post(_confirmation(zaqar))
    conftest.wait_for(lambda: 'not confirmed' in endpoint.log.read_text(),
                      'the refusal')

    assert [] == zaqar.asked
