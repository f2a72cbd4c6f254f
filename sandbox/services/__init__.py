# SPDX-License-Identifier: Apache-2.0

"""The services of the local cloud, a module each."""

import importlib

# In the order in which they are shown; none waits for another to start,
# but for the two stores that all others need.
STORES = ('postgres', 'redis')
OPENSTACK = ('keystone', 'placement', 'glance', 'neutron', 'nova', 'heat',
             'senlin', 'zaqar', 'gnocchi', 'metricd', 'aodh', 'octavia')
# What an operator has besides; the cloud is up without them, too.
OPTIONAL = ('prometheus',)
NAMES = STORES + OPENSTACK + OPTIONAL


def load(local_cloud):
    """Return {name: Service} of all services that this machine has."""
    found = {name: importlib.import_module(
        'sandbox.services.' + name).Service(local_cloud) for name in NAMES}
    return {name: service for name, service in found.items()
            if service.is_available()}
