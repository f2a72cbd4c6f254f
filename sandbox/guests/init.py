# SPDX-License-Identifier: Apache-2.0

"""First program of a guest: what cloud-init does at a boot.

Runs the scripts that are there for each boot and, at the first boot only, the
shell-script parts of the unmodified user data. Then it stays: a guest lives
until its server goes.
"""

import email
import os
import signal
import subprocess
import sys

# As in cloud-init.
PER_BOOT = '/var/lib/cloud/scripts/per-boot'
INSTANCE = '/var/lib/cloud/instance'
USER_DATA = INSTANCE + '/user-data.txt'
SCRIPTS = INSTANCE + '/scripts'
SEMAPHORE = INSTANCE + '/sem/config_scripts_user'


def shell_scripts(user_data):
    """Yield (name, script) of the parts that cloud-init would execute.

    cloud-init's rule: a part is a script by its MIME type or by starting
    with "#!"; user data need not be MIME at all.
    """
    if user_data.startswith(b'#!'):
        yield 'part-001', user_data
        return
    message = email.message_from_bytes(user_data)
    for number, part in enumerate(message.walk(), 1):
        if part.is_multipart():
            continue
        body = part.get_payload(decode=True) or b''
        if (part.get_content_type() == 'text/x-shellscript'
                or body.startswith(b'#!')):
            yield 'part-%03d' % number, body


def write_user_scripts():
    """Write the scripts of the user data to their folder."""
    os.makedirs(SCRIPTS, exist_ok=True)
    with open(USER_DATA, 'rb') as stream:
        user_data = stream.read()
    for name, script in shell_scripts(user_data):
        path = os.path.join(SCRIPTS, name)
        with open(path, 'wb') as stream:
            stream.write(script)
        os.chmod(path, 0o700)


def run_scripts(folder):
    """Run the executables of a folder in the order of their names."""
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not os.access(path, os.X_OK):
            continue
        print('init: running %s' % name, flush=True)
        status = subprocess.call([path], stdin=subprocess.DEVNULL)
        print('init: %s ended with status %d' % (name, status), flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.makedirs(PER_BOOT, exist_ok=True)
    run_scripts(PER_BOOT)
    if not os.path.exists(SEMAPHORE):
        write_user_scripts()
        # Before they run, as in cloud-init: a boot that was interrupted in
        # one of them does not run them again.
        os.makedirs(os.path.dirname(SEMAPHORE), exist_ok=True)
        open(SEMAPHORE, 'w').close()
        run_scripts(SCRIPTS)
    print('init: boot finished', flush=True)
    while True:
        signal.pause()


if __name__ == '__main__':
    main()
