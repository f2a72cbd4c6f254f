# SPDX-License-Identifier: Apache-2.0

"""The local cloud as its user sees it, on the ordinary command line."""

import json
import os
import subprocess

import pytest

from sandbox import bootstrap
from sandbox import cloud
from tests.functional import tenant

SERVER = {
    'heat_template_version': '2018-08-31',
    'resources': {'server': {
        'type': 'OS::Nova::Server',
        'properties': {
            'image': bootstrap.IMAGE, 'flavor': bootstrap.FLAVOR,
            'networks': [{'network': bootstrap.NETWORK}]}}},
    'outputs': {'addresses': {
        'value': {'get_attr': ['server', 'addresses']}}}}


@pytest.fixture
def openstack(project):
    """Call `openstack` as after the line that `sandbox env` prints."""
    # Which hides what the services warn about, and is tox's own.
    environment = {name: value for name, value in os.environ.items()
                   if name != 'PYTHONWARNINGS'}
    environment.update(
        OS_CLIENT_CONFIG_FILE=str(project.local.cloud.clouds_yaml),
        OS_CLOUD='sandbox')

    def call(*words):
        done = subprocess.run(
            [cloud.script('openstack'), *words], env=environment,
            capture_output=True, text=True, timeout=tenant.PATIENCE)
        assert ('', 0) == (done.stderr, done.returncode)
        return done.stdout
    return call


@pytest.mark.parametrize('words', [
    ['stack', 'list'], ['server', 'list'], ['messaging', 'queue', 'list'],
    ['alarm', 'list'], ['metric', 'list'], ['loadbalancer', 'list']],
    ids=' '.join)
def test_command_prints_nothing_but_its_answer(openstack, words):
    """A user would take the trouble of a client for one of the cloud."""
    assert isinstance(json.loads(openstack(*words, '--format', 'json')), list)


def test_first_query_after_a_start_is_answered(project, openstack):
    """Gnocchi of 2024.1 would refuse it, each time that it is started."""
    project.local.kill('gnocchi')
    project.local.start('gnocchi')

    assert isinstance(json.loads(
        openstack('metric', 'list', '--format', 'json')), list)


def test_addresses_of_a_server_are_in_an_output(project):
    """A template that passes an address on would pass none, silently."""
    stack = project.create_stack(SERVER)
    server = stack.ids('OS::Nova::Server')['server']

    addresses = stack.output('addresses')[bootstrap.NETWORK]

    assert [project.address(server)] == [
        address['addr'] for address in addresses]
