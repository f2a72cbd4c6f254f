# SPDX-License-Identifier: Apache-2.0

"""Servers that drain, each held in another phase, for a fault to meet."""

import concurrent.futures
import contextlib
import json
import re
import threading
import time

from heatclient import exc as heat_exceptions
from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions
import requests

from faults import crowd
from faults import guests
from faults import inventory
from faults import network
from faults import phases
from faults import scaled
from faults import verdict
from sandbox import clients
from sandbox.services import heat
from sandbox.services import zaqar
from tests.functional import tenant

# Seconds for a drain to end after its timeout, which Senlin looks at every
# few seconds, and for a stack to go after its last drain.
PATIENCE = 150

# Sessions with each server.
_SESSIONS = 2
# Seconds, at least, from the moment a fault begins until clients say good-bye.
_LINGER = 8
# Seconds until a phase, which nothing disturbs yet, is reached.
_PREPARATION = 600

# Seconds until an agent, whose server is still there, has said twice more that
# it may go; see SAY_AGAIN in templates/agent/drain_agent.py.
_SAYS_AGAIN = 60

_HANDLER = re.compile(r'handler \S+: started')

# What the services may answer to the tenant while they are in trouble.
TROUBLE = (sdk_exceptions.SDKException, ksa_exceptions.ClientException,
           heat_exceptions.BaseException, requests.RequestException,
           # The answer of a service that died in the middle of it.
           ValueError, KeyError, AssertionError)

# Where another server with sessions looks on.
_WITH_BYSTANDER = ('handler',)
# Whose agents must not hear of the drain before the fault.
_DEAF = ('told', 'delete-begun')
# Whose signals are held back in the network.
_HELD = ('signal', 'after', 'removal', 'delete-drained')
# Whose scale-in may be lost in the fault, and is asked for until it is taken.
_ASKING = ('idle', 'asked')


class Member:
    """A cluster or group that is held in one phase, and its oldest server.

    :ivar victim: ID of that server, the one that goes.
    :ivar size: how many servers there are with it.
    :ivar asked: when the tenant asked for that, seconds since the epoch.
    :ivar gone: when Nova had it no more.
    :ivar ended: whether nothing waits for its drain any more.
    """

    def __init__(self, phase, scalable):
        self.phase = phase
        self.scalable = scalable
        self.stack = stack = scalable.stack
        self.queue = stack.resource('hook').physical_resource_id
        servers = scalable.servers()
        self.victim = servers[0]
        self.size = len(servers)
        self.asked = self.gone = None
        # Whether the request has been taken, or will not be any more.
        self.taken = phase not in _ASKING
        self.ended = False
        # Since when, by the monotonic clock, nobody does anything with it.
        self.quiet = None
        # Kept open: it can be read to its end after its guest has gone.
        self._log = (stack.project.guest(self.victim)
                     / 'var/log/drain-agent.log').open()

    @property
    def is_deleted(self):
        """Whether the stack goes, and not only a server."""
        return self.phase in phases.DELETE

    @property
    def held(self):
        """Part of the path to which the guests send their signals."""
        return self.stack.id

    def agent_log(self):
        self._log.seek(0)
        return self._log.read()

    def drains(self):
        return _HANDLER.search(self.agent_log())

    def forget(self):
        self._log.close()


