# SPDX-License-Identifier: Apache-2.0

"""Interface between a DrainWaitCondition and what it guards."""

from heat.common import exception
from heat.common.i18n import _
from oslo_serialization import jsonutils

from .native import _drains

_STACK_TIMEOUT = _('the timeout of the stack; give it a longer one with '
                   '"--timeout" (in minutes)')


class Guard:
    """Keep what an OS::Hooks::DrainWaitCondition guards until it has drained.

    All state is in the data of the condition, but for what belongs to one
    attempt to delete the condition.

    :param condition: the resource.
    """

    # The key in resource data for the hooks that what is guarded may have,
    # the wanted one last.
    HOOKS = _drains.GUARD_HOOKS

    def __init__(self, condition):
        self._condition = condition

    def attach(self, hook):
        """Take one step towards a guard with this hook and no other.

        :returns: what is waited for, None if nothing is left to do.
        """
        raise NotImplementedError

    def check(self):
        """Check that the guard would work.

        :raises Error: when something was deleted behind Heat's back.
        """
        raise NotImplementedError

    def release(self, must_drain, has_successor):
        """Take one step towards the end of the guard.

        :param must_drain: whether what is guarded is deleted after the guard.
        :param has_successor: whether another guard of the stack takes over.
        :returns: what is waited for, None if nothing is left to do.
        """
        raise NotImplementedError

    @property
    def name(self):
        return self._condition.name

    @property
    def context(self):
        return self._condition.context

    @property
    def resource_id(self):
        """ID of what is guarded, None before the guard has been attached."""
        return self._condition.resource_id

    def data(self):
        return self._condition.data()

    def data_set(self, *args):
        self._condition.data_set(*args)

    def data_delete(self, key):
        return self._condition.data_delete(key)

    def _hooks(self):
        return jsonutils.loads(self.data().get(self.HOOKS, '[]'))

    def _set_hooks(self, hooks):
        self.data_set(self.HOOKS, jsonutils.dumps(hooks))

    def _add_user(self, drains):
        drains.add_user(self._condition.stack.root_stack_id())

    def _refuse_stack_timeout(self, hook_timeout):
        self._refuse_timeout(hook_timeout,
                             self._condition.stack.timeout_secs(),
                             _STACK_TIMEOUT)

    def _refuse_timeout(self, hook_timeout, limit, whose):
        if hook_timeout >= limit:
            raise exception.Error(
                _('%(name)s: the timeout of the hook, %(timeout)s seconds, is '
                  'not below %(limit)s seconds, %(whose)s.')
                % {'name': self.name, 'timeout': hook_timeout,
                   'limit': limit, 'whose': whose})
