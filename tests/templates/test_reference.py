# SPDX-License-Identifier: Apache-2.0

"""The generated reference says what the schemas and templates say."""

import subprocess
import sys

from tests.unit import base


def test_reference_is_up_to_date():
    """A reader of the reference is never told of a default that has gone.

    In a process of its own, as in pep8: the program sets Heat up for itself.
    """
    check = subprocess.run(
        [sys.executable, 'tools/render_reference.py', '--check'],
        cwd=base.REPO, capture_output=True, text=True)

    assert 0 == check.returncode, check.stderr


def test_only_what_has_a_signal_url_has_results():
    """An author would signal ROLLBACK to a group, which reads no result."""
    pages = (base.REPO / 'doc/source/reference/resources').glob('*.rst')

    assert ['lifecycle_hook'] == [
        page.stem for page in pages
        if '\nResults\n-------\n' in page.read_text()]
