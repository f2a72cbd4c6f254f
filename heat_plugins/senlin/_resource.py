# SPDX-License-Identifier: Apache-2.0

"""Base classes of the resources that are made in Senlin."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource
from openstack import exceptions as sdk_exceptions
from oslo_log import log as logging

from .. import _resource
from .. import _retry
from . import _client
from . import _service

LOG = logging.getLogger(__name__)


class SenlinResource(_resource.HookResource):
    """Base class of resources that are one entity in Senlin.

    Senlin chooses the ID. Until the ID is stored the entity is found by its
    name, because an engine may die before, and Senlin's response may be lost.
    """

    default_client_name = 'senlin'

    # The name of its kind in Senlin.
    entity = None

    @classmethod
    def is_service_available(cls, context):
        problem = _service.problem()
        if problem:
            return False, problem % cls.entity
        return super().is_service_available(context)

    def senlin(self):
        """Return the client of Senlin."""
        return _service.client(self)

    def handle_create(self):
        return _retry.Poller(self), self.properties

    def check_create_complete(self, args):
        poller, properties = args
        return self._poll_once(poller, lambda: self._converge(properties))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        return _retry.Poller(self), json_snippet.properties(
            self.properties_schema, self.context)

    def check_update_complete(self, args):
        return self.check_create_complete(args)

    def handle_delete(self):
        return _retry.Poller(self)

    def check_delete_complete(self, poller):
        return self._poll_removal(poller, self._remove)

    def handle_check(self):
        if self._find() is None:
            raise exception.Error(
                _('%(name)s: %(entity)s %(id)s is gone; update the stack to '
                  'make another one.')
                % {'name': self.name, 'entity': self.entity,
                   'id': self.resource_id})

    def _converge(self, properties):
        """Take one step towards an entity with these properties.

        :returns: what is waited for, None if nothing is left to do.
        """
        raise NotImplementedError

    def _remove(self):
        """Take one step towards no entity, and return as `_converge` does."""
        raise NotImplementedError

    def _find(self):
        """Return the entity, None if Senlin has none."""
        if self.resource_id is not None:
            return _client.get(self.senlin(), self.entity, self.resource_id)
        found = _client.get_by_name(self.senlin(), self.entity,
                                    self.physical_resource_name())
        if found is not None:
            self.resource_id_set(found.id)
        return found

    def _find_or_replace(self):
        """Return the entity, None if it has not been created yet.

        :raises UpdateReplace: when it was deleted behind Heat's back.
        """
        was_made = self.resource_id is not None
        found = self._find()
        if found is None and was_made:
            raise resource.UpdateReplace(self.name)
        return found

    def _poll_once(self, poller, step):
        return poller.poll_once(lambda: self._translate_refusal(step))

    def _poll_removal(self, poller, step):
        if _service.is_left_behind(self):
            return True

        def step_unless_endpoint_is_missing():
            with _retry.ignore_missing_endpoint():
                return step()
        return self._poll_once(poller, step_unless_endpoint_is_missing)

    def _translate_refusal(self, step):
        try:
            return step()
        except sdk_exceptions.HttpException as error:
            reason = _client.refusal(error)
            if reason is None:
                raise
        raise exception.Error(
            _('%(name)s: Senlin refuses the %(entity)s: %(reason)s. Correct '
              'its properties and repeat the operation.')
            % {'name': self.name, 'entity': self.entity,
               'reason': _retry.describe(reason)})

    def _show_resource(self):
        found = self._find()
        return found and found.to_dict(computed=False, original_names=True)


class ClusterActions:
    """Start actions of a Senlin cluster, one at a time, and follow them.

    Mix it into a resource whose ID is that of the cluster, or into what acts
    for such a resource, with a method senlin() that returns the client.
    """

    # The key in resource data for the ID of the action that is followed.
    _ACTION_ID = 'action_id'

    def _busy(self):
        return (_('Cluster %(cluster)s is still busy (action %(action)s).')
                % {'cluster': self.resource_id,
                   'action': self.data().get(self._ACTION_ID, _('of others'))})

    def _followed_action(self):
        action_id = self.data().get(self._ACTION_ID)
        return action_id and _client.get_action(self.senlin(), action_id)

    def _action_is_over(self, action=None):
        """Return True if the action that is followed, if any, is over.

        :raises Error: when it has failed, unless that is excused.
        """
        action = action or self._followed_action()
        if action is not None and not _client.has_finished(action):
            return False
        self.data_delete(self._ACTION_ID)
        if (action is None or action.status == _client.SUCCEEDED or
                self._is_excused(action)):
            return True
        raise exception.Error(
            _('%(name)s: Senlin ended %(what)s of cluster %(cluster)s as '
              '%(status)s: %(reason)s. See "openstack cluster action show '
              '%(action)s", then repeat the operation.')
            % {'name': self.name, 'what': action.action,
               'cluster': self.resource_id, 'status': action.status,
               'reason': self._reason(action), 'action': action.id})

    def _is_excused(self, action):
        # The next poll starts again what Senlin has not tried.
        return _client.was_not_tried(action)

    def _reason(self, action):
        return _retry.describe(action.status_reason)

    def _start(self, operation, *args):
        """Start an action of the cluster, unless another holds its lock.

        An engine that dies before the ID of the action is stored is harmless:
        Senlin refuses a second action until the first one is over, and then
        nothing is left to do.
        """
        try:
            action_id = operation(self.senlin(), self.resource_id, *args)
        except _client.Overtaken:
            return
        self._follow(action_id, operation.__name__)

    def _follow(self, action_id, what):
        self.data_set(self._ACTION_ID, action_id)
        LOG.info('%(name)s: cluster %(cluster)s: %(what)s is action '
                 '%(action)s',
                 {'name': self.name, 'cluster': self.resource_id,
                  'what': what, 'action': action_id})
