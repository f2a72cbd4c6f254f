# SPDX-License-Identifier: Apache-2.0

"""Octavia's provider driver: it refuses what HAProxy is not told here.

Octavia calls it before the transaction that makes the object ends. So there
is nothing to do but to accept: ``sandbox.balancers.agent`` finds in the
database what is pending, as it does after a restart.
"""

from octavia_lib.api.drivers import data_models
from octavia_lib.api.drivers import exceptions
from octavia_lib.api.drivers import provider_base

from sandbox.balancers import configuration
from sandbox.balancers import process


class HaproxyDriver(provider_base.ProviderDriver):

    def loadbalancer_create(self, loadbalancer):
        if not process.program():
            message = ('The load balancers of the local cloud are HAProxy, '
                       'which is missing: install the Debian package '
                       '"haproxy".')
            raise exceptions.DriverError(user_fault_string=message,
                                         operator_fault_string=message)
        for listener in _given(loadbalancer.listeners, []):
            self.listener_create(listener)
        for pool in _given(loadbalancer.pools, []):
            self.pool_create(pool)

    def loadbalancer_update(self, old_loadbalancer, new_loadbalancer):
        pass

    def loadbalancer_delete(self, loadbalancer, cascade=False):
        pass

    def listener_create(self, listener):
        _choose('protocol', listener.protocol, configuration.MODES)
        for header in _given(listener.insert_headers, {}):
            _choose('header', header, configuration.HEADERS)
        if _given(listener.default_pool, None):
            self.pool_create(listener.default_pool)
        if _given(listener.l7policies, []):
            _refuse('L7 policy')

    def listener_update(self, old_listener, new_listener):
        self.listener_create(new_listener)

    def listener_delete(self, listener):
        pass

    def pool_create(self, pool):
        _choose('protocol', pool.protocol, configuration.MODES)
        _choose('algorithm', pool.lb_algorithm, configuration.ALGORITHMS)
        if _given(pool.tls_enabled, False):
            _refuse('TLS')
        if _given(pool.healthmonitor, None):
            self.health_monitor_create(pool.healthmonitor)

    def pool_update(self, old_pool, new_pool):
        self.pool_create(new_pool)

    def pool_delete(self, pool):
        pass

    def member_create(self, member):
        pass

    def member_update(self, old_member, new_member):
        pass

    def member_delete(self, member):
        pass

    def member_batch_update(self, pool_id, members):
        pass

    def health_monitor_create(self, healthmonitor):
        _choose('type', healthmonitor.type, configuration.MONITORS)

    def health_monitor_update(self, old_healthmonitor, new_healthmonitor):
        pass

    def health_monitor_delete(self, healthmonitor):
        pass


def _given(value, otherwise):
    return otherwise if isinstance(value, data_models.UnsetType) else value


def _choose(what, value, known):
    if _given(value, None) is not None and value not in known:
        _refuse('%s %s' % (what, value), known)


def _refuse(what, known=()):
    message = 'The local cloud balances without %s%s.' % (
        what, known and ': it knows %s' % ', '.join(known))
    raise exceptions.UnsupportedOptionError(user_fault_string=message,
                                            operator_fault_string=message)
