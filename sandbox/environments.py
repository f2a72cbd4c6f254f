# SPDX-License-Identifier: Apache-2.0

"""The option --release: the same command in the environment of a line."""

import os
import sys

from sandbox import cloud
from sandbox import releases


def parse(parser, argv=None):
    """Parse arguments, with --release, where that line is installed.

    That may be another environment; then this process goes on there.

    :param parser: whose "prog" is a package of ours, as in "python -m".
    """
    parser.add_argument(
        '--release', metavar='LINE', default=os.environ.get('SANDBOX_RELEASE'),
        help='release line of OpenStack: %s (default: $SANDBOX_RELEASE, or '
             'that of the Python that runs this)' % ', '.join(releases.KNOWN))
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    try:
        python = _python(args.release or releases.current())
    except cloud.SandboxError as error:
        parser.exit(2, '%s: %s\n' % (parser.prog, error))
    if python:
        os.execv(python, [python, '-m', parser.prog, *argv])
    return args


def _python(line):
    """Return the Python of another line than this one's, else None.

    :raises SandboxError: if there is none.
    """
    if line not in releases.KNOWN:
        raise cloud.SandboxError('There is no release "%s" here; there are: '
                                 '%s.' % (line, ', '.join(releases.KNOWN)))
    if line == releases.current():
        return None
    python = cloud.REPO / '.tox' / releases.named('cloud', line) / 'bin/python'
    if not python.exists():
        raise cloud.SandboxError(
            'Release %s is not installed: "./run tox -e %s --notest" does '
            'that.' % (line, releases.named('sandbox', line)))
    return str(python)
