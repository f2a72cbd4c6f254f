# SPDX-License-Identifier: Apache-2.0

"""Collection of the plugin's tests alone, where no local cloud can be made."""

from sandbox import releases


def pytest_ignore_collect(collection_path):
    """Leave out the tests of the local cloud, which need its services."""
    if (releases.current() in releases.UNIT_TESTS_ONLY
            and collection_path.match('test_*.py')
            and 'from tests.unit' not in collection_path.read_text()):
        return True
    return None
