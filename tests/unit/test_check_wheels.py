# SPDX-License-Identifier: Apache-2.0

"""Wheels of the default line, for each machine that may have to install it."""

import subprocess

import pytest

from sandbox import prerequisites
from tools import check_wheels


def answers(monkeypatch, *ends):
    """Have pip end so; return the command lines that it is given."""
    ends, calls = list(ends), []

    def run(words, **_options):
        calls.append(words)
        status, stderr = ends.pop(0)
        return subprocess.CompletedProcess(words, status, '', stderr)
    monkeypatch.setattr(subprocess, 'run', run)
    return calls


def test_every_machine_that_is_let_in_is_looked_at():
    """What "run" lets begin would end with a missing compiler."""
    assert check_wheels.PYTHONS == tuple('3.%d' % minor for minor in range(
        prerequisites.OLDEST_PYTHON[1], prerequisites.NEWEST_PYTHON[1] + 1))
    assert check_wheels.ARCHITECTURES == prerequisites._MACHINES


def test_every_missing_wheel_is_told(monkeypatch):
    """After the first one, each further one would take another run."""
    calls = answers(
        monkeypatch,
        (1, 'ERROR: No matching distribution found for b==2\n'),
        (1, 'ERROR: No matching distribution found for a\n'), (0, ''))

    assert ['b==2', 'a'] == check_wheels.missing(
        {'a': 'a', 'b': 'b==2', 'c': 'c==3'}, '3.14', 'aarch64')

    assert [['a', 'b==2', 'c==3'], ['a', 'c==3'], ['c==3']] == [
        [word for word in call if word[0] in 'abc'] for call in calls]
    assert all('3.14' in call and '--platform=manylinux_2_36_aarch64' in call
               and '--platform=manylinux_2_37_aarch64' not in call
               for call in calls)


def test_another_failure_is_no_missing_wheel(monkeypatch):
    """Without a network everything would seem to be there."""
    answers(monkeypatch, (1, 'ERROR: Connection refused'))

    with pytest.raises(RuntimeError, match='Connection refused'):
        check_wheels.missing({'a': 'a'}, '3.11', 'x86_64')


def test_what_is_pinned_is_asked_for_by_its_release():
    """A later release has a wheel, and the pinned one is what is installed."""
    found = check_wheels.installed()

    assert found['python-heatclient'].startswith('python-heatclient==')
    assert 'openstack-heat' == found['openstack-heat']
    assert not check_wheels._PURE & set(found)
