# SPDX-License-Identifier: Apache-2.0

"""The benchmark: run all measurements on a local cloud and tell the figures.

Every measurement is a module with NAME, TITLE and run(context), in the list
below. The figures go to build/bench, and with --render from there to the
documentation.
"""

import argparse
import datetime
import json
import os
import signal
import sys
import time
import traceback

from bench import clusters
from bench import context as contexts
from bench import costs
from bench import gone
from bench import groups
from bench import growth
from bench import growth_during_drain
from bench import overhead
from bench import render
from bench import sessions_cut
from bench import software_deployment
from bench import told
from sandbox import cloud
from sandbox import environments
from sandbox import lifecycle
from sandbox import machine
from sandbox import releases

# In the order of the page. Growth comes late: it leaves the services tired.
MEASUREMENTS = (sessions_cut, told, gone, overhead, growth_during_drain,
                growth, software_deployment, costs)

BUILD = cloud.REPO / 'build' / 'bench'

# Who scales in this line.
SCALING = (clusters.Clusters if releases.is_installed('senlin')
           else groups.Groups)


def _parser():
    names = [module.NAME for module in MEASUREMENTS]
    parser = argparse.ArgumentParser(
        prog='bench', description='Measure drains on a real local cloud.')
    parser.add_argument('--only', metavar='NAME', action='append',
                        choices=names, help='one measurement, may be '
                        'repeated: ' + ', '.join(names))
    parser.add_argument('--quick', action='store_true',
                        help='small sizes, to try it; not to be published')
    parser.add_argument('--keep', action='store_true',
                        help='leave the local cloud running')
    parser.add_argument('--format', choices=('text', 'json'), default='text',
                        help='how the figures are printed')
    parser.add_argument('--render', action='store_true',
                        help='measure nothing: write the figures of the last '
                             'run of each release line into the documentation')
    return parser


def measure(modules, quick, keep, say, save):
    """Run measurements; return {name: result}.

    A measurement that fails takes none of the others with it.

    :param save: called with that after each measurement.
    :raises SandboxError: if the cloud has servers, of a run that was killed
        for example: their agents would be measured as well.
    """
    local = lifecycle.LocalCloud(cloud.Cloud(), say)
    measured = {}
    with local.running(keep):
        context = contexts.Context(local, SCALING, quick, say)
        servers = context.project.servers()
        if servers:
            raise cloud.SandboxError(
                'the local cloud in %s has %d servers, which would be '
                'measured as well: delete their stacks first, or all of it '
                'with "python -m sandbox down --purge".'
                % (local.cloud.state, len(servers)))
        try:
            for module in modules:
                say('== %s ==' % module.TITLE)
                began = time.monotonic()
                load = os.getloadavg()[0]
                try:
                    found = module.run(context)
                # What the functional tests' helpers raise is the last one.
                except (contexts.BenchError, AssertionError) as error:
                    found = {'error': str(error)}
                except Exception as error:
                    found = {'error': '%s: %s; see %s' % (
                        type(error).__name__, error,
                        _keep_traceback(module.NAME))}
                if 'error' in found:
                    say('  not measured: %s' % found['error'])
                measured[module.NAME] = dict(
                    found, title=module.TITLE, quick=quick,
                    release=releases.current(),
                    date=datetime.date.today().isoformat(),
                    seconds=round(time.monotonic() - began, 1),
                    load_before=round(load, 2), machine=machine.describe())
                save(measured)
        finally:
            context.project.delete_stacks()
    return measured


def _keep_traceback(name):
    """Write what is for us and not for people; return where it is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / ('%s.traceback' % name)
    path.write_text(traceback.format_exc())
    return path


def _results(line):
    """Where the results of a release line are."""
    return BUILD / ('%s.json' % releases.named('results', line))


def _read(line):
    """Return {name: result} of a release line.

    The file may be as old as another default line, and then is of that one.
    """
    path = _results(line)
    found = json.loads(path.read_text()) if path.exists() else {}
    return {name: result for name, result in found.items()
            if result['release'] == line}


def _render():
    """Write what there is into the documentation; return the exit status."""
    lines = {line: _read(line) for line in releases.KNOWN}
    if not any(lines.values()):
        print('bench: there are no results in %s: run the benchmark first.'
              % BUILD, file=sys.stderr)
        return 2
    for path in render.documentation(lines):
        print(path.relative_to(cloud.REPO))
    return 0


def main(argv=None):
    """Run the benchmark.

    :returns: 0 if every goal was met, 1 if one was missed, 2 if something
        could not be measured.
    """
    args = environments.parse(_parser(), argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.render:
        return _render()
    results = _results(releases.current())
    before = _read(releases.current())
    modules = [module for module in MEASUREMENTS
               if not args.only or module.NAME in args.only]
    # JSON alone on the standard output.
    stream = sys.stderr if args.format == 'json' else sys.stdout

    def say(line):
        print(line, file=stream, flush=True)

    def save(measured):
        BUILD.mkdir(parents=True, exist_ok=True)
        # One that was run alone replaces its own figures only.
        cloud.write_atomically(
            results, json.dumps({**before, **measured}, indent=1) + '\n')

    try:
        measured = measure(modules, args.quick, args.keep, say, save)
    # What the functional tests' helpers raise is the last one.
    except (cloud.SandboxError, AssertionError) as error:
        print('bench: %s' % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('bench: interrupted.', file=sys.stderr)
        return 130
    render.pictures(measured, BUILD, 'png', releases.current())
    if args.format == 'json':
        print(json.dumps(measured, indent=1))
    else:
        print('\n' + render.text(measured))
        print('Written   %s' % results)
    if any('error' in result for result in measured.values()):
        return 2
    return int(any(not goal['met'] for result in measured.values()
                   for goal in result['goals']))


if __name__ == '__main__':
    sys.exit(main())
