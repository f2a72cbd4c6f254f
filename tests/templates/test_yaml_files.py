# SPDX-License-Identifier: Apache-2.0

"""Every YAML file of the repository is well formed and in our format."""

import subprocess
import sys

from tests.unit import base


def test_yamllint_finds_nothing():
    """A key written twice, say, is not an error for Heat: the last one wins.

    The rules are in .yamllint, and the same command runs in pep8.
    """
    lint = subprocess.run(
        [sys.executable, '-m', 'yamllint', '--strict', '--format', 'parsable',
         '.'], cwd=base.REPO, capture_output=True, text=True)

    assert '' == lint.stdout + lint.stderr
