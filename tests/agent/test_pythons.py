# SPDX-License-Identifier: Apache-2.0

"""No supported Python of a server's image is left out in silence."""

import os
import sys

import pytest

from tests.agent import conftest


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Leave no Python on this machine but the one that runs."""
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('HOME', str(tmp_path))


def test_folder_that_cannot_be_searched_ends_no_collection(monkeypatch):
    """An ordinary user with a folder of root's on PATH could run no test."""
    # Fails for root as well, unlike a folder without permission.
    monkeypatch.setenv('PATH', os.pathsep.join(
        ['/' + 300 * 'x', os.environ['PATH']]))

    assert sys.executable in conftest.interpreters().values()


def test_missing_python_is_skipped_with_a_reason(nowhere):
    """A list that shrinks looks like a list that passed."""
    parameters = {p.id: p for p in conftest.each_python()}

    assert ['3.%d' % minor for minor in range(6, 15)] == list(parameters)
    own = '%d.%d' % sys.version_info[:2]
    assert () == parameters.pop(own).marks
    for name, parameter in parameters.items():
        [mark] = parameter.marks
        assert 'Python %s is not on PATH' % name == mark.kwargs['reason']


def test_header_names_the_pythons(nowhere):
    """Whoever reads the report of CI has to see what was tested."""
    header = conftest.pytest_report_header()

    assert 'tested with Python %d.%d; ' % sys.version_info[:2] in header
    assert 'not on PATH: 3.6, ' in header
