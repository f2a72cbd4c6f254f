# SPDX-License-Identifier: Apache-2.0

"""The command line: put the template library on a host of heat-engine."""

import argparse
import pathlib
import sys
import sysconfig

from hooks_library import install
from hooks_library import library

_IN_CLONE = pathlib.Path(__file__).resolve().parents[1] / 'templates'


def _parser():
    parser = argparse.ArgumentParser(
        prog='heat-hooks-library',
        description='Make the template library available as Hooks::* types '
                    'to every user of this heat-engine. Run it as a user who '
                    'may write the folders, on each host of heat-engine, and '
                    'restart heat-engine.')
    verbs = parser.add_subparsers(dest='verb', required=True)
    verbs.add_parser(
        'install', help='install or upgrade it; changes nothing if it is '
                        'there already')
    verbs.add_parser('uninstall', help='remove all that "install" wrote')
    for verb in verbs.choices.values():
        verb.add_argument(
            '--prefix', metavar='DIR', type=pathlib.Path,
            default=pathlib.Path('/usr/local'),
            help='the templates are below share/heat-lifecycle-hooks/library '
                 'in it (default: %(default)s)')
        verb.add_argument(
            '--environment-dir', metavar='DIR', type=pathlib.Path,
            default=pathlib.Path('/etc/heat/environment.d'),
            help='the environment_dir of heat.conf (default: %(default)s)')
        verb.add_argument(
            '--check', action='store_true',
            help='change nothing; exit with 1 if there is something to change')
    verbs.choices['install'].add_argument(
        '--environment', metavar='FILE', type=pathlib.Path,
        help='an environment, such as one of the library\'s: the source it '
             'maps to %s, and its parameter_defaults, are the defaults of '
             'this site' % library.ALIAS)
    verbs.choices['install'].add_argument(
        '--templates', metavar='DIR', type=pathlib.Path, default=_templates(),
        help='the folder of the templates (default: %(default)s)')
    return parser


def _templates():
    """The templates of this clone, or those installed with this package."""
    if _IN_CLONE.is_dir():
        return _IN_CLONE
    return (pathlib.Path(sysconfig.get_path('data'))
            / 'share/heat-lifecycle-hooks/templates')


def main(argv=None):
    args = _parser().parse_args(argv)
    place = install.Place(args.prefix, args.environment_dir)
    try:
        if args.verb == 'install':
            changes = place.install(
                library.Library(args.templates, args.environment),
                dry=args.check)
        else:
            changes = place.uninstall(dry=args.check)
    except library.LibraryError as error:
        print('heat-hooks-library: %s' % error, file=sys.stderr)
        return 2
    for change in changes:
        print(('would ' if args.check else '') + change)
    if not changes:
        print('nothing to do')
    elif not args.check:
        print('restart heat-engine')
    return int(args.check and bool(changes))


if __name__ == '__main__':
    sys.exit(main())
