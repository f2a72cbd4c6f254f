# SPDX-License-Identifier: Apache-2.0

"""What is done to the guests from the outside, as their hypervisor could."""

import signal

import psutil

_AGENT = '/opt/drain-agent/drain-agent'
_INSTANCE_ID = '/proc/%d/root/var/lib/cloud/data/instance-id'


def _agents(server):
    """Processes that are the agent of a server."""
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
            # Not the shell that starts it again.
            if _AGENT not in argv or 'python' not in argv[0]:
                continue
            with open(_INSTANCE_ID % process.pid) as stream:
                if stream.read().strip() == server:
                    yield process
        except (psutil.Error, OSError):
            continue


def _signal(server, number):
    """Signal the agent of a server, if there is one."""
    for process in _agents(server):
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def stop_agent(server):
    _signal(server, signal.SIGSTOP)


def continue_agent(server):
    _signal(server, signal.SIGCONT)


def kill_agent(server):
    _signal(server, signal.SIGKILL)


def _write(folder, name, text):
    new = folder / (name + '.new')
    try:
        new.write_text(text)
        new.replace(folder / name)
    except FileNotFoundError:
        pass  # Its server has gone.


def shift_clock(folder, seconds):
    """Set the clock that the agent of a guest sees.

    :param folder: the guest's folder.
    """
    _write(folder / 'var/lib', 'clock', '%d\n' % seconds)


def let_handlers_hang(folder):
    """Let the guest's drain handler hang until its agent ends it."""
    _write(folder / 'var/lib', 'hang', '')
