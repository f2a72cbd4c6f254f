# SPDX-License-Identifier: Apache-2.0

"""What stacks make in the services, as an administrator can list it."""

from sandbox import clients
from sandbox.services import keystone


def take(local, project, kind):
    """Return {kind: set of names} of all that a stack of ours can leave.

    :param project: the Tenant whose stacks they are.
    :param kind: class of what is in them; see scaled.py.
    """
    admin = clients.connect(local.cloud, 'sandbox-admin')
    [domain] = [domain.id for domain in admin.identity.domains()
                if domain.name == 'heat']
    # Senlin and Zaqar have a trust for each user, which they keep.
    heat = admin.identity.find_user('heat').id
    queues = project.queues()
    servers = set(project.servers())
    return {
        'queues': queues,
        'subscriptions': {
            '%s on %s' % (url, queue) for queue in queues
            for url in project.subscriptions(queue)},
        **kind.listed(project),
        'users': {user.id for user in
                  admin.identity.users(domain_id=domain)},
        'projects': {entry.id for entry in
                     admin.identity.projects(domain_id=domain)},
        'trusts': {trust['id'] for trust in admin.session.get(
            local.cloud.url(keystone.PORT, '/v3/OS-TRUST/trusts'),
            params={'trustee_user_id': heat}).json()['trusts']},
        'servers': servers,
        # Those of a server that goes and comes have other IDs each time.
        'ports': {port.id for port in project.connection.network.ports()
                  if port.device_owner.startswith('compute:')
                  and port.device_id not in servers},
    }


def added(before, after, mine=()):
    """Return {kind: what is there after and was not there before}.

    :param mine: what may be there.
    """
    return {kind: after[kind] - before[kind] - set(mine) for kind in after}
