# SPDX-License-Identifier: Apache-2.0

"""The faults that can be injected, and random sequences of them."""

import random
import signal

import psutil

from faults import guests
from sandbox import releases

# Seconds that a killed service stays away, and that a stopped one sleeps.
DEAD = 5
ASLEEP = 20

SERVICES = tuple(service for service in (
    'heat', 'senlin', 'zaqar', 'redis', 'keystone', 'nova', 'postgres')
    if service != 'senlin' or releases.is_installed('senlin'))


class Fault:
    """One thing that goes wrong for a while.

    :cvar lasts: seconds from `begin` to `end`; None for half the timeout.
    :cvar keeps_sessions: whether clients stay until their server goes.
    """

    name: str
    what: str
    lasts = DEAD
    keeps_sessions = False

    def prepare(self, scene):
        """Do what has to be done before the first drain begins."""

    def begin(self, scene):
        """Inject it into a scene."""

    def end(self, scene):
        """Let all be well again."""


class Killed(Fault):

    def __init__(self, service):
        self.name = service + '-killed'
        self.what = ('SIGKILL to all processes of %s, started again %d s '
                     'later' % (service, DEAD))
        self.service = service

    def begin(self, scene):
        if self.service == 'nova':
            # Its guests die with it, as servers do with their host.
            scene.lose_sessions()
        scene.local.kill(self.service)

    def end(self, scene):
        scene.local.start(self.service)
        if self.service == 'postgres':
            # What Senlin, Heat and Nova had in hand when their database died
            # stays there for ever. What the operator does then is in
            # doc/source/faults.rst.
            scene.start_what_hangs()
            scene.finish_deletions()


class Stopped(Fault):

    lasts = ASLEEP

    def __init__(self, service):
        self.name = service + '-stopped'
        self.what = ('SIGSTOP to all processes of %s, SIGCONT %d s later'
                     % (service, ASLEEP))
        self.service = service

    def begin(self, scene):
        self._signal(scene, signal.SIGSTOP)

    def end(self, scene):
        self._signal(scene, signal.SIGCONT)

    def _signal(self, scene, number):
        pids = set(scene.local.processes.signal(self.service, number))
        # Each process of PostgreSQL has a session of its own. Those of Nova
        # that have one are guests.
        if self.service != 'nova':
            for pid in pids:
                for child in psutil.Process(pid).children(recursive=True):
                    if child.pid not in pids:
                        child.send_signal(number)


class AgentKilled(Fault):

    name = 'agent-killed'
    what = ('SIGKILL to the agent of every server that drains; it is started '
            'again within 2 s, as its unit does')

    def begin(self, scene):
        for server in scene.victims():
            guests.kill_agent(server)


class GuestRebooted(Fault):

    name = 'guest-rebooted'
    what = 'a hard reboot of every server that drains'

    def begin(self, scene):
        scene.reboot(scene.victims())


class HandlerHangs(Fault):

    name = 'handler-hangs'
    what = 'a drain handler that ignores SIGTERM and never ends'
    lasts = None
    keeps_sessions = True
    # The others have drained when the fault begins.
    _PHASES = ('idle', 'told', 'handler', 'delete-begun', 'delete-handler')

    def prepare(self, scene):
        for server in scene.victims(self._PHASES):
            guests.let_handlers_hang(scene.folder(server))


class QueueEmptied(Fault):

    name = 'queue-emptied'
    what = 'the tenant deletes all messages on the queues of the hooks'

    def begin(self, scene):
        scene.empty_queues()


class NetworkCut(Fault):

    name = 'network-cut'
    what = ('no request of a guest reaches Zaqar or Heat, for half the '
            'timeout')
    lasts = None

    def begin(self, scene):
        for link in scene.links:
            link.cut()

    def end(self, scene):
        for link in scene.links:
            link.mend()


class ClockJumps(Fault):

    def __init__(self, name, seconds):
        self.name = name
        self.what = ("the wall clock of the agents jumps by %+d s"
                     % seconds)
        self._seconds = seconds

    def begin(self, scene):
        self._shift(scene, self._seconds)

    def end(self, scene):
        self._shift(scene, 0)

    def _shift(self, scene, seconds):
        for server in scene.victims():
            guests.shift_clock(scene.folder(server), seconds)


FAULTS = {fault.name: fault for fault in (
    AgentKilled(), GuestRebooted(), HandlerHangs(),
    *(kind(service) for service in SERVICES for kind in (Killed, Stopped)),
    QueueEmptied(), NetworkCut(), ClockJumps('clock-forward', 3600),
    ClockJumps('clock-back', -3600))}

# Its drains take their whole timeout, which leaves nothing for another fault
# to meet.
_ALONE = ('handler-hangs',)


def sequences(seed, number, length=3):
    """Return random sequences of faults, the same for the same seed.

    :param seed: any integer.
    :returns: a list of tuples of (name, seconds before it begins).
    """
    chance = random.Random(seed)
    names = sorted(set(FAULTS) - set(_ALONE))
    return [tuple((name, round(chance.uniform(0, 5), 1))
                  for name in chance.sample(names, length))
            for _ in range(number)]
