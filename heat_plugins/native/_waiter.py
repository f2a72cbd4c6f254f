# SPDX-License-Identifier: Apache-2.0

"""Signals for the drains that Heat waits for itself."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource
from oslo_serialization import jsonutils

from .. import _signal
from .. import _waiter
from . import _drains
from . import _wakeups

# Names of stacks in a message, because an event holds 255 characters.
_USERS_SHOWN = 3


class DrainsWaiter(_waiter.Waiter):
    """Wait for the drains in the data of the hook."""

    def create(self, properties):
        hook = self._hook
        hook.data_set(_drains.SETTINGS, jsonutils.dumps({
            'queue': hook.queue_name(),
            'timeout': properties[hook.TIMEOUT],
            'heartbeat_timeout': properties[hook.HEARTBEAT_TIMEOUT],
            'default_result': properties[hook.DEFAULT_RESULT],
            'criteria': properties[hook.CRITERIA]}))

    def remove(self):
        drains = self._drains()
        users = drains.users() if drains else []
        if users:
            raise exception.Error(
                _('%(name)s: guards of other stacks still have the hook '
                  '%(hook)s: %(stacks)s. Delete these stacks, or give their '
                  'guards another hook; then repeat the operation.')
                % {'name': self._hook.name, 'hook': self._hook.hook_name(),
                   'stacks': ', '.join(users[:_USERS_SHOWN] + (
                       ['...'] if len(users) > _USERS_SHOWN else []))})

    def forget(self):
        """Delete the settings, without which no guard finds the hook."""
        self._hook.data_delete(_drains.SETTINGS)

    def answer(self, signal):
        drains = self._drains()
        drain = drains and drains.answer(*signal)
        if drain is None:
            return None
        if signal.result == _signal.HEARTBEAT or drain.result is not None:
            raise resource.NoActionRequired(
                res_name=self._hook.name,
                reason='nothing waits for this signal')
        if drain.group:
            _wakeups.look()
        return _waiter.Answer(
            _('%(result)s for server %(server)s after %(took)d s, by '
              '%(who)s: %(reason)s.')
            % {'result': signal.result, 'server': drain.server,
               'took': drain.age, 'who': self._hook.sender(),
               'reason': signal.reason}, None)

    def pending(self):
        drains = self._drains()
        return drains.pending() if drains else []

    def _drains(self):
        # None for a hook of an older release, until its next update.
        return _drains.Hook.find(self._hook.context, self._hook.hook_name())
