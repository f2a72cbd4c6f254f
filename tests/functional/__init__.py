# SPDX-License-Identifier: Apache-2.0

"""Tests on the local cloud; each worker of pytest-xdist has one of its own."""

import os

from sandbox import releases

# Before anything of the cloud is imported. The first worker, or the only
# process, uses the cloud that people use.
_WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
if _WORKER:
    os.environ['SANDBOX_NETWORK'] = '127.%d.0' % (77 + _WORKER)
    os.environ['SANDBOX_STATE_DIR'] = 'build/%s-%d' % (
        releases.named('sandbox', releases.current()), _WORKER)
