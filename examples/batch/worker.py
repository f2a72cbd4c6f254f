#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""A batch worker: takes a job, finishes it, and takes the next one.

It asks a job server with plain HTTP. `POST URL/take?worker=NAME` answers 200
with "ID SECONDS", or 204 when there is no job now; `POST URL/done?job=ID` says
that the job is finished. At SIGTERM the worker finishes the job that it has,
takes no other one, and ends.
"""

import argparse
import os
import signal
import time
import urllib.error
import urllib.parse
import urllib.request

# Seconds between two questions when there is no job, or no server.
PAUSE = 0.5
# Seconds until an answer is given up.
TIMEOUT = 10


class Worker:

    def __init__(self, url, name):
        self._url = url
        self._name = name
        self._stopping = False

    def stop(self, signum, frame):
        self._stopping = True

    def run(self):
        while not self._stopping:
            try:
                job = self._post('take', worker=self._name)
            except OSError as error:
                print('no job server: %s' % error, flush=True)
                job = ''
            if job:
                self._work(*job.split())
            else:
                time.sleep(PAUSE)
        print('stopped', flush=True)

    def _work(self, job, seconds):
        print('job %s begins' % job, flush=True)
        # A signal does not shorten the sleep (PEP 475): this is the work.
        time.sleep(float(seconds))
        while True:
            try:
                self._post('done', job=job)
                break
            except OSError as error:
                # Work that is done is not thrown away. The agent's deadline
                # ends this if the job server never comes back.
                print('job %s: %s' % (job, error), flush=True)
                time.sleep(PAUSE)
        print('job %s is done' % job, flush=True)

    def _post(self, what, **values):
        url = '%s/%s?%s' % (self._url, what, urllib.parse.urlencode(values))
        # The template takes no other URLs than those of HTTP.
        with urllib.request.urlopen(  # nosec B310
                url, b'', TIMEOUT) as answer:
            return answer.read().decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('url', help='base URL of the job server')
    parser.add_argument('--name', default=os.uname().nodename)
    parser.add_argument('--pid-file', default='/run/batch-worker.pid')
    args = parser.parse_args()
    worker = Worker(args.url.rstrip('/'), args.name)
    signal.signal(signal.SIGTERM, worker.stop)
    with open(args.pid_file, 'w') as stream:
        stream.write('%d\n' % os.getpid())
    worker.run()
    # The drain handler tells by it that no job was left.
    os.unlink(args.pid_file)


if __name__ == '__main__':
    main()
