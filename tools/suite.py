# SPDX-License-Identifier: Apache-2.0

"""Runner of all test suites: side by side, with one verdict at the end."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import typing

from sandbox import launcher
from sandbox import releases
from tools import suite_results

REPO = pathlib.Path(__file__).resolve().parents[1]
FOLDER = REPO / 'build' / 'suite'
SECONDS = REPO / 'tests' / 'functional' / 'seconds.json'

OLD, NEW = releases.KNOWN[0], releases.KNOWN[-1]
# Lines of which no cloud is made here, only the plugin's own tests.
HEAT_ONLY = tuple(sorted({*releases.KNOWN, *releases.UNIT_TESTS_ONLY}
                         - {OLD, NEW}))
ALL = (NEW, OLD, *HEAT_ONLY)
# The lines that the tests of a folder run on; the agent knows nothing of them.
LINES = {'unit': (OLD, NEW), 'templates': (OLD, NEW), 'agent': (NEW,),
         'functional': (OLD, NEW)}

# Of the cloud with several engines; those of launcher.SUITE are below.
_ENGINES_NETWORKS = {NEW: '127.121.0', OLD: '127.122.0'}

_PROGRESS_SECONDS = 60
_INTERRUPT_SECONDS = 1


class Suite(typing.NamedTuple):
    """One command, with a log of its own."""

    name: str
    command: list
    environment: dict = {}

    @property
    def log(self):
        return FOLDER / (self.name.replace(' ', '-') + '.log')

    @property
    def junit(self):
        return self.log.with_suffix('.xml')


class Ended(typing.NamedTuple):
    """How a suite ended."""

    suite: Suite
    status: int
    seconds: float


def _environment(line):
    """Return the tox environment that has a line installed."""
    return releases.named('py3', line)


def _python(line):
    folder = (_environment(line) if line in releases.UNIT_TESTS_ONLY
              else releases.named('cloud', line))
    return REPO / '.tox' / folder / 'bin' / 'python'


def _is_installed(line):
    """Return False of a line that this machine has no Python for."""
    return _python(line).exists()


def _pytest(kind, line, *arguments, **environment):
    suite = Suite('%s %s' % (kind, line), [])
    return suite._replace(
        command=[str(_python(line)), '-m', 'pytest', '--color=no',
                 '--junitxml=%s' % suite.junit,
                 '--override-ini=junit_family=xunit1', *arguments],
        environment={'PYTHONUNBUFFERED': '1', 'PYTHONWARNINGS': 'ignore',
                     **environment})


def _on_clouds(kind, line, network, *arguments, **environment):
    return _pytest(
        kind, line, *arguments,
        SANDBOX_NETWORK=network,
        SANDBOX_STATE_DIR=str(REPO / 'build' / ('%s-%s' % (kind, line))),
        SANDBOX_SNAPSHOT_DIR=str(REPO / 'build' / ('snapshot-' + line)),
        **environment)


def _functional(line):
    network, workers = launcher.SUITE[line]
    return _on_clouds('functional', line, network, '-n', str(workers),
                      'tests/functional',
                      '--ignore=tests/functional/test_engines.py')


def _engines(line):
    return _on_clouds('engines', line, _ENGINES_NETWORKS[line],
                      'tests/functional/test_engines.py',
                      SANDBOX_PROFILE='production',
                      SANDBOX_HEAT_ENGINES='3')


def install(say):
    """Make the environments of all lines, as far as there is a Python."""
    say('Installing what is missing.')
    done = subprocess.run(
        [sys.executable, '-m', 'tox', 'run-parallel',
         '--parallel-no-spinner', '--notest', '--skip-missing-interpreters',
         'true', '-e', ','.join(map(_environment, ALL))],
        cwd=REPO, check=False)
    if done.returncode:
        sys.exit('suite: the installation failed, see above.')
    for line in ALL:
        if not _is_installed(line):
            say('OpenStack %s is left out: this machine has no Python for it.'
                % line)


def plan():
    """Return stages of lanes of suites: lanes run side by side.

    The clouds wait more than they work, so the clouds of both lines are up at
    once; what works more than it waits has the machine to itself before.
    """
    style = Suite('style and docs', [sys.executable, '-m', 'tox', '-e',
                                     'pep8,docs'])
    return [
        [[_pytest('unit', NEW, '-n', '2', 'tests/unit', 'tests/templates',
                  'tests/agent')],
         [style]],
        [[_pytest('unit', line, '-n', '2', 'tests/unit', 'tests/templates')
          for line in (OLD, *HEAT_ONLY) if _is_installed(line)]],
        [[_functional(line), _engines(line)] for line in (NEW, OLD)
         if _is_installed(line)],
    ]


def run(suite, say):
    """Run a suite, and return how it ended."""
    suite.junit.unlink(missing_ok=True)
    began = time.monotonic()
    say('%s begins; its log is %s.' % (suite.name,
                                       suite.log.relative_to(REPO)))
    with open(suite.log, 'wb') as log:
        try:
            status = subprocess.run(
                suite.command, cwd=REPO, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, check=False,
                env={**os.environ, **suite.environment}).returncode
        except OSError as error:
            log.write(str(error).encode())
            status = 127
    ended = Ended(suite, status, time.monotonic() - began)
    say('%s %s after %d s.' % (suite.name, 'failed' if status else 'passed',
                               ended.seconds))
    return ended


def run_all(stages, say):
    """Return how all suites ended; progress is told in between."""
    done = []
    running = set()

    def run_lane(lane):
        for suite in lane:
            if over.is_set():
                return
            running.add(suite.name)
            done.append(run(suite, say))
            running.discard(suite.name)
            if done[-1].status:
                # Ctrl-C ends a suite, and the main thread may hear it later.
                over.wait(_INTERRUPT_SECONDS)

    over = threading.Event()
    by_name = {suite.name: suite for stage in stages for lane in stage
               for suite in lane}
    reporter = threading.Thread(target=_report, daemon=True, args=(
        over, lambda: [by_name[name] for name in sorted(running)], say))
    reporter.start()
    try:
        for stage in stages:
            with concurrent.futures.ThreadPoolExecutor(len(stage)) as pool:
                try:
                    list(pool.map(run_lane, stage))
                except KeyboardInterrupt:
                    # What runs is interrupted, too; nothing follows it.
                    over.set()
                    raise
    finally:
        over.set()
    return done


def _report(over, running, say):
    while not over.wait(_PROGRESS_SECONDS):
        say(', '.join('%s %s' % (suite.name, _percent(suite))
                      for suite in running()) + '.')


def _percent(suite):
    """Return how much of its tests pytest has said to be done."""
    try:
        seen = re.findall(r'\[ *(\d+%)\]', suite.log.read_text('utf-8',
                                                               'replace'))
    except OSError:
        return ''
    return seen[-1] if seen else 'begins'


def _failures(suite):
    """Return what a log says about failures, or else its end."""
    lines = suite.log.read_text('utf-8', 'replace').splitlines()
    begin = next((number for number, line in enumerate(lines)
                  if re.match(r'=+ (FAILURES|ERRORS) =+$', line)),
                 max(0, len(lines) - 60))
    return '\n'.join(lines[begin:begin + 600])


def _table(done, results):
    lines = ['%-20s %7s %7s %7s %8s' % ('suite', 'passed', 'failed',
                                        'skipped', 'seconds')]
    for ended in done:
        outcomes = [result.outcome for result in
                    results.get(ended.suite.name, {}).values()]
        lines.append('%-20s %7s %7s %7s %8d' % (
            ended.suite.name, *(
                outcomes.count(outcome) if outcomes else '-'
                for outcome in ('passed', 'failed', 'skipped')),
            ended.seconds))
    return lines


def _skip_lines(results, listed):
    lines = []
    for entry in listed:
        number = sum(result.outcome == 'skipped'
                     and entry.covers(suite, result)
                     for suite, tests in results.items()
                     for result in tests.values())
        if number:
            lines.append('%5d skipped, "%s": %s' % (number, entry.reason,
                                                    entry.why))
    return lines


def judge(done, in_ci, say):
    """Tell all results, and return the exit status."""
    results = {ended.suite.name: suite_results.read(ended.suite.junit)
               for ended in done if ended.suite.junit.exists()}
    listed = suite_results.skips()
    wrong = ['%s failed: see %s.' % (ended.suite.name, ended.suite.log)
             for ended in done if ended.status]
    wrong += suite_results.failed(results)
    wrong += ['OpenStack %s was left out: install a Python that it runs on.'
              % line for line in ALL
              if in_ci and not _is_installed(line)]
    for ended in done:
        if ended.status:
            say('\n--- %s ---\n%s' % (ended.suite.name,
                                      _failures(ended.suite)))
    say('\n' + '\n'.join([*_table(done, results),
                          *_skip_lines(results, listed)]))
    wrong += suite_results.unlisted(results, listed, in_ci)
    wrong += suite_results.broken(
        suite_results.promises(), results,
        {folder: [line for line in lines if _is_installed(line)]
         for folder, lines in LINES.items()}, listed, in_ci)
    missing = suite_results.missing_packages(results, listed)
    if missing:
        say('\nLeft out: %d tests, for want of %s. "sudo ./run packages" adds '
            'them.' % (sum(missing.values()), ', '.join(sorted(missing))))
    if wrong:
        say('\n' + '\n'.join(wrong))
    return int(bool(wrong))


def write_seconds(done):
    """Note how long each file of functional tests took."""
    known = json.loads(SECONDS.read_text())
    for ended in done:
        kind, _, line = ended.suite.name.partition(' ')
        if kind != 'functional' or ended.status:
            continue
        seconds = {}
        for test, result in suite_results.read(ended.suite.junit).items():
            name = pathlib.PurePath(test.partition('::')[0]).name
            seconds[name] = seconds.get(name, 0) + result.seconds
        known[line] = {name: round(seconds[name]) for name in sorted(seconds)}
    SECONDS.write_text(json.dumps(known, indent=1, sort_keys=True) + '\n')


def main():
    parser = argparse.ArgumentParser(prog='suite', description=__doc__)
    parser.add_argument(
        '--only', metavar='PATTERN', default='',
        help='run the suites whose name matches this regular expression')
    parser.add_argument(
        '--write-seconds', action='store_true',
        help='note how long each file took, by which the next run is ordered')
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def say(text):
        print('%5d s  %s' % (time.monotonic() - began, text)
              if not text.startswith('\n') else text, flush=True)

    install(say)
    stages = [[lane for lane in (
        [suite for suite in lane if re.search(args.only, suite.name)]
        for lane in stage) if lane] for stage in plan()]
    done = run_all([stage for stage in stages if stage], say)
    if args.write_seconds:
        write_seconds(done)
    if args.only:
        # Nothing can be said about promises.
        say('\n' + '\n'.join(_table(done, {
            ended.suite.name: suite_results.read(ended.suite.junit)
            for ended in done})))
        return int(any(ended.status for ended in done))
    return judge(done, bool(os.environ.get('CI')), say)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit('suite: interrupted.')
