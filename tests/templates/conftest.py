# SPDX-License-Identifier: Apache-2.0

from heat.engine import resource
import pytest

from tests.templates import library


@pytest.fixture
def heat():
    """Heat's engine, with the plugin loaded and no service to talk to."""
    engine = library.Heat('runTest')
    engine.setUp()
    engine.patchobject(resource.Resource, 'is_service_available',
                       return_value=(True, None))
    yield engine
    engine.doCleanups()
