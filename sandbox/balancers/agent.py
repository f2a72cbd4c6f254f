# SPDX-License-Identifier: Apache-2.0

"""Keep HAProxy as Octavia's database wants it, and tell Octavia its state.

It runs in the process of Octavia's API and writes what happened with the code
that serves octavia-lib's status socket. Everything is read from the database,
so a killed Octavia goes on where it was.
"""

import pathlib
import threading
import time

from octavia.api.drivers.driver_agent import driver_updater
from octavia.db import api as database
from octavia.db import models
from octavia.db import repositories
from oslo_log import log as logging

from sandbox.balancers import configuration
from sandbox.balancers import process
from sandbox.balancers import statuses

LOG = logging.getLogger(__name__)

# Seconds between two looks into the database, and to HAProxy.
_LOOK = 0.2
_STATUS = 1

# Seconds that the answer to a change waits for it.
_PROMPT = 5


class Agent:
    """All load balancers of the cloud.

    :param data: folder for the files of HAProxy.
    :param run: folder for its sockets.
    """

    def __init__(self, data, run):
        self._data = pathlib.Path(data)
        self._run = pathlib.Path(run)
        # {ID: (process, load balancer as it was configured)}
        self._served = {}
        # What Octavia was told last: {(kind, ID): status}
        self._told = {}
        # Numbers of rounds: the last one that somebody waits for, the last
        # one that was begun, and the last one that was ended.
        self._asked = self._begun = self._ended = 0
        self._rounds = threading.Condition()

    def start(self):
        threading.Thread(target=self._work, daemon=True).start()

    def prompt(self, application):
        """Wrap Octavia's API so that a change is answered once it is made.

        Senlin looks right after its request whether the load balancer takes
        the next one, and then only every 10 seconds. The answer is the same.
        """
        def answer(environ, start_response):
            body = application(environ, start_response)
            if environ['REQUEST_METHOD'] != 'GET':
                self._catch_up()
            return body
        return answer

    def _catch_up(self):
        """Wait for the end of the next whole round, or not much longer."""
        with self._rounds:
            wanted = self._asked = self._begun + 1
            self._rounds.notify_all()
            self._rounds.wait_for(lambda: self._ended >= wanted, _PROMPT)

    def _work(self):
        reported = 0
        while True:
            with self._rounds:
                self._begun += 1
            try:
                self._follow()
                if time.monotonic() - reported > _STATUS:
                    self._report()
                    reported = time.monotonic()
            except Exception:
                # PostgreSQL may be away for a while.
                LOG.exception('Load balancers are not looked after')
                time.sleep(_STATUS)
            with self._rounds:
                self._ended = self._begun
                self._rounds.notify_all()
                self._rounds.wait_for(lambda: self._asked > self._begun,
                                      _LOOK)

    def _follow(self):
        """Serve what is new or pending."""
        with database.session().begin() as session:
            there = session.query(
                models.LoadBalancer.id,
                models.LoadBalancer.provisioning_status).filter(
                    models.LoadBalancer.provisioning_status
                    != 'DELETED').all()
        for key, status in there:
            if status.startswith('PENDING_') or (
                    key not in self._served and status != 'ERROR'):
                self._serve(key)

    def _serve(self, key):
        with database.session().begin() as session:
            balancer = repositories.LoadBalancerRepository().get(
                session, id=key)
        haproxy = self._served[key][0] if key in self._served else (
            process.Haproxy(self._data / key,
                            self._run / ('lb-%s.sock' % key[:8])))
        failed = False
        try:
            if balancer.provisioning_status == 'PENDING_DELETE':
                haproxy.remove()
                self._served.pop(key, None)
            else:
                self._served[key] = haproxy, balancer
                haproxy.apply(configuration.render(
                    balancer, haproxy.control, haproxy.states))
        except (process.Failed, OSError):
            LOG.exception('Load balancer %s is not served', key)
            failed = True
        _tell(statuses.provisioning(balancer, failed))

    def _report(self):
        """Tell Octavia whose operating status has changed."""
        for haproxy, balancer in list(self._served.values()):
            servers = {}
            try:
                # Again, should it have died.
                haproxy.apply(configuration.render(
                    balancer, haproxy.control, haproxy.states))
                if haproxy.running():
                    servers = statuses.parse(haproxy.ask('show stat'))
            except (process.Failed, OSError):
                LOG.exception('Load balancer %s does not answer', balancer.id)
                continue
            report = statuses.operating(balancer, servers)
            _tell({kind: [entry for entry in entries if self._told.get(
                       (kind, entry['id'])) != entry['operating_status']]
                   for kind, entries in report.items()})
            self._told.update({
                (kind, entry['id']): entry['operating_status']
                for kind, entries in report.items() for entry in entries})


def _tell(report):
    if not any(report.values()):
        return
    updater = driver_updater.DriverUpdater()
    try:
        answer = updater.update_loadbalancer_status(report)
    finally:
        updater.db_session.close()
    if answer['status_code'] != 200:
        LOG.error('Octavia takes no status: %s', answer)
