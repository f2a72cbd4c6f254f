# SPDX-License-Identifier: Apache-2.0

"""Tests on the local cloud; each worker of pytest-xdist has one of its own."""

import os

from sandbox import launcher
from sandbox import prerequisites
from sandbox import releases

# The first cloud is made, and the others are copied from it.
os.environ.setdefault('SANDBOX_SNAPSHOT_DIR', 'build/' + releases.named(
    'snapshot', releases.current()))


def _separate_worker(number):
    """Give a worker a local cloud that no other worker uses.

    Before anything of the cloud is imported. The first worker, or the only
    process, uses the cloud that the environment names, which is the one that
    people use; the next workers take the networks after it.
    """
    own = prerequisites.clouds(
        launcher.CLONE, number + 1, os.environ,
        releases.named('sandbox', releases.current()))[number]
    os.environ.update(SANDBOX_NETWORK=own.network, SANDBOX_STATE_DIR=own.state)


_WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
if _WORKER:
    _separate_worker(_WORKER)
