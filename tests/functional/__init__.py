# SPDX-License-Identifier: Apache-2.0

"""Tests on the local cloud; each worker of pytest-xdist has one of its own."""

import os

from sandbox import releases

_DEFAULT_NETWORK = '127.77.0'

# The first cloud is made, and the others are copied from it.
os.environ.setdefault('SANDBOX_SNAPSHOT_DIR', 'build/' + releases.named(
    'snapshot', releases.current()))


def _separate_worker(number):
    """Give a worker a local cloud that no other worker uses.

    Before anything of the cloud is imported. The first worker, or the only
    process, uses the cloud that the environment names, which is the one that
    people use; the next workers take the networks after it.
    """
    network = os.environ.get('SANDBOX_NETWORK') or _DEFAULT_NETWORK
    first, second, third = network.split('.')
    os.environ['SANDBOX_NETWORK'] = '%s.%d.%s' % (
        first, int(second) + number, third)
    state = os.environ.get('SANDBOX_STATE_DIR') or 'build/' + releases.named(
        'sandbox', releases.current())
    os.environ['SANDBOX_STATE_DIR'] = '%s-%d' % (state, number)


_WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
if _WORKER:
    _separate_worker(_WORKER)
