# SPDX-License-Identifier: Apache-2.0

"""What an operator does once: users, catalogue, network, image, flavor.

Every step looks before it makes, so that all of it can run again.
"""

from openstack import exceptions

from sandbox import clients
from sandbox import cloud
from sandbox import intervals
from sandbox.services import gnocchi
from sandbox.services import octavia

NETWORK = 'private'
IMAGE = 'guest'
FLAVOR = 'tiny'
ARCHIVE_POLICY = 'fast'
# Its twin for counters, of which the rate is what matters.
RATE_ARCHIVE_POLICY = 'fast-rate'

# What Ceilometer makes of a server in Gnocchi (2024.1), without what only its
# own reports need. Users look their servers up by "server_group".
_INSTANCE_ATTRIBUTES = {
    **{name: {'type': 'string', 'required': True, 'max_length': 255}
       for name in ('host', 'display_name', 'flavor_id', 'flavor_name')},
    **{name: {'type': 'string', 'required': False, 'max_length': 255}
       for name in ('image_ref', 'server_group')},
}


def catalogue(local_cloud, services):
    """Make the users of the services, their endpoints, and the tenants."""
    admin = clients.connect(local_cloud, 'sandbox-admin')
    identity = admin.identity
    roles = {role.name: role for role in identity.roles()}
    for name in ('service', 'heat_stack_user', octavia.ROLE):
        if name not in roles:
            roles[name] = identity.create_role(name=name)
    projects = {project.name: project for project in identity.projects()}
    users = {user.name: user for user in identity.users(domain_id='default')}

    def tenant(user, project, role_names):
        if project not in projects:
            projects[project] = identity.create_project(
                name=project, domain_id='default')
        if user not in users:
            users[user] = identity.create_user(
                name=user, domain_id='default',
                default_project_id=projects[project].id,
                password=local_cloud.secret(user))
        for name in role_names:
            identity.assign_project_role_to_user(
                projects[project], users[user], roles[name])

    for service in services:
        if service.has_user and service.endpoints:
            tenant(service.name, 'service', ('admin', 'service'))
    # It measures for everybody; its service is not here, tests speak for it.
    tenant('ceilometer', 'service', ('admin', 'service'))
    tenant('demo', 'demo', ('member', octavia.ROLE))
    tenant('other', 'other', ('member', octavia.ROLE))
    _stack_domain(local_cloud, identity, roles['admin'])

    known = {service.type: service for service in identity.services()}
    placed = {(endpoint.service_id, endpoint.interface)
              for endpoint in identity.endpoints()}
    for endpoint in (e for s in services for e in s.endpoints):
        if endpoint.type not in known:
            known[endpoint.type] = identity.create_service(
                type=endpoint.type, name=endpoint.name)
        service_id = known[endpoint.type].id
        for interface in ('public', 'internal', 'admin'):
            if (service_id, interface) not in placed:
                identity.create_endpoint(
                    service_id=service_id, interface=interface,
                    region_id=cloud.REGION,
                    url=local_cloud.url(endpoint.port, endpoint.path))


def _stack_domain(local_cloud, identity, admin_role):
    """Heat's domain for the users behind pre-signed URLs."""
    domain = next(identity.domains(name='heat'), None) or (
        identity.create_domain(name='heat'))
    name = 'heat_domain_admin'
    user = next(identity.users(domain_id=domain.id, name=name), None)
    if user is None:
        user = identity.create_user(name=name, domain_id=domain.id,
                                    password=local_cloud.secret(name))
    identity.assign_domain_role_to_user(domain, user, admin_role)


def resources(local_cloud):
    """Make the network, image, flavor and metric types that tenants use."""
    admin = clients.connect(local_cloud, 'sandbox-admin')
    network = admin.network.find_network(NETWORK)
    if network is None:
        network = admin.network.create_network(name=NETWORK, is_shared=True)
    if not list(admin.network.subnets(network_id=network.id)):
        admin.network.create_subnet(
            name=NETWORK, network_id=network.id, ip_version=4,
            cidr=cloud.CIDR, gateway_ip=None,
            # Neutron refuses a loopback range with DHCP.
            is_dhcp_enabled=False,
            allocation_pools=[{'start': cloud.POOL[0],
                               'end': cloud.POOL[1]}])
    if admin.image.find_image(IMAGE) is None:
        # One byte: guests have the files of this machine.
        admin.image.create_image(
            name=IMAGE, data=b'\0', disk_format='raw',
            container_format='bare', visibility='public')
    if admin.compute.find_flavor(FLAVOR) is None:
        admin.compute.create_flavor(name=FLAVOR, ram=64, vcpus=1, disk=1)
    _gnocchi(local_cloud, admin)


def _gnocchi(local_cloud, admin):
    """What Gnocchi's users find: archive policies, the type of a server."""
    def find_or_create(kind, name, body):
        url = local_cloud.url(gnocchi.PORT, '/v1/' + kind)
        answer = admin.session.get('%s/%s' % (url, name), raise_exc=False)
        if answer.status_code == 404:
            answer = admin.session.post(url, json={'name': name, **body},
                                        raise_exc=False)
        exceptions.raise_from_response(answer)

    for name, methods in ((ARCHIVE_POLICY, ['mean', 'max', 'count']),
                          (RATE_ARCHIVE_POLICY, ['mean', 'rate:mean'])):
        find_or_create('archive_policy', name, {
            'back_window': 0, 'aggregation_methods': methods,
            'definition': [{
                'granularity': intervals.GNOCCHI_FAST_GRANULARITY,
                # One hour.
                'points': 3600 // intervals.GNOCCHI_FAST_GRANULARITY}],
        })
    find_or_create('resource_type', 'instance',
                   {'attributes': _INSTANCE_ATTRIBUTES})
