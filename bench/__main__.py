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
import platform
import signal
import sys
import time

import psutil

from bench import context as contexts
from bench import gone
from bench import growth
from bench import overhead
from bench import render
from bench import sessions_cut
from bench import told
from sandbox import cloud
from sandbox import lifecycle

# In the order of the page. Growth comes late: it leaves the services tired.
MEASUREMENTS = (sessions_cut, told, gone, overhead, growth)

BUILD = cloud.REPO / 'build' / 'bench'


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
                             'run into the documentation')
    return parser


def machine():
    """Return what the figures depend on."""
    return {
        'processor': _processor(),
        'cores': os.cpu_count(),
        'memory_gib': round(psutil.virtual_memory().total / (1 << 30)),
        'system': platform.system() + ' ' + platform.release(),
        'python': platform.python_version(),
    }


def _processor():
    try:
        with open('/proc/cpuinfo') as stream:
            return next(line.partition(':')[2].strip() for line in stream
                        if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.machine()


def measure(modules, quick, keep, say, save):
    """Run measurements; return the document of a run.

    A measurement that fails takes none of the others with it.

    :param save: called with the document after each measurement.
    """
    began = time.monotonic()
    local = lifecycle.LocalCloud(cloud.Cloud(), say)
    document = {
        'date': datetime.date.today().isoformat(), 'quick': quick,
        'machine': machine(), 'load_before': os.getloadavg()[0],
        'measurements': {}}
    with local.running(keep):
        context = contexts.Context(local, quick, say)
        try:
            for module in modules:
                say('== %s ==' % module.TITLE)
                start = time.monotonic()
                try:
                    found = module.run(context)
                # What the functional tests' helpers raise is the last one.
                except (contexts.BenchError, AssertionError) as error:
                    found = {'error': str(error)}
                    say('bench: %s: %s' % (module.NAME, error))
                document['measurements'][module.NAME] = dict(
                    found, title=module.TITLE,
                    seconds=round(time.monotonic() - start, 1))
                document['seconds'] = round(time.monotonic() - began, 1)
                save(document)
        finally:
            context.project.delete_stacks()
    return document


def main(argv=None):
    """Run the benchmark.

    :returns: 0 if every goal was met, 1 if one was missed, 2 if something
        could not be measured.
    """
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = BUILD / 'results.json'
    if args.render:
        if not results.exists():
            print('bench: %s is not there: run the benchmark first.'
                  % results, file=sys.stderr)
            return 2
        for path in render.documentation(json.loads(results.read_text())):
            print(path.relative_to(cloud.REPO))
        return 0
    modules = [module for module in MEASUREMENTS
               if not args.only or module.NAME in args.only]
    # JSON alone on the standard output.
    stream = sys.stderr if args.format == 'json' else sys.stdout

    def say(line):
        print(line, file=stream, flush=True)

    def save(document):
        BUILD.mkdir(parents=True, exist_ok=True)
        cloud.write_atomically(results, json.dumps(document, indent=1) + '\n')

    try:
        document = measure(modules, args.quick, args.keep, say, save)
    except cloud.SandboxError as error:
        print('bench: %s' % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('bench: interrupted.', file=sys.stderr)
        return 130
    render.pictures(document, BUILD, 'png')
    if args.format == 'json':
        print(json.dumps(document, indent=1))
    else:
        print('\n' + render.text(document))
        print('Written   %s' % results)
    measured = document['measurements'].values()
    if any('error' in result for result in measured):
        return 2
    return int(any(not goal['met'] for result in measured
                   for goal in result['goals']))


if __name__ == '__main__':
    sys.exit(main())
