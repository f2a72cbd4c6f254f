# SPDX-License-Identifier: Apache-2.0

"""First program of a guest: what cloud-init does with user data.

Runs the shell-script parts of the unmodified user data, in their order, then
stays: a guest lives until its server goes.
"""

import email
import os
import signal
import subprocess
import sys

USER_DATA = '/var/lib/cloud/instance/user-data.txt'
SCRIPTS = '/var/lib/cloud/instance/scripts'


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


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.makedirs(SCRIPTS, exist_ok=True)
    with open(USER_DATA, 'rb') as stream:
        user_data = stream.read()
    for name, script in shell_scripts(user_data):
        path = os.path.join(SCRIPTS, name)
        with open(path, 'wb') as stream:
            stream.write(script)
        os.chmod(path, 0o700)
        print('init: running %s' % name, flush=True)
        status = subprocess.call([path], stdin=subprocess.DEVNULL)
        print('init: %s ended with status %d' % (name, status), flush=True)
    print('init: boot finished', flush=True)
    while True:
        signal.pause()


if __name__ == '__main__':
    main()
