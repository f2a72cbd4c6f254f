# SPDX-License-Identifier: Apache-2.0

"""The drain agent knows which server it is in."""

import importlib.util
import pathlib

import pytest

from tests.agent import conftest

SERVER = 'c0b6a5d4-9e31-4a7f-b1d2-7f8e9a0b1c2d'
OTHER = '11111111-2222-4333-8444-555555555555'


@pytest.fixture
def agent(cloud, tmp_path, monkeypatch):
    """Return the agent's module, with sources that say nothing."""
    # Set while it is loaded: a proxy would answer for its own server.
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:9')
    spec = importlib.util.spec_from_file_location('agent', conftest.AGENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.INSTANCE_ID = str(tmp_path / 'instance-id')
    module.DMI_UUID = str(tmp_path / 'product_uuid')
    module.METADATA = cloud.origin + '/openstack/latest/meta_data.json'
    return module


def _identify(module, cloud, **extra):
    config = dict(cloud.config, **extra)
    agent = module.Agent(config, {'client_id': 'x'}, '/nowhere')
    return agent.server_id if agent.identify() else None


def test_configuration_comes_first(agent, cloud, capfd):
    """Who knows better must be able to say so."""
    pathlib.Path(agent.INSTANCE_ID).write_text(OTHER)

    assert SERVER == _identify(agent, cloud, server_id=SERVER.upper())
    assert 'from the configuration' in capfd.readouterr().out


def test_instance_id_of_cloud_init(agent, cloud, capfd):
    """The usual source: no network and no privileges needed."""
    pathlib.Path(agent.INSTANCE_ID).write_text(SERVER + '\n')

    assert SERVER == _identify(agent, cloud)
    assert 'from ' + agent.INSTANCE_ID in capfd.readouterr().out


def test_metadata_service_for_images_with_the_ec2_source(agent, cloud):
    """There the instance-id is "i-0000002a", which no message names."""
    pathlib.Path(agent.INSTANCE_ID).write_text('i-0000002a\n')
    cloud.metadata = {'uuid': SERVER}

    assert SERVER == _identify(agent, cloud)


def test_dmi_where_there_is_no_metadata_service(agent, cloud):
    """Clouds with config drive alone; the firmware's letters are capital."""
    pathlib.Path(agent.DMI_UUID).write_text(SERVER.upper() + '\n')

    assert SERVER == _identify(agent, cloud)


def test_no_source_is_no_id(agent, cloud):
    """The agent has to go on asking, not to drain for somebody else."""
    assert _identify(agent, cloud) is None
