# SPDX-License-Identifier: Apache-2.0

"""The services of the local cloud, a module each."""

import importlib

# In the order in which they are shown; none waits for another to start,
# but for what all others need. MariaDB and RabbitMQ are there on request only,
# Senlin where its line has it.
STORES = ('postgres', 'redis', 'mariadb', 'rabbitmq')
OPENSTACK = ('keystone', 'placement', 'glance', 'neutron', 'nova', 'heat',
             'senlin', 'zaqar', 'gnocchi', 'metricd', 'aodh', 'octavia')
# What an operator has besides; the cloud is up without them, too.
OPTIONAL = ('prometheus',)
MODULES = STORES + OPENSTACK + OPTIONAL


def load(local_cloud):
    """Return {name: Service} of all services that this machine has."""
    found = [service for name in MODULES
             for service in importlib.import_module(
                 'sandbox.services.' + name).Service(local_cloud).processes()]
    return {service.name: service for service in found
            if service.is_available()}
