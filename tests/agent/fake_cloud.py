# SPDX-License-Identifier: Apache-2.0

"""The endpoints that a drain agent speaks to, on loopback.

The queue behaves as that of Zaqar 18.0.0 on Redis does, with its oddities:
see zaqar/storage/redis/messages.py.
"""

import copy
import http.server
import json
import pathlib
import socketserver
import threading
from urllib import parse
import uuid

CONTRACT = pathlib.Path(__file__).resolve().parents[1] / 'contract'
PAGE = 10


def contract(name):
    return json.loads((CONTRACT / (name + '.json')).read_text())


class FakeCloud(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A queue that is read with signed headers, and a place for signals."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(('127.0.0.1', port), _Handler)
        self.origin = 'http://127.0.0.1:%d' % self.server_port
        self.config = contract('agent_config')
        self.queue_path = self._move_here(self.config['queue'], 'url')
        self.signal_path = self._move_here(self.config, 'signal_url')
        # (id, message or None once it has expired), oldest first.
        self.messages = []
        # The query of each authorised request, as a dictionary.
        self.polls = []
        self.refused = []
        self.signals = []
        # Paths of what was posted to any other place.
        self.strange_posts = []
        # Set to another status to make an endpoint fail.
        self.queue_status = self.signal_status = 200
        # Cleared, the queue takes requests and says nothing.
        self.queue_answers = threading.Event()
        self.queue_answers.set()
        # What the queue answers instead of its messages.
        self.page = None
        self.metadata = None
        self.largest_page = 20
        threading.Thread(target=self.serve_forever, args=(0.02,),
                         daemon=True).start()

    def _move_here(self, config, key):
        url = parse.urlsplit(config[key])
        path = parse.urlunsplit(('', '', url.path, url.query, ''))
        config[key] = self.origin + path
        return path

    def post(self, body, age=0):
        """Put a message on the queue and return its id."""
        identity = str(uuid.uuid4())
        self.messages.append((identity, {
            'id': identity, 'age': age, 'ttl': 300,
            'href': '%s/%s' % (self.queue_path, identity),
            'body': copy.deepcopy(body)}))
        return identity

    def list(self, query):
        """Return the page that Zaqar on Redis would."""
        ids = [identity for identity, _ in self.messages]
        marker = query.get('marker')
        if marker:
            rank = ids.index(marker) if marker in ids else None
            # Not a slip of ours: the first message comes again for ever.
            start = rank + 1 if rank else 0
        else:
            live = [i for i, (_, m) in enumerate(self.messages) if m]
            start = live[0] if live else 0
        # And a page of nothing but expired messages has no link.
        end = start + int(query.get('limit', PAGE))
        found = [message for _, message in self.messages[start:end]
                 if message]
        links = []
        if found:
            links = [{'rel': 'next', 'href': '%s?%s' % (
                self.queue_path,
                parse.urlencode(dict(query, marker=found[-1]['id'])))}]
        return {'messages': found, 'links': links}


class _Handler(http.server.BaseHTTPRequestHandler):

    def do_GET(self):
        cloud, url = self.server, parse.urlsplit(self.path)
        queue = cloud.config['queue']
        query = dict(parse.parse_qsl(url.query))
        if url.path == '/openstack/latest/meta_data.json' and cloud.metadata:
            self._answer(200, json.dumps(cloud.metadata).encode())
            return
        authorised = (
            url.path == cloud.queue_path == queue['paths'][0]
            and self.headers['URL-Signature'] == queue['signature']
            and self.headers['URL-Methods'] == ','.join(queue['methods'])
            and self.headers['URL-Paths'] == ','.join(queue['paths'])
            and self.headers['URL-Expires'] == queue['expires']
            and self.headers['X-Project-Id'] == queue['project_id']
            and self.headers['Accept'] == 'application/json'
            and uuid.UUID(self.headers['Client-ID']))
        if not authorised:
            cloud.refused.append(dict(self.headers))
            self._answer(404)
        elif 'include_claimed' in query and 'marker' not in query:
            cloud.refused.append(query)
            self._answer(503)
        else:
            cloud.polls.append(query)
            cloud.queue_answers.wait(60)
            page = (cloud.list(query) if cloud.page is None else cloud.page)
            status = cloud.queue_status
            if int(query.get('limit', 0)) > cloud.largest_page:
                status = 400
            self._answer(status, page if isinstance(page, bytes)
                         else json.dumps(page).encode())

    def do_POST(self):
        cloud = self.server
        body = self.rfile.read(int(self.headers['Content-Length']))
        if (self.path != cloud.signal_path
                or self.headers['Content-Type'] != 'application/json'):
            cloud.refused.append(dict(self.headers))
            cloud.strange_posts.append(self.path)
            self._answer(403)
            return
        cloud.signals.append(json.loads(body))
        self._answer(cloud.signal_status)

    def _answer(self, status, body=b'{}'):
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header('Location', self.server.origin + '/elsewhere')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass
