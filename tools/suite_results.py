# SPDX-License-Identifier: Apache-2.0

"""Results of the test suites, and what must not happen to a test.

A skip needs an entry in tests/skips.toml, and a promise of
tests/promises.toml needs its tests on each release line that they belong to.
"""

import collections
import fnmatch
import pathlib
import tomllib
import typing
from xml.etree import ElementTree

TESTS = pathlib.Path(__file__).resolve().parents[1] / 'tests'


class Result(typing.NamedTuple):
    """The result of one test."""

    # "passed", "failed" or "skipped".
    outcome: str
    seconds: float
    # Of a skip or a failure, as pytest gives it.
    reason: str = ''


class Skip(typing.NamedTuple):
    """An entry of tests/skips.toml."""

    reason: str
    # Patterns of the suites in which it may happen.
    suites: list
    why: str
    # The Debian package without which it happens; never in CI.
    package: str = ''

    def covers(self, suite, result):
        return result.reason.startswith(self.reason) and any(
            fnmatch.fnmatch(suite, pattern) for pattern in self.suites)


class Promise(typing.NamedTuple):
    """An entry of tests/promises.toml."""

    section: str
    text: str
    # Files below tests/, or tests in them ("file::name").
    tests: list


def skips(path=TESTS / 'skips.toml'):
    return [Skip(**entry) for entry in _load(path)['skip']]


def promises(path=TESTS / 'promises.toml'):
    return [Promise(**entry) for entry in _load(path)['promise']]


def _load(path):
    with open(path, 'rb') as stream:
        return tomllib.load(stream)


def read(path):
    """Return {test: Result} of a JUnit file, tests as in tests/promises.toml.

    :returns: {} if the file is missing, as when pytest could not start.
    """
    if not path.exists():
        return {}
    # Our own pytest has written it.
    tree = ElementTree.parse(path)  # nosec B314
    return {_name(case): _result(case) for case in tree.iter('testcase')}


def _name(case):
    """Return "functional/test_x.py::test_y[z]" of a JUnit test case."""
    parts = case.get('classname').split('.')
    # A test case that could not be imported has no more than its name.
    if not parts[0]:
        return case.get('name')
    end = next((number for number, part in enumerate(parts)
                if part.startswith('test_')), len(parts) - 1)
    return '%s.py::%s' % ('/'.join(parts[1:end + 1]), '::'.join(
        [*parts[end + 1:], case.get('name')]))


def _result(case):
    seconds = float(case.get('time') or 0)
    for tag in ('failure', 'error'):
        if case.find(tag) is not None:
            return Result('failed', seconds,
                          case.find(tag).get('message', ''))
    skipped = case.find('skipped')
    if skipped is not None:
        return Result('skipped', seconds, skipped.get('message'))
    return Result('passed', seconds)


def failed(results):
    """Return a line for each test that failed, with the begin of its reason.

    :param results: {suite: {test: Result}}.
    """
    return ['%s: %s failed: %.300s' % (suite, test,
                                       ' '.join(result.reason.split()))
            for suite, tests in results.items()
            for test, result in tests.items() if result.outcome == 'failed']


def unlisted(results, listed, in_ci):
    """Return a line for each skip that is on no list.

    :param results: {suite: {test: Result}}.
    :param in_ci: whether a missing package is an error.
    """
    lines = []
    for suite, tests in results.items():
        for test, result in tests.items():
            if result.outcome != 'skipped':
                continue
            entry = next((entry for entry in listed
                          if entry.covers(suite, result)), None)
            if entry is None:
                lines.append('%s: %s is skipped, "%s": run it, or list the '
                             'reason in tests/skips.toml.'
                             % (suite, test, result.reason))
            elif entry.package and in_ci:
                lines.append('%s: %s is skipped without the Debian package '
                             '%s: install it.'
                             % (suite, test, entry.package))
    return lines


def missing_packages(results, listed):
    """Return {package: number of tests that were left out without it}."""
    return collections.Counter(
        entry.package for suite, tests in results.items()
        for result in tests.values() if result.outcome == 'skipped'
        for entry in listed if entry.package and entry.covers(suite, result))


def broken(promised, results, lines, listed, in_ci):
    """Return a line for each promise whose tests did not run.

    :param results: {suite: {test: Result}}; a suite is called "kind line".
    :param lines: the lines that each folder of tests runs on.
    :param in_ci: whether a missing package is an error.
    """
    ran = collections.defaultdict(set)
    for suite, tests in results.items():
        for test, result in tests.items():
            plain = test.partition('[')[0]
            excused = result.outcome == 'skipped' and not in_ci and any(
                entry.package and entry.covers(suite, result)
                for entry in listed)
            for name in (plain, plain.partition('::')[0]):
                ran[name, suite.split()[-1]].add(
                    'excused' if excused else result.outcome)
    said = []
    for promise in promised:
        for test in promise.tests:
            outcomes = {line: ran[_match(test, ran, line), line]
                        for line in lines[test.partition('/')[0]]}
            absent = [line for line, seen in outcomes.items() if not seen]
            if absent:
                said.append('%s (%s) is missing on %s.' % (
                    test, promise.text, ', '.join(absent)))
            elif not any(seen & {'passed', 'excused'}
                         for seen in outcomes.values()):
                said.append('%s (%s) passed on no release line.' % (
                    test, promise.text))
    return said


def _match(test, ran, line):
    """Return the name of a test as it ran, which may be in a class."""
    if '::' not in test or (test, line) in ran:
        return test
    file, _, name = test.partition('::')
    return next((known for known, on in list(ran) if on == line
                 and known.startswith(file + '::')
                 and known.endswith('::' + name)), test)
