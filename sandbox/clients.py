# SPDX-License-Identifier: Apache-2.0

"""How people and tests reach the local cloud: clouds.yaml, connections."""

import openstack
import yaml

from sandbox import cloud

# {name in clouds.yaml: (user, project)}
IDENTITIES = {
    'sandbox': ('demo', 'demo'),
    'sandbox-admin': ('admin', 'admin'),
    # What measures every server.
    'sandbox-ceilometer': ('ceilometer', 'service'),
    # Another tenant, for what tenants must not do to each other.
    'sandbox-other': ('other', 'other'),
}


def write_clouds_yaml(local_cloud):
    """Write the file that "openstack --os-cloud sandbox" reads."""
    entries = {
        name: {
            'auth': {
                'auth_url': local_cloud.url(5000, '/v3'),
                'username': user,
                'password': local_cloud.secret(user),
                'project_name': project,
                'user_domain_name': 'Default',
                'project_domain_name': 'Default',
            },
            'region_name': cloud.REGION,
            'interface': 'public',
            'identity_api_version': 3,
        } for name, (user, project) in IDENTITIES.items()}
    cloud.write_atomically(
        local_cloud.clouds_yaml,
        yaml.safe_dump({'clouds': entries}, sort_keys=False), 0o600)


def connect(local_cloud, name='sandbox'):
    """Return an openstacksdk connection to the local cloud."""
    config = openstack.config.OpenStackConfig(
        config_files=[str(local_cloud.clouds_yaml)], vendor_files=[],
        load_envvars=False)
    return openstack.connection.Connection(config=config.get_one(name))
