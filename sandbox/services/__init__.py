# SPDX-License-Identifier: Apache-2.0

"""The services of the local cloud, a module each."""

import importlib

# In the order in which they are shown; none waits for another to start,
# but for the two stores that all others need.
STORES = ('postgres', 'redis')
OPENSTACK = ('keystone', 'placement', 'glance', 'neutron', 'nova', 'heat',
             'senlin', 'zaqar', 'gnocchi', 'metricd', 'aodh', 'octavia')
NAMES = STORES + OPENSTACK


def load(local_cloud):
    """Return {name: Service} of all services."""
    return {name: importlib.import_module(
        'sandbox.services.' + name).Service(local_cloud) for name in NAMES}
