# SPDX-License-Identifier: Apache-2.0

"""The release lines of OpenStack that the local cloud can be made of.

A line is what is installed, so each has a virtual environment of its own. The
services ask here, and nowhere else, which one they are started in.
"""

import importlib.metadata

# {major release of Heat: line}
_LINES = {22: '2024.1', 26: '2026.1', 27: '2026.2'}
KNOWN = tuple(_LINES.values())
# The lines on which the plugin's unit tests run and no cloud can be made.
_UNIT_TESTS_ONLY = {23: '2024.2', 24: '2025.1', 25: '2025.2'}
UNIT_TESTS_ONLY = tuple(_UNIT_TESTS_ONLY.values())
DEFAULT = '2026.2'


def current():
    """Return the line of this environment."""
    return {**_LINES, **_UNIT_TESTS_ONLY}[_heat()]


def on_threads():
    """Return True if the services of this line work without eventlet."""
    return _heat() >= 25


def _heat():
    """Return the major release of Heat in this environment."""
    return int(importlib.metadata.version('openstack-heat').partition('.')[0])


def is_installed(distribution):
    """Return whether this environment has it: Senlin is in one line only."""
    try:
        return bool(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return False


def named(name, line):
    """Return a name of this line's own; that of the default has no ending."""
    return name if line == DEFAULT else '%s-%s' % (name, line)
