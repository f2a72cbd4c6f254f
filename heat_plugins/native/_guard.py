# SPDX-License-Identifier: Apache-2.0

"""Guard of one server, which Heat itself lets drain."""

from heat.common import exception
from heat.common.i18n import _
from oslo_log import log as logging

from .. import _guard
from .. import _signal
from . import _drains

LOG = logging.getLogger(__name__)

# The key in the data of a condition that guards a server, whose resource ID is
# then that of the server.
IS_SERVER = 'is_server'


class ServerGuard(_guard.Guard):
    """Guard a Nova server.

    :param server: ID of the server, before the guard has been attached.
    """

    def __init__(self, condition, server=None):
        super().__init__(condition)
        self._server = server

    def attach(self, hook):
        drains = self._find_drains(hook)
        self._refuse_stack_timeout(drains.timeout)
        # Before anything depends on it: deletion goes by these two.
        self._set_hooks([hook])
        self._add_user(drains)
        self.data_set(IS_SERVER, 'yes')
        self._condition.resource_id_set(self._server)

    def check(self):
        self._find_drains(self._hooks()[-1])

    def release(self, must_drain, has_successor):
        return self._drain() if must_drain else None

    def _find_drains(self, hook):
        drains = _drains.Hook.find(self.context, hook)
        if drains is None:
            raise exception.Error(
                _('%(name)s: "hook" is not an OS::Hooks::LifecycleHook of '
                  'this project, or of an older release: "%(hook)s"; give the '
                  'hook by get_resource, and update its stack if it is older '
                  'than this release.') % {'name': self.name, 'hook': hook})
        return drains

    def _drain(self):
        """Take one step towards a server that may be deleted."""
        server = self.resource_id
        hooks = self._hooks()
        drains = hooks and _drains.Hook.find(self.context, hooks[-1])
        if not drains:
            LOG.warning('%(name)s: server %(server)s goes without a drain, '
                        'because its hook has gone',
                        {'name': self.name, 'server': server})
            return None
        drain = drains.drains().get(server)
        if drain is None or drain.is_stale:
            if not drains.is_running(self._condition.client_plugin('nova'),
                                     server):
                LOG.info('%(name)s: server %(server)s goes without a drain, '
                         'because it is not running',
                         {'name': self.name, 'server': server})
                return None
            drain = drains.begin({server: None})[server]
        if not drain.is_posted:
            drains.post(self._condition.client('zaqar'), [server])
        outcome = drains.outcome(drain)
        if outcome is None:
            return (_('Server %(server)s still drains (token %(token)s).')
                    % {'server': server, 'token': drain.token})
        if drain.over is None:
            drains.finish({server: outcome})
        result, reason = outcome
        if result == _signal.ROLLBACK:
            raise exception.Error(
                _('%(name)s: server %(server)s stays, because of a ROLLBACK '
                  '(%(reason)s); repeat the operation to ask it again.')
                % {'name': self.name, 'server': server, 'reason': reason})
        LOG.info('%(name)s: server %(server)s may go: %(reason)s',
                 {'name': self.name, 'server': server, 'reason': reason})
        return None
