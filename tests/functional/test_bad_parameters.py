# SPDX-License-Identifier: Apache-2.0

"""Bad parameters are refused by the API, before anything is made.

Each row is a real request to create a stack. They are sent by a few threads:
what takes time is the way through Keystone, Heat and whoever knows names.
"""

import concurrent.futures
import uuid

from heatclient.common import template_utils
from heatclient import exc as heat_exceptions
import pytest

from sandbox import bootstrap
from tests import bad_parameters
from tests.functional import tenant

# Heat has one engine here, which answers one after the other.
THREADS = 4

ROWS = bad_parameters.rows(tenant.DOOR)

# What is right about each row, by the names of the parameters.
GOOD = {
    'image': bootstrap.IMAGE, 'flavor': bootstrap.FLAVOR,
    'network': bootstrap.NETWORK, 'max_size': 3,
    'scale_in_threshold': 1, 'scale_out_threshold': 2,
    'agent_config': '{}', 'holds': True, 'server_group': 'x',
    'scale_in_url': 'http://x/', 'scale_out_url': 'http://x/',
    'metric': 'x', 'metric_resource_id': 'x', 'webhooks': 'http://x/',
    'queue_name': 'x', 'query': 'up', 'member_port': 80,
    'health_check_path': '/', 'cluster': 'x', 'subnet': bootstrap.NETWORK,
}


def refusal(project, row):
    """Ask for a stack; return what Heat says, None if it makes it."""
    files, body = template_utils.get_template_contents(str(row.template))
    env_files, environment = (
        template_utils.process_multiple_environments_and_files(
            [str(tenant.MANUAL)]))
    good = {name: GOOD[name] for name, parameter in body['parameters'].items()
            if 'default' not in parameter}
    try:
        stack = project.heat.stacks.create(
            stack_name='bad-' + uuid.uuid4().hex[:8], template=body,
            files={**files, **env_files}, environment=environment,
            parameters={**good, **row.parameters}, timeout_mins=10)
    except heat_exceptions.HTTPException as error:
        return str(error)
    project.heat.stacks.delete(stack['stack']['id'])
    return None


def everything(project):
    """What the project has in all services, to compare."""
    return {
        'stacks': {stack.id for stack in project.heat.stacks.list()},
        'queues': set(project.queues()),
        'servers': set(project.servers()),
        'clusters': {cluster.id for cluster in project.clusters()},
        'others': {thing.id for thing in project.left_in_senlin()},
        'alarms': {alarm['alarm_id'] for alarm in project.alarms()},
    }


@pytest.fixture(scope='module')
def refusals(project):
    """{row: what was said}, and nothing was made."""
    # The stacks of other tests may still be going.
    tenant.wait_for('the deletions of others', lambda: not any(
        stack.stack_status == 'DELETE_IN_PROGRESS'
        for stack in project.heat.stacks.list()))
    before = everything(project)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        said = list(pool.map(lambda row: refusal(project, row), ROWS))
    left = everything(project)
    return dict(zip(map(repr, ROWS), said)), before, left


def test_nothing_is_made(refusals):
    """A slip costs no server, no queue and no stack to delete."""
    _said, before, left = refusals

    assert before == left


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.id)
def test_bad_parameters_are_refused(refusals, row):
    """The message says which parameter it is, and what is right."""
    said = refusals[0][repr(row)]

    assert said is not None, 'the stack was made'
    assert row.fits(said), said
