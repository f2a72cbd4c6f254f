# SPDX-License-Identifier: Apache-2.0

"""Programs of the distribution that some tests need."""

import os

import pytest

from sandbox import packages


def needs(program):
    """Leave a test out if a program is missing; in CI, fail it."""
    if packages.missing({program: program}):
        verdict = pytest.fail if os.environ.get('CI') else pytest.skip
        verdict('%s is not installed: "./run packages" does that, as root.'
                % program)
