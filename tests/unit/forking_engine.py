# SPDX-License-Identifier: Apache-2.0

"""A heat-engine that forks a worker; prints the threads of both as JSON.

The argument is an empty folder for its database. A program of its own: what
Heat works with, threads or eventlet, is chosen before anything is imported.
"""

import json
import os
import pathlib
import sys
import threading

from sandbox import releases

if releases.on_threads():
    from oslo_service import backend
    backend.init_backend(backend.BackendType.THREADING)
else:
    import eventlet
    eventlet.monkey_patch()

# It has the plugins loaded as an operator would.
from tests.unit import base  # noqa: E402, F401

from heat.common import messaging  # noqa: E402, I100
from heat.db import models  # noqa: E402
from heat.engine import service  # noqa: E402
from oslo_config import cfg  # noqa: E402
import sqlalchemy  # noqa: E402


def main():
    url = 'sqlite:///%s' % pathlib.Path(sys.argv[1], 'heat.sqlite')
    models.BASE.metadata.create_all(sqlalchemy.create_engine(url))
    cfg.CONF([], project='heat', prog='heat-engine')
    cfg.CONF.set_override('connection', url, 'database')
    messaging.setup('fake://')

    engine = service.EngineService('host', 'engine')
    tell('launcher')
    worker = os.fork()
    if worker:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))
    engine.start()
    tell('worker')
    os._exit(0)


def tell(who):
    print(json.dumps([who, [thread.name for thread in threading.enumerate()]]),
          flush=True)


if __name__ == '__main__':
    main()
