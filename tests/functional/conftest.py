# SPDX-License-Identifier: Apache-2.0

"""The local cloud for the tests, and stacks on it.

A cloud that runs already is used and left running; otherwise it is started
for the tests and stopped after them. KEEP_STACKS=1 leaves the stacks of the
tests for a look.
"""

import json
import os
import pathlib

import pytest
from xdist import scheduler

from sandbox import cloud
from sandbox import lifecycle
from sandbox import releases
from tests.functional import secrets_in_logs
from tests.functional import tenant
from tests import started


# Seconds of each file on each line; "tox -e suite -- --write-seconds" writes
# it anew.
SECONDS = pathlib.Path(__file__).with_name('seconds.json')


class LongestFirst(scheduler.LoadFileScheduling):
    """Give each worker a file at a time, and the longest ones first.

    A long file that came last would keep one worker at work alone.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self._seconds = json.loads(SECONDS.read_text()).get(
            releases.current(), {})

    def _assign_work_unit(self, node):
        self.workqueue.move_to_end(
            max(self.workqueue, key=self._length), last=False)
        super()._assign_work_unit(node)

    def _length(self, file):
        """Return the seconds of a file, and many of a new one."""
        return self._seconds.get(pathlib.PurePath(file).name, 1000)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return LongestFirst(config, log)


def pytest_unconfigure(config):
    if not hasattr(config, 'workerinput'):
        started.stop_all(config.getoption('numprocesses', None) or 0,
                         os.environ)


@pytest.fixture(scope='session')
def local():
    """The local cloud, up."""
    with started.running(lifecycle.LocalCloud(cloud.Cloud())) as local:
        begin = secrets_in_logs.sizes(local)
        yield local
        # What all tests together have made the services say.
        assert [] == secrets_in_logs.found(
            sorted(local.cloud.logs.glob('*.log')),
            secrets_in_logs.of_cloud(local), begin)


@pytest.fixture(scope='module')
def project(local):
    """What a tenant does; its stacks go with the module's last test."""
    project = tenant.Tenant(local)
    yield project
    if not os.environ.get('KEEP_STACKS'):
        project.delete_stacks()


@pytest.fixture
def engine_log(local):
    """What Heat has logged since the test began, all engines of it."""
    begins = {log: log.stat().st_size for log in local.logs('heat')}

    def read():
        text = ''
        for log, begin in begins.items():
            with log.open('rb') as stream:
                stream.seek(begin)
                text += stream.read().decode('utf-8', 'replace')
        return text
    return read
