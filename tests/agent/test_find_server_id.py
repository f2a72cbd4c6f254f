# SPDX-License-Identifier: Apache-2.0

"""The drain agent knows which server it is in."""

import os
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
    module = conftest.load_agent()
    module.INSTANCE_ID = str(tmp_path / 'instance-id')
    module.DMI_UUID = str(tmp_path / 'product_uuid')
    module.CONFIG_DRIVE = str(tmp_path / 'config-2')
    module.METADATA = cloud.origin + '/openstack/latest/meta_data.json'
    return module


def _identify(module, cloud, **extra):
    return module.identify(dict(cloud.config, **extra), '/nowhere')


def test_configuration_comes_first(agent, cloud):
    """Who knows better must be able to say so."""
    pathlib.Path(agent.INSTANCE_ID).write_text(OTHER)

    assert (SERVER, 'the configuration') == _identify(
        agent, cloud, server_id=SERVER.upper())


def test_instance_id_of_cloud_init(agent, cloud):
    """The usual source: no network and no privileges needed."""
    pathlib.Path(agent.INSTANCE_ID).write_text(SERVER + '\n')

    assert (SERVER, agent.INSTANCE_ID) == _identify(agent, cloud)


def test_metadata_service_for_images_with_the_ec2_source(agent, cloud):
    """There the instance-id is "i-0000002a", which no message names."""
    pathlib.Path(agent.INSTANCE_ID).write_text('i-0000002a\n')
    cloud.metadata = {'uuid': SERVER}

    assert (SERVER, agent.METADATA) == _identify(agent, cloud)


def test_config_drive_where_there_is_no_metadata_service(
        agent, cloud, tmp_path, monkeypatch):
    """Such clouds have nothing else that an image without cloud-init sees."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    for name, script in (
            ('mount', 'mkdir -p $4/openstack/latest; echo "{\\"uuid\\": '
             '\\"%s\\"}" >$4/openstack/latest/meta_data.json' % SERVER),
            ('umount', 'rm -r $1/openstack')):
        (tools / name).write_text(
            '#!/bin/sh\necho %s $* >>%s/calls\n%s\n'
            % (name, tools, script))
        (tools / name).chmod(0o755)
    monkeypatch.setenv('PATH', '%s:%s' % (tools, os.environ['PATH']))
    pathlib.Path(agent.DMI_UUID).write_text(OTHER)

    assert (SERVER, agent.CONFIG_DRIVE) == agent.identify(
        cloud.config, str(tmp_path))
    assert ('mount -o ro %s %s\numount %s\n'
            % (agent.CONFIG_DRIVE, tmp_path, tmp_path)
            == (tools / 'calls').read_text())


def test_dmi_where_there_is_no_metadata_service(agent, cloud):
    """Clouds with config drive alone; the firmware's letters are capital."""
    pathlib.Path(agent.DMI_UUID).write_text(SERVER.upper() + '\n')

    assert (SERVER, agent.DMI_UUID) == _identify(agent, cloud)


def test_no_source_is_no_id(agent, cloud):
    """The agent has to go on asking, not to drain for somebody else."""
    assert _identify(agent, cloud) is None
