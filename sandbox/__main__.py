# SPDX-License-Identifier: Apache-2.0

"""The command line of the local cloud."""

import argparse
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

from sandbox import cloud
from sandbox import environments
from sandbox import lifecycle
from sandbox import releases


def _parser():
    parser = argparse.ArgumentParser(
        prog='sandbox', description='A real OpenStack in one terminal.')
    parser.add_argument(
        '--state-dir', metavar='DIR',
        help='folder for its data (default: $SANDBOX_STATE_DIR, or '
             'build/sandbox in the clone, build/sandbox-LINE for another '
             'line than the usual one)')
    verbs = parser.add_subparsers(dest='verb', required=True)

    up = verbs.add_parser('up', help='start what does not run')
    up.add_argument(
        '--plugin-dir', metavar='DIR',
        help='folder of Heat plugins (default: heat_plugins in the clone)')
    up.add_argument(
        '--heat-engines', metavar='N',
        help='run Heat as on a site: its APIs, N engines, and RabbitMQ '
             'between them; 0 is one process for all (default: '
             '$SANDBOX_HEAT_ENGINES, or as at the last start, or 0)')
    up.add_argument(
        '--profile', choices=cloud.PROFILES,
        help='"production": Heat as on a site, with engines that fork, '
             'RabbitMQ and MariaDB (default: $SANDBOX_PROFILE, or as at the '
             'last start, or "ordinary")')
    down = verbs.add_parser('down', help='stop what was started')
    down.add_argument('--purge', action='store_true',
                      help='remove all data as well')
    status = verbs.add_parser('status', help='show every service')
    status.add_argument('--format', choices=('table', 'json'),
                        default='table')
    logs = verbs.add_parser('logs', help='show the log of a service')
    logs.add_argument('service', help='a name that "status" shows')
    logs.add_argument('-f', '--follow', action='store_true',
                      help='go on as the log grows')
    logs.add_argument('-n', '--lines', type=int, default=50,
                      help='number of lines from the end (default: 50)')
    verbs.add_parser(
        'env', help='print shell commands for the openstack client: '
                    'eval "$(... env)"')
    return parser


def _up(local, _args):
    local.up()
    print('The local cloud is up. Its command line, in any terminal:\n\n'
          '  eval "$(%s)"\n'
          '  openstack --os-cloud sandbox stack list\n'
          % ' '.join(map(shlex.quote, _env_command(local))))


def _env_command(local):
    """Return the words by which ``env`` of this cloud is called."""
    line = releases.current()
    # "run sandbox" would install the default line first.
    verb = ['sandbox'] if line == releases.DEFAULT else [
        'tox', '-qq', 'run', '-e', releases.named('sandbox', line), '--']
    state = [] if local.cloud.state == cloud.DEFAULT_STATE else [
        '--state-dir', str(local.cloud.state)]
    return [str(cloud.REPO / 'run'), *verb, *state, 'env']


def _down(local, args):
    running = local.down(purge=args.purge)
    print('Stopped: %s.' % ', '.join(running) if running
          else 'Nothing was running.')


def _status(local, args):
    report = local.status()
    if args.format == 'json':
        print(json.dumps(report, indent=1))
    else:
        for row in report:
            print('%-13s %-13s %-8s %s' % (
                row['service'], row['state'], row['pid'] or '-',
                row['address']))
    return int(any(row['state'] != 'running' for row in report))


def _logs(local, args):
    if args.service not in local.services:
        raise cloud.SandboxError('There is no service "%s"; there are: %s.' % (
            args.service, ', '.join(local.services)))
    log = local.processes.log(args.service)
    if not log.exists():
        raise cloud.SandboxError('%s has no log yet: start the cloud with '
                                 '"up".' % args.service)
    follow = ['--follow'] if args.follow else []
    return subprocess.call(['tail', '--lines', str(args.lines), *follow,
                            str(log)])


def _env(local, _args):
    if not local.cloud.clouds_yaml.exists():
        raise cloud.SandboxError('The local cloud has not been started yet: '
                                 'start it with "up".')
    print('export OS_CLIENT_CONFIG_FILE=%s'
          % shlex.quote(str(local.cloud.clouds_yaml)))
    print('export OS_CLOUD=sandbox')
    print('export PATH=%s:"$PATH"' % shlex.quote(
        str(pathlib.Path(sys.prefix, 'bin'))))
    print('export PYTHONPATH=%s"${PYTHONPATH:+:$PYTHONPATH}"'
          % shlex.quote(str(cloud.REPO)))


def main(argv=None):
    """Run a command; every failure we know ends in one sentence."""
    args = environments.parse(_parser(), argv)
    # SIGTERM ends "up" as Ctrl-C does: with nothing left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        local = lifecycle.LocalCloud(cloud.Cloud(
            args.state_dir, getattr(args, 'plugin_dir', None),
            getattr(args, 'heat_engines', None),
            getattr(args, 'profile', None)))
        return globals()['_' + args.verb](local, args)
    except cloud.SandboxError as error:
        print('sandbox: %s' % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('sandbox: interrupted.', file=sys.stderr)
        return 130


if __name__ == '__main__':
    os.umask(0o022)
    # Who pipes us into "head" gets no traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
