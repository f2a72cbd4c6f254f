# SPDX-License-Identifier: Apache-2.0

"""Tests that need a program of the distribution are not left out in CI."""

import pytest

from tests import programs


@pytest.mark.parametrize(('variable', 'outcome'), [
    (None, pytest.skip.Exception), ('true', pytest.fail.Exception)])
def test_test_without_its_program_is_left_out_but_in_ci(
        monkeypatch, variable, outcome):
    """A promise would be tested nowhere, and CI would be green."""
    monkeypatch.delenv('CI', raising=False)
    if variable:
        monkeypatch.setenv('CI', variable)

    programs.needs('sh')
    with pytest.raises(outcome, match='gone is not installed: "./run pack'):
        programs.needs('gone')
