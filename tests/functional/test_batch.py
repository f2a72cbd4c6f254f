# SPDX-License-Identifier: Apache-2.0

"""Batch workers finish their job, and a worker that goes takes no other one.

Two stacks of the example at the same time: one as it is, and one without the
hook, which has to lose a job.
"""

import http.server
import itertools
import threading
import urllib.parse

import pytest

from tests.functional import tenant

# Seconds of a job: longer than Senlin takes to delete a server that does not
# wait.
JOB = 20


class Jobs:
    """A job server that never runs out of jobs.

    :ivar taken: {job: name of the worker that has taken it}.
    """

    def __init__(self):
        self.taken = {}
        self.done = []
        self._server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), self._handler())
        self.url = 'http://127.0.0.1:%d' % self._server.server_port
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def at_work(self):
        """Names of the workers that have a job now."""
        return [worker for job, worker in self.taken.items()
                if job not in self.done]

    def lost(self):
        return [job for job in self.taken if job not in self.done]

    def _handler(self):
        jobs = self
        numbers = itertools.count(1)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                what, _, query = self.path.strip('/').partition('?')
                values = dict(urllib.parse.parse_qsl(query))
                answer = b''
                if what == 'take':
                    job = str(next(numbers))
                    jobs.taken[job] = values['worker']
                    answer = ('%s %d' % (job, JOB)).encode()
                else:
                    jobs.done.append(values['job'])
                self.send_response(200)
                self.send_header('Content-Length', str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass
        return Handler


@pytest.fixture
def start(project):
    """Start workers; give their jobs and their stack once all have a job."""
    opened = []

    def start(size, with_hook):
        jobs = Jobs()
        opened.append(jobs)
        return jobs, project.create_example(
            'batch', with_hook, [tenant.DEMO, tenant.MANUAL], wait=False,
            jobs_url=jobs.url, job_timeout=120,
            defaults={'desired_capacity': size})
    yield start
    for jobs in opened:
        jobs.close()


def test_every_job_that_is_taken_is_finished(project, start):
    """A job that is cut is work that somebody does again, or a lost result."""
    jobs, stack = start(2, with_hook=True)
    careless, unhooked = start(1, with_hook=False)
    stack.wait('CREATE_COMPLETE')
    tenant.wait_for('two jobs', lambda: len(jobs.at_work()) == 2)
    names = {server: project.guest_name(server) for server in stack.members()}
    before = set(jobs.taken.values())

    stack.scale_in()
    gone = tenant.wait_for('the deletion',
                           lambda: set(names) - set(project.servers()))
    [worker] = {names[server] for server in gone}
    assert worker in before
    assert worker not in jobs.at_work()
    # The other one has gone on meanwhile, or nothing would be shown.
    assert set(jobs.taken.values()) - {worker} == set(jobs.at_work())

    stack.start_delete()
    unhooked.wait('CREATE_COMPLETE')
    tenant.wait_for('a job', careless.at_work)
    unhooked.start_delete()
    for deleted in (unhooked, stack):
        tenant.wait_for('the stack to be gone', deleted.is_gone)

    assert [] == jobs.lost()
    assert sorted(jobs.done) == sorted(set(jobs.done))
    assert careless.lost()
