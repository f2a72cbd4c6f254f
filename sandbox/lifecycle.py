# SPDX-License-Identifier: Apache-2.0

"""Bring the local cloud up and down."""

import concurrent.futures
import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import time

from sandbox import bootstrap
from sandbox import clients
from sandbox import cloud
from sandbox import prerequisites
from sandbox import processes
from sandbox import releases
from sandbox import services
from sandbox import snapshot

# Seconds until a service that does not answer is given up. The slowest one
# (Nova) needs a few seconds on two cores.
_START_TIMEOUT = 180

# Seconds for one command of a set-up, of which Nova's takes two minutes on a
# busy machine; Gnocchi's tries for ever by itself.
_COMMAND_TIMEOUT = 600

# Schema migrations are bound by the CPU.
_LANES = 2

# Wheels whose versions decide the schemas and the layout of our files.
_WHEELS = ('keystone', 'openstack-placement', 'glance', 'neutron', 'nova',
           'openstack-heat', 'senlin', 'zaqar', 'gnocchi', 'aodh',
           'octavia')


class LocalCloud:
    """The local cloud as a whole.

    :param local_cloud: where it lives.
    :param say: called with a line of progress at a time.
    """

    def __init__(self, local_cloud, say=print):
        self.cloud = local_cloud
        self.services = services.load(local_cloud)
        self.processes = processes.Processes(local_cloud)
        self._say = say
        self._began = time.monotonic()
        self._timings = []
        self._giving_up = False

    # Up

    def up(self):
        """Start everything that does not run; return when all answers.

        Whatever this call started is stopped again when it fails or is
        interrupted.
        """
        self._began = time.monotonic()
        self._giving_up = False
        self.cloud.make_folders()
        self._refuse_another_heat()
        self._refuse_another_network()
        self._refuse_another_profile()
        idle = [service for name, service in self.services.items()
                if not self.processes.pid(name)]
        for service in idle:
            service.refuse()
        self.cloud.remember_options()
        self._clean_up_after_a_crash(idle)
        self._check_prerequisites(idle)
        try:
            self._start(idle)
        except BaseException:
            self._say('Stopping what was started ...')
            self._stop([service.name for service in idle])
            raise
        finally:
            self._write_timings()

    def _check_prerequisites(self, idle):
        """Refuse, before anything is started, all that would fail later."""
        missing = prerequisites.check_variables(os.environ) or (
            prerequisites.of_clouds([prerequisites.Cloud(cloud.NETWORK, None, {
                name: port for service in idle
                for name, port in service.ports.items()})]))
        if missing:
            raise cloud.SandboxError('It cannot be started:\n'
                                     + prerequisites.report(missing))

    def _refuse_another_heat(self):
        before = self.cloud.started_with.get('heat_engines', 0)
        if before != self.cloud.heat_engines and self.processes.pid('heat'):
            raise cloud.SandboxError(
                'Heat is running with the option "--heat-engines %d", not '
                '%d: stop the cloud with "down" first; its data stay.'
                % (before, self.cloud.heat_engines))

    def _refuse_another_profile(self):
        """The stacks of the first start are in another database."""
        before = self.cloud.started_with.get('profile', cloud.PROFILES[0])
        if before != self.cloud.profile and not self._first_time():
            raise cloud.SandboxError(
                'The cloud in %s was made with the profile "%s", not "%s": '
                'give "--profile %s", or remove its data with "down --purge".'
                % (self.cloud.state, before, self.cloud.profile, before))

    def _refuse_another_network(self):
        """The addresses of the first start are in the databases."""
        before = self.cloud.started_with.get('network', cloud.NETWORK)
        if before != cloud.NETWORK and not self._first_time():
            raise cloud.SandboxError(
                'The cloud in %s was made on the network %s.0/24, not '
                '%s.0/24: set SANDBOX_NETWORK=%s, or remove its data with '
                '"down --purge".' % (self.cloud.state, before, cloud.NETWORK,
                                     before))

    @contextlib.contextmanager
    def running(self, keep=False):
        """Have it up inside a block, and leave it as it was found.

        :param keep: leave it running even if it was not.
        """
        was_up = self.is_up()
        if not was_up:
            self.up()
        try:
            yield self
        finally:
            if not was_up and not keep:
                self._say('Stopping the local cloud ...')
                self.down()

    def _start(self, idle):
        if not self._first_time():
            self._start_services(idle)
            return
        folder = os.environ.get('SANDBOX_SNAPSHOT_DIR')
        if not folder:
            self._make(idle)
            return
        made = snapshot.Snapshot(folder, self._versions(),
                                 list(self.services.values()))
        with made.lock():
            if not made.is_usable():
                self._make(idle)
                # Each cloud can be a copy of an ordinary one, and no other.
                if self.cloud.profile != cloud.PRODUCTION:
                    with self._step('cloud', 'snapshot'):
                        made.save(self.cloud, self._dump)
                return
        self._copy(idle, made)

    def _make(self, idle):
        """Start a new cloud, and make what it needs once."""
        self._start_services(idle, self._create_schemas)
        with self._step('nova', 'compute host discovered'):
            self._discover_host()
        with self._step('cloud', 'network, image, flavor'):
            bootstrap.resources(self.cloud)
        self._remember_versions()

    def _copy(self, idle, made):
        """Start a new cloud with the data of a snapshot."""
        made.copy_files(self.cloud)
        self._start_services(idle, lambda: self._restore(made))
        self._remember_versions()

    def _restore(self, made):
        postgres = self.services['postgres']
        with self._step('postgres', 'databases copied'):
            self._in_parallel(
                lambda name: made.restore(
                    self.cloud, name, lambda path: self._command(
                        postgres, postgres.restore(path))),
                _LANES, [name for service in self.services.values()
                         for name in service.databases])
        if self.cloud.profile == cloud.PRODUCTION:
            # Nothing in Heat's database is of the cloud itself.
            heat = self.services['heat']
            with self._step(heat.name, 'schema'):
                for command in heat.migrations():
                    self._command(heat, command)

    def _dump(self, name, path):
        postgres = self.services['postgres']
        self._command(postgres, postgres.dump(name, path))

    def _start_services(self, idle, prepare=lambda: None):
        """Start what does not run.

        :param prepare: called once the stores answer.
        """
        for service in self.services.values():
            service.write_files()
        stores = [s for s in idle if s.name in services.STORES]
        others = [s for s in idle if s.name not in services.STORES]
        for service in stores:
            for command in service.migrations():
                self._command(service, command, 'new data folder')
            self.processes.start(service)
        for service in stores:
            self._wait_for(service)
        if self.cloud.profile == cloud.PRODUCTION:
            self.services['mariadb'].create_databases(['heat'])
        prepare()
        # Nova asks Keystone as it starts, and ends if nobody answers.
        self.start('keystone')
        for service in others:
            self.processes.start(service)
        self._in_parallel(self._wait_for, len(others) or 1, others)
        clients.write_clouds_yaml(self.cloud)

    def _versions(self):
        return {name: importlib.metadata.version(name) for name in _WHEELS
                if releases.is_installed(name)}

    @property
    def _versions_file(self):
        return self.cloud.state / 'versions.json'

    def _first_time(self):
        """Whether schemas and catalogue are still to be made.

        The record is written last, so a first start that was cut short is
        done again; each of its steps can be.
        """
        try:
            known = json.loads(self._versions_file.read_text())
        except (OSError, ValueError):
            return True
        if known != self._versions():
            raise cloud.SandboxError(
                'The data in %s were made by other releases of the services: '
                'remove them with "down --purge".' % self.cloud.state)
        return False

    def _remember_versions(self):
        cloud.write_atomically(self._versions_file,
                               json.dumps(self._versions(), indent=1))

    def _create_schemas(self):
        with self._step('postgres', 'databases'):
            self.services['postgres'].create_databases(
                [name for service in self.services.values()
                 for name in service.databases])
        self._in_parallel(self._migrate, _LANES, [
            self.services[name] for name in services.OPENSTACK
            if name in self.services])

    def _migrate(self, service):
        if service.databases:
            with self._step(service.name, 'schema'):
                for command in service.migrations():
                    self._command(service, command)
        if service.name == 'keystone':
            # It is the first: the others cannot start without their users.
            self.processes.start(service)
            self._wait_for(service)
            clients.write_clouds_yaml(self.cloud)
            with self._step(service.name, 'catalogue'):
                bootstrap.catalogue(self.cloud, self.services.values())

    def _in_parallel(self, function, lanes, arguments):
        """Call a function with each argument; the first failure ends all."""
        with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
            jobs = [pool.submit(function, argument) for argument in arguments]
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
            except BaseException:
                # Ctrl-C reaches this thread only: the others look here.
                self._giving_up = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _discover_host(self):
        """Until Nova's compute service has reported for the first time."""
        admin = clients.connect(self.cloud, 'sandbox-admin')
        nova = self.services['nova']
        end = time.monotonic() + _START_TIMEOUT
        while True:
            self._command(nova, nova.discover_hosts())
            if list(admin.compute.hypervisors()):
                return
            if time.monotonic() > end:
                raise cloud.SandboxError(
                    'Nova has no compute host after %d s: see %s.'
                    % (_START_TIMEOUT, self.processes.log('nova')))
            time.sleep(0.5)

    def _command(self, service, command, what=None):
        log = self.processes.log(service.name + '-setup')
        with self._step(service.name, what) if what else (
                contextlib.nullcontext()), open(log, 'ab') as stream:
            try:
                subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=stream,
                    stderr=subprocess.STDOUT, check=True,
                    timeout=_COMMAND_TIMEOUT,
                    env=self.processes.environment(service.environment()))
            except subprocess.SubprocessError as error:
                raise cloud.SandboxError(
                    'Setting up %s failed: see the end of %s. (%s)'
                    % (service.title, log, error)) from None

    def _wait_for(self, service):
        with self._step(service.name, 'answers'):
            self._wait_until(service)

    def _wait_until(self, service):
        end = time.monotonic() + _START_TIMEOUT
        while not service.check():
            if self._giving_up:
                raise cloud.SandboxError('Interrupted.')
            if not self.processes.pid(service.name):
                raise cloud.SandboxError(
                    '%s ended while starting: see the end of %s.'
                    % (service.title, self.processes.log(service.name)))
            if time.monotonic() > end:
                raise cloud.SandboxError(
                    '%s does not answer after %d s: see %s.'
                    % (service.title, _START_TIMEOUT,
                       self.processes.log(service.name)))
            time.sleep(0.1)

    def start(self, name):
        """Start one service and wait for it to answer."""
        parts = self._parts(name)
        for service in parts:
            self.processes.start(service)
        for service in parts:
            self._wait_until(service)

    def _parts(self, name):
        """The services that a name stands for."""
        return [self.services[part.name] for part in
                self.services[name].processes()]

    def logs(self, name):
        """Paths of the logs of a service, one for each of its processes."""
        return [self.processes.log(part.name) for part in self._parts(name)]

    @contextlib.contextmanager
    def _step(self, service, what):
        began = time.monotonic()
        yield
        now = time.monotonic()
        self._timings.append({'service': service, 'step': what,
                              'seconds': round(now - began, 2),
                              'at': round(now - self._began, 2)})
        self._say('%6.1f s  %-10s %s' % (now - self._began, service, what))

    def _write_timings(self):
        cloud.write_atomically(
            self.cloud.state / 'timings.json',
            json.dumps({'seconds': round(time.monotonic() - self._began, 2),
                        'steps': self._timings}, indent=1))

    # Down

    def _clean_up_after_a_crash(self, idle):
        """Stop what is left of services whose first process died."""
        for service in idle:
            self.processes.stop(service.name, service.stop_timeout)

    def down(self, purge=False):
        """Stop everything that was started, and remove all data on request.

        :returns: the names of the services that were running.
        """
        running = [name for name in self.processes.names()
                   if self.processes.signal(name, 0)]
        self._stop(self.processes.names())
        if purge:
            shutil.rmtree(self.cloud.state, ignore_errors=True)
            if self.cloud.run.exists():
                shutil.rmtree(self.cloud.run)
        return running

    def _stop(self, names):
        # The stores last: everybody else wants to write when ending.
        for group in ([n for n in names if n not in services.STORES],
                      [n for n in names if n in services.STORES]):
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                list(pool.map(self._stop_one, group))

    def _stop_one(self, name):
        service = self.services.get(name)
        self.processes.stop(name, service.stop_timeout if service else 10)

    def kill(self, name):
        """Kill a service as a crash would; it is dead on return."""
        parts = self._parts(name)
        for service in parts:
            self.processes.signal(service.name, signal.SIGKILL)
        for service in parts:
            self.processes.stop(service.name, 0)

    # Status

    def is_up(self):
        """Return True if every service runs."""
        return all(row['state'] == 'running' for row in self.status())

    def status(self):
        """Return a list of what is known of every service."""
        report = []
        for name, service in self.services.items():
            pid = self.processes.pid(name)
            state = 'stopped'
            if pid:
                state = 'running' if service.check() else 'not answering'
            report.append({
                'service': name, 'title': service.title, 'state': state,
                'pid': pid,
                'address': ', '.join(
                    '%s://%s:%d' % (service.scheme, self.cloud.address, port)
                    for port in service.ports.values()),
            })
        return report