class Scene:
    """The clusters or groups on one local cloud, and their sessions.

    Those that are scaled in are used for one injection after the other, those
    that are deleted are made anew for each.

    :param local: the LocalCloud, up.
    :param say: called with a line of progress.
    :param names: of the phases that there are, all by default.
    :param timeout: seconds that a drain may take. Long enough for every fault
        to be over, and for what it has broken to recover, so that nothing
        goes by the timeout that need not.
    """

    def __init__(self, local, say=print, timeout=100, names=()):
        self.local = local
        self.timeout = timeout
        self._phases = names or tuple(phases.PHASES)
        self.project = tenant.Tenant(local)
        self.crowd = crowd.Crowd()
        self._say = say
        self._kind = scaled.kind()
        self._zero = self._inventory()
        # {phase: Cluster or Group} of those that are used again, and what is
        # there because of them.
        self._kept = {}
        self._belongings = None
        self._members = []
        self._lost = {}
        cloud = local.cloud
        targets = [cloud.url(port) for port in (heat.CFN_PORT, zaqar.PORT)]
        self.links = [network.Link(cloud.address, url) for url in targets]
        self._signals = self.links[0]
        self._urls = dict(zip(targets, (link.url for link in self.links)))

    def _inventory(self):
        return inventory.take(self.local, self.project, self._kind)

    # What faults ask of it

    def victims(self, names=None):
        """IDs of the servers that are to go and are still there."""
        return [member.victim for member in self._members if not member.gone
                and (names is None or member.phase in names)]

    def folder(self, server):
        return self.project.guest(server)

    def reboot(self, servers):
        for server in servers:
            self._lost.setdefault(server, []).append(time.time())
            with contextlib.suppress(*TROUBLE):
                self.project.connection.compute.reboot_server(server, 'HARD')

    def lose_sessions(self):
        """Note that the fault itself ends all sessions with all servers."""
        for server in self.crowd.servers():
            self._lost.setdefault(server, []).append(time.time())

    def empty_queues(self):
        for member in self._members:
            # The stack of one may be gone by now, and its queue with it.
            with contextlib.suppress(*TROUBLE):
                self.project.delete_messages(member.queue)

    def start_what_hangs(self):
        """Start anew what does not get over a death of its database."""
        for service in self._kind.HANG:
            self.local.kill(service)
            self.local.start(service)

    def finish_deletions(self):
        """Do what nova-compute does as it starts, which its guests survive.

        Not here, where it is their hypervisor.
        """
        compute = clients.connect(self.local.cloud, 'sandbox-admin').compute
        for _attempt in range(10):
            with contextlib.suppress(*TROUBLE):
                for server in compute.servers(all_projects=True):
                    if server.task_state == 'deleting':
                        compute.reset_server_state(server, 'active')
                        compute.delete_server(server)
                return
            time.sleep(1)

    # An injection

    def inject(self, faults):
        """Prepare every phase, inject faults one after the other, watch.

        :param faults: a list of (fault, seconds before it begins).
        :returns: a Record.
        :raises AssertionError: when the phases were not reached.
        """
        self._prepare()
        self._lost = {}
        for fault, _ in faults:
            fault.prepare(self)
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,),
                                   daemon=True)
        watcher.start()
        try:
            self._hold_phases()
            record = verdict.Record(self.timeout, time.time(), None,
                                    lost=self._lost,
                                    overtime=self._kind.OVERTIME)
            self._inject_all(faults)
            record.over = time.time()
            self._say('  over, waiting for every drain to end')
            record.repeated = self._wait_for_drains()
        finally:
            over.set()
            watcher.join()
        self._judge(record)
        return record

    def _inject_all(self, faults):
        lasts = [self.timeout / 2 if fault.lasts is None else fault.lasts
                 for fault, _ in faults]
        for number, ((fault, pause), seconds) in enumerate(
                zip(faults, lasts)):
            time.sleep(pause if number else 0)
            self._say('  %s: %s' % (fault.name, fault.what))
            end = time.monotonic() + seconds
            try:
                fault.begin(self)
                if not number:
                    self._let_go(max(_LINGER, sum(lasts) / 2), any(
                        fault.keeps_sessions for fault, _ in faults))
                time.sleep(max(0, end - time.monotonic()))
            finally:
                fault.end(self)

    # Clusters and groups

    def _prepare(self):
        """Have each at its size, with sessions on all servers."""
        self._say('  every %s is made, or made whole' % self._kind.NAME)
        for member in self._members:
            member.forget()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            kept = list(pool.map(self._keep, [
                phase for phase in self._phases if phase in phases.SCALE_IN]))
            if self._belongings is None:
                self._belongings = self._inventory()
            self._members = kept + list(pool.map(
                lambda phase: self._ready(Member(phase, self._create())),
                [phase for phase in self._phases if phase in phases.DELETE]))

    def _keep(self, phase):
        if phase not in self._kept:
            self._belongings = None
            scalable = self._kept[phase] = self._create()
            if phase in _WITH_BYSTANDER:
                # Not together: nobody knows who is the older of two that are
                # ready in the same second.
                scalable.scale_out(_PREPARATION)
        return self._ready(Member(phase, self._kept[phase]))

    def _create(self):
        stack = self.project.create_stack(
            self._kind.TEMPLATE, wait=False, drain_timeout=self.timeout,
            links=self._urls)
        tenant.wait_for('the stack', lambda: (
            stack.status() != 'CREATE_IN_PROGRESS'), _PREPARATION)
        stack.wait('CREATE_COMPLETE')
        return self._kind(stack)

    def _ready(self, member):
        """Wait for agents and sessions, and return the member."""
        for server in member.scalable.servers():
            folder = self.folder(server)
            tenant.wait_for('the agent of %s' % server,
                            lambda: _listens(folder), _PREPARATION)
            if not self.crowd.count_open(server):
                self.crowd.open(server, self.project.address(server),
                                _SESSIONS)
            tenant.wait_for('sessions with %s' % server, lambda: (
                self.crowd.count_open(server) == _SESSIONS), _PREPARATION)
        return member

    # Phases

    def _hold_phases(self):
        self._say('  every %s goes into its phase' % self._kind.NAME)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self._hold, self._members))
        # What cannot be held comes last: all are over within seconds.
        for member in self._in_phase('removal', 'delete-drained'):
            self._signals.release(member.held)
        for member in self._in_phase('removal'):
            tenant.wait_for('the removal', member.scalable.is_scaling,
                            _PREPARATION)
        for member in self._in_phase('delete-drained'):
            tenant.wait_for('the server to go', lambda m=member: m.gone,
                            _PREPARATION)
        for member in self._in_phase('after'):
            self._signals.release(member.held)
            tenant.wait_for('the signal', lambda m=member: (
                self._signals.is_answered(m.held)), _PREPARATION)
        for member in self._in_phase('asked'):
            member.asked = time.time()
            member.scalable.post('scale_in')

    def _in_phase(self, *names):
        return [m for m in self._members if m.phase in names]

    def _hold(self, member):
        if member.phase in _ASKING:
            return
        if member.phase in _DEAF:
            guests.stop_agent(member.victim)
        if member.phase in _HELD:
            self._signals.hold(member.held)
        member.asked = time.time()
        if member.is_deleted:
            member.stack.start_delete()
        else:
            member.scalable.scale_in(member.victim)
        tenant.wait_for('the phase %s' % member.phase, {
            'told': lambda: any(
                message.get('resource_id') == member.victim
                for message in self.project.messages(member.queue)),
            'delete-begun': lambda: member.scalable.deletion_has_begun(
                member.victim),
        }.get(member.phase, member.drains), _PREPARATION)
        if member.phase in _HELD:
            self.crowd.finish([member.victim])
            tenant.wait_for('the signal of %s' % member.phase, lambda: (
                self._signals.is_waiting(member.held)), _PREPARATION)
        self._say('    %s: %s' % (member.phase, phases.PHASES[member.phase]))

    def _let_go(self, linger, keep_sessions):
        """The first fault has begun: what was held meets it."""
        for member in self._members:
            if member.phase in _DEAF:
                guests.continue_agent(member.victim)
            self._signals.release(member.held)
        for member in self._in_phase(*_ASKING):
            threading.Thread(target=self._scale_in_anyhow, args=(member,),
                             daemon=True).start()
        if not keep_sessions:
            threading.Thread(target=self._say_good_bye, daemon=True,
                             args=(linger,)).start()

    def _scale_in_anyhow(self, member):
        """Ask until it is taken, once, however much trouble there is."""
        member.asked = member.asked or time.time()
        end = time.monotonic() + self.timeout
        while not member.taken:
            with contextlib.suppress(*TROUBLE):
                member.taken = time.monotonic() > end or (
                    member.scalable.ask(member.victim, member.size))
            time.sleep(1)

    def _say_good_bye(self, linger):
        """Let the clients finish; those of who is told late, late."""
        time.sleep(linger)
        late = self._in_phase(*_ASKING)
        self.crowd.finish([member.victim for member in self._members
                           if member not in late])
        end = time.monotonic() + self.timeout
        for member in late:
            while not (member.drains() or member.gone) and (
                    time.monotonic() < end):
                time.sleep(0.5)
            time.sleep(2)
            self.crowd.finish([member.victim])

    # The end

    def _watch(self, over):
        """Note when Nova has the victims no more."""
        while not over.wait(0.3):
            with contextlib.suppress(*TROUBLE):
                servers = self.project.servers()
                for member in self._members:
                    if member.victim not in servers and not member.gone:
                        member.gone = time.time()

    def _wait_for_drains(self):
        """Return how often a stack had to be deleted again."""
        begun = time.monotonic()
        repeated = 0
        first, next_one = self._kind.IMPATIENCE
        impatient = begun + first
        while time.monotonic() < begun + self.timeout + PATIENCE:
            for member in self._members:
                with contextlib.suppress(*TROUBLE):
                    member.ended = member.ended or self._has_ended(member)
            left = [member for member in self._members if not member.ended]
            if not left:
                break
            if time.monotonic() > impatient:
                # Heat does not resume a deletion whose engine has died.
                impatient = time.monotonic() + next_one
                for member in left:
                    if member.is_deleted and self._kind.may_delete_again(
                            member.gone, time.time() > (
                                member.asked + self.timeout)):
                        repeated += 1
                        with contextlib.suppress(*TROUBLE):
                            member.stack.start_delete()
            time.sleep(1)
        return repeated

    def _has_ended(self, member):
        if member.is_deleted:
            return member.stack.is_gone()
        if not member.taken or member.scalable.is_busy(member.victim):
            member.quiet = None
            return False
        # What Senlin has given up is made up for when the guest says again
        # that it has drained.
        member.quiet = member.quiet or time.monotonic()
        return (member.victim not in member.scalable.servers()
                or time.monotonic() > member.quiet + _SAYS_AGAIN)

    def _judge(self, record):
        victims = {member.victim for member in self._members}
        self.crowd.finish(victims)
        end = time.monotonic() + 10
        while (any(map(self.crowd.count_open, victims))
                and time.monotonic() < end):
            time.sleep(0.2)
        record.sessions = (
            self.crowd.take(victims)
            # All others live on, unless they were cut.
            + self.crowd.take(self.crowd.servers(), ended_only=True))
        record.drains = [
            verdict.Drain(m.phase, m.victim, m.asked, m.gone, bool(m.ended),
                          m.agent_log()) for m in self._members]
        self._say('  every %s is used again' % self._kind.NAME)
        kept = [member for member in self._members if not member.is_deleted]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            record.unusable = {
                member.phase: problem for member, problem in
                zip(kept, pool.map(self._recover, kept)) if problem}
        record.left = self._left(self._belongings)

    def _recover(self, member):
        """Bring it back to its size; return what went wrong."""
        scalable = member.scalable
        try:
            if member.victim in scalable.servers():
                # Senlin has given its scale-in up; who still wants the server
                # away asks again, as an alarm does.
                scalable.scale_in(member.victim)
                tenant.wait_for(
                    'the deletion by a second scale-in', lambda: (
                        member.victim not in scalable.servers()),
                    self.timeout + PATIENCE)
            scalable.scale_out(PATIENCE)
            size = len(scalable.servers())
            return None if size == member.size else (
                '%d members instead of %d' % (size, member.size))
        except TROUBLE as error:
            return str(error) or type(error).__name__

    def _left(self, before):
        """Return what stacks have left that are gone, {kind: names}."""
        def find():
            mine = set().union(*(scalable.belongings() for scalable in
                                 self._kept.values()))
            return inventory.added(before, self._inventory(), mine)

        end = time.monotonic() + 30
        left = find()
        while any(left.values()) and time.monotonic() < end:
            time.sleep(2)
            left = find()
        return {kind: sorted(names) for kind, names in left.items() if names}

    def clear(self):
        """Delete every stack; return what is left then, {kind: names}."""
        self._kept = {}
        self.crowd.finish(self.crowd.servers())
        self.project.delete_stacks()
        return self._left(self._zero)

    def close(self):
        for link in self.links:
            link.close()


def _listens(folder):
    """Whether agent and application of a guest are as they shall be."""
    try:
        status = json.loads(
            (folder / 'run/drain-agent/status.json').read_text())
    except (OSError, ValueError):
        return False
    # Only an agent that has the settings of the application counts them.
    return 'connections' in status and status['polls'] > 0
