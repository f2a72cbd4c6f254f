# SPDX-License-Identifier: Apache-2.0

"""Marks on local clouds that tests have started, to find them again.

An interrupted worker of pytest-xdist has ten seconds; then it is killed,
whatever it is stopping. The process that runs the workers stops what is left.
"""

import contextlib

from sandbox import cloud
from sandbox import launcher
from sandbox import lifecycle
from sandbox import prerequisites
from sandbox import releases


def _mark(local_cloud):
    return local_cloud.state / 'started-by-tests'


@contextlib.contextmanager
def running(local):
    """Have a cloud up inside a block, and leave it as it was found.

    A cloud of tests that were killed is stopped as if these had started it.
    """
    mark = _mark(local.cloud)
    if not local.is_up():
        local.cloud.make_folders()
        mark.touch()
    try:
        with local.running(keep=True):
            yield local
    finally:
        if mark.exists():
            print('Stopping the local cloud ...')
            local.down()
            mark.unlink()


def stop_all(count, environ):
    """Stop the clouds of workers that were killed.

    :param count: number of the workers.
    :param environ: of the process that runs them.
    """
    for own in prerequisites.clouds(
            launcher.CLONE, count, environ,
            releases.named('sandbox', releases.current())):
        left = cloud.Cloud(own.state)
        if _mark(left).exists():
            print('\nStopping the local cloud in %s ...' % left.state)
            lifecycle.LocalCloud(left).down()
            _mark(left).unlink()
