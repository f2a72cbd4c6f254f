# SPDX-License-Identifier: Apache-2.0

"""What Octavia is told of a load balancer: pure functions.

The words are those of Octavia's API reference, "Operating Status Codes".
"""

import csv

from sandbox.balancers import configuration

# First word of HAProxy's column "status": ours. "DOWN 1/2" is on its way up.
_MEMBER = {'UP': 'ONLINE', 'DOWN': 'ERROR', 'NOLB': 'DRAINING',
           'DRAIN': 'DRAINING', 'MAINT': 'OFFLINE', 'no': 'NO_MONITOR'}


def parse(answer):
    """Return {(backend, server): status} of HAProxy's "show stat"."""
    rows = csv.DictReader(answer.lstrip('# ').splitlines())
    return {(row['pxname'], row['svname']): row['status'] for row in rows}


def operating(balancer, servers):
    """Return the operating statuses as octavia-lib takes them.

    :param servers: what `parse` has returned.
    """
    members = {}
    for listener in configuration.wanted(balancer.listeners):
        for pool in configuration.wanted([listener.default_pool]):
            backend = configuration.backend_name(listener, pool)
            for member in configuration.wanted(pool.members):
                status = servers.get((backend, member.id))
                if status:
                    members[member.id] = _MEMBER[status.split()[0]]
    pools = {}
    for pool in configuration.wanted(balancer.pools):
        of_pool = [members.setdefault(member.id, 'OFFLINE')
                   for member in configuration.wanted(pool.members)]
        pools[pool.id] = _together(of_pool) if pool.enabled else 'OFFLINE'
    listeners = {
        listener.id: 'ONLINE' if listener.enabled else 'OFFLINE'
        for listener in configuration.wanted(balancer.listeners)}
    whole = ('ERROR' if 'ERROR' in pools.values() else
             'DEGRADED' if 'DEGRADED' in pools.values() else 'ONLINE')
    monitors = {pool.health_monitor.id: 'ONLINE'
                for pool in configuration.wanted(balancer.pools)
                if configuration.wanted([pool.health_monitor])}
    return {
        kind: [{'id': key, 'operating_status': status}
               for key, status in found.items()]
        for kind, found in (
            ('members', members), ('healthmonitors', monitors),
            ('pools', pools), ('listeners', listeners),
            ('loadbalancers', {
                balancer.id: whole if balancer.enabled else 'OFFLINE'}))}


def _together(members):
    """The status of a pool with such members."""
    if 'ERROR' not in members:
        return 'ONLINE'
    return 'ERROR' if set(members) == {'ERROR'} else 'DEGRADED'


def provisioning(balancer, failed=False):
    """Return what has become of everything that was pending.

    :param failed: whether HAProxy did not take it.
    """
    gone = balancer.provisioning_status == 'PENDING_DELETE'

    def result(item, parent_is_gone=False):
        if parent_is_gone or item.provisioning_status == 'PENDING_DELETE':
            status = 'DELETED'
        elif item.provisioning_status.startswith('PENDING_'):
            status = 'ACTIVE'
        else:
            return []
        return [{'id': item.id,
                 'provisioning_status': 'ERROR' if failed else status}]

    report = {kind: [] for kind in ('members', 'healthmonitors', 'pools',
                                    'listeners', 'loadbalancers')}
    for pool in balancer.pools:
        pool_is_gone = gone or pool.provisioning_status == 'PENDING_DELETE'
        for member in pool.members:
            report['members'] += result(member, pool_is_gone)
        if pool.health_monitor:
            report['healthmonitors'] += result(pool.health_monitor,
                                               pool_is_gone)
        report['pools'] += result(pool, gone)
    for listener in balancer.listeners:
        report['listeners'] += result(listener, gone)
    report['loadbalancers'] += result(balancer)
    return report
