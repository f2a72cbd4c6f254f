# SPDX-License-Identifier: Apache-2.0

"""Pack the drain agent for user data, which is short.

Servers get the source as it is, comments included; on its way there it is
compressed and in base64, as cloud-init's "gz+b64" is.

    python tools/ship_agent.py           writes templates/agent/drain-agent.b64
    python tools/ship_agent.py --check   fails if that is not the source
"""

import base64
import pathlib
import sys
import textwrap
import zlib

FOLDER = pathlib.Path(__file__).resolve().parents[1] / 'templates' / 'agent'
SOURCE = FOLDER / 'drain_agent.py'
SHIPPED = FOLDER / 'drain-agent.b64'


def pack(source):
    text = base64.b64encode(zlib.compress(source, 9)).decode()
    return textwrap.fill(text, 79) + '\n'


def unpack(text):
    return zlib.decompress(base64.b64decode(text))


def main():
    source = SOURCE.read_bytes()
    if '--check' not in sys.argv:
        SHIPPED.write_text(pack(source))
        print('%s: %d bytes' % (SHIPPED.name, SHIPPED.stat().st_size))
        return 0
    # Not the packed text: another zlib packs in another way.
    if not SHIPPED.exists() or unpack(SHIPPED.read_text()) != source:
        print('%s is not up to date: run "tox -e genref".' % SHIPPED.name)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
