# SPDX-License-Identifier: Apache-2.0

"""Inject faults while servers drain, and tell what broke."""

import argparse
import datetime
import json
import logging
import os
import pathlib
import random
import signal
import sys
import time

from faults import catalogue
from faults import phases
from faults import render
from faults import verdict
from sandbox import cloud
from sandbox import environments
from sandbox import lifecycle
from sandbox import machine
from sandbox import releases

_RESULTS = cloud.REPO / 'build' / 'faults'


def _parser():
    parser = argparse.ArgumentParser(
        prog='faults', description='Faults while servers drain with sessions '
        'open on them, on a real local cloud. Each fault alone, and then '
        'random sequences of three.',
        epilog='Faults: %s.' % ', '.join(catalogue.FAULTS))
    parser.add_argument('--only', metavar='NAME[,NAME...]', action='append',
                        type=_sequence,
                        help='this fault, or these one after the other, and '
                             'nothing else; can be given more than once')
    parser.add_argument('--random', metavar='N', type=int,
                        help='this many random sequences, and no fault alone '
                             '(default: all faults alone, then 30)')
    parser.add_argument('--seed', type=int,
                        help='repeat the sequences of a run')
    parser.add_argument('--phases', metavar='PHASE[,PHASE...]', type=_phases,
                        default=(),
                        help='the phases that drains are in when a fault '
                             'begins (default: all); fewer need less of the '
                             'machine')
    parser.add_argument('--timeout', metavar='SECONDS', type=int,
                        default=100,
                        help='timeout of the drains; a slow machine needs '
                             'more (default: %(default)d)')
    parser.add_argument('--part', default='1/1', type=_part, metavar='I/N',
                        help='every Nth injection, beginning with the Ith')
    parser.add_argument('--keep', action='store_true',
                        help='leave the local cloud running')
    parser.add_argument('--render', metavar='FILE', nargs='*',
                        type=pathlib.Path,
                        help='inject nothing, and write results into the '
                             'documentation: of the last whole run of each '
                             'release line, or those of these parts')
    parser.add_argument('--format', choices=('text', 'json'), default='text',
                        help='how the result is printed')
    return parser


def _names(text, known):
    names = text.split(',')
    if not set(names) <= set(known):
        raise ValueError
    return names


def _sequence(text):
    return _names(text, catalogue.FAULTS)


def _phases(text):
    return _names(text, phases.PHASES)


def _part(text):
    index, number = map(int, text.split('/'))
    if not 0 < index <= number:
        raise ValueError
    return index, number


def results(part=(1, 1), line=None):
    """Where the results of a part of a run are kept.

    :param line: the release line that it was on, this one by default.
    """
    name = releases.named('results', line or releases.current())
    return _RESULTS / ('%s.json' % name if part == (1, 1) else
                       '%s-%d-of-%d.json' % (name, *part))


def plan(only=None, number=None, seed=0, part=(1, 1)):
    """Return what is to be injected, a list of lists of (name, pause).

    :param only: lists of names, instead of all that there is.
    :param number: of random sequences, None for 30 after each fault alone.
    """
    if only:
        chosen = [[(name, 0) for name in names] for names in only]
    else:
        alone = [[(name, 0)] for name in catalogue.FAULTS]
        chosen = ([] if number is not None else alone) + [
            list(sequence) for sequence in catalogue.sequences(
                seed, 30 if number is None else number)]
    index, parts = part
    return chosen[index - 1::parts]


def _inject(scene, injection):
    """Return the result of one injection."""
    began = time.monotonic()
    result = {'faults': [name for name, _ in injection],
              'pauses': [pause for _, pause in injection]}
    try:
        record = scene.inject([(catalogue.FAULTS[name], pause)
                               for name, pause in injection])
    except Exception as error:
        # The next one may find a better world.
        result['broken'] = ['%s: %s' % (type(error).__name__, error)]
        return result
    finally:
        result['seconds'] = round(time.monotonic() - began)
    result.update(verdict.counts(record), broken=verdict.broken(record))
    result['phases'] = {
        drain.phase: drain.gone and round(drain.gone - record.begun, 1)
        for drain in record.drains}
    return result


def _heal(local):
    """Let every service of the local cloud run and answer."""
    for name in local.services:
        local.processes.signal(name, signal.SIGCONT)
    local.up()


def _run(local, injections, timeout, names, say):
    # Slow, with the clients of all services, and not needed to say no.
    from faults import scene as scenes

    scene = None
    for number, injection in enumerate(injections, 1):
        say('%d of %d: %s' % (number, len(injections), ', '.join(
            name for name, _ in injection)))
        scene = scene or scenes.Scene(local, say, timeout, names)
        result = _inject(scene, injection)
        for problem in result['broken']:
            say('  BROKEN: %s' % problem)
        say('  %s' % _figures(result))
        yield result
        if result['broken']:
            # Whatever is wrong with them shall not be the next one's.
            _heal(local)
            _clear(scene, say)
            scene = None
    if scene:
        left = _clear(scene, say)
        if left:
            yield {'faults': ['the end'], 'seconds': 0,
                   'broken': ['left behind: %s' % left]}


def _clear(scene, say):
    say('  every stack is deleted')
    try:
        return scene.clear()
    except AssertionError as error:
        say('  BROKEN: %s' % error)
        return str(error)
    finally:
        scene.close()


def _figures(result):
    if 'sessions' not in result:
        return 'no result after %(seconds)d s' % result
    return ('%(sessions)d sessions, %(finished)d finished, %(cut)d cut, '
            '%(lost_by_the_fault)d lost by the fault itself; %(drains)d '
            'drains, %(deleted)d deleted, %(late)d of them late; '
            '%(seconds)d s' % result)


def main(argv=None):
    """Run it.

    :returns: 0 if no invariant broke.
    """
    args = environments.parse(_parser(), argv)
    # The clients of the services complain of every fault.
    logging.getLogger().addHandler(logging.NullHandler())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.render is not None:
        files = args.render or [path for path in (
            results(line=line) for line in releases.KNOWN) if path.exists()]
        render.PAGE.write_text(render.page(render.by_line(
            [json.loads(path.read_text()) for path in files])))
        return 0
    seed = args.seed
    if seed is None:
        seed = random.SystemRandom().randrange(10 ** 6)
    out = sys.stderr if args.format == 'json' else sys.stdout
    zero = time.monotonic()

    def say(text):
        print('%7.1f s  %s' % (time.monotonic() - zero, text), file=out,
              flush=True)

    say('seed %d' % seed)
    report = {'release': releases.current(),
              'date': datetime.date.today().isoformat(), 'seed': seed,
              'machine': machine.describe(), 'timeout': args.timeout,
              'phases': args.phases or list(phases.PHASES),
              'injections': []}
    local = lifecycle.LocalCloud(cloud.Cloud(), say)
    try:
        with local.running(args.keep):
            injections = plan(args.only, args.random, seed, args.part)
            for result in _run(local, injections, args.timeout,
                               args.phases, say):
                report['injections'].append(result)
                report['seconds'] = round(time.monotonic() - zero)
                # Each time: a run that is interrupted has its results.
                cloud.write_atomically(results(args.part),
                                       json.dumps(report, indent=1))
    except cloud.SandboxError as error:
        print('faults: %s' % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('faults: interrupted.', file=sys.stderr, flush=True)
        # Threads that wait for a cluster would keep us for minutes.
        os._exit(130)
    if args.format == 'json':
        print(json.dumps(report, indent=1))
    else:
        print('%s\n\nSeed %d. Written %s' % (
            render.summary(report), seed, results(args.part)))
    return int(any(result['broken'] for result in report['injections']))


if __name__ == '__main__':
    sys.exit(main())
