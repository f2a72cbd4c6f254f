# SPDX-License-Identifier: Apache-2.0

"""What our resources share: updates repair them, and no request hangs."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import clients
from heat.engine import resource
from heat.engine import support
from openstack import exceptions as sdk_exceptions
from oslo_log import log as logging

from . import _clients
from . import _senlin
from . import _wait

LOG = logging.getLogger(__name__)

_SENLIN = 'senlin'
_NO_SENLIN = _('%s: Heat has no clusters of Senlin from 23.0.0 on; use an '
               'OS::Hooks::AutoScalingGroup instead, as '
               'templates/lifecycle_group.yaml does.')


class HookResource(_clients.ClientsWithTimeout, resource.Resource):
    """A resource whose update finishes or repairs what it finds.

    Heat replaces a resource that has failed. A new hook would mean new user
    data, hence new servers, and a new condition would drain the cluster; our
    updates compare what is there with what should be and need neither.
    """

    # The service that all of them need; Senlin is one that some need.
    default_client_name = 'zaqar'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    always_replace_on_check_failed = False

    def needs_replace_failed(self):
        return self.resource_id is None

    def _needs_update(self, *args, **kwargs):
        # Heat sees no difference when an update that was cut short is taken
        # back, nor when somebody has deleted by hand what we made. We do, and
        # a look costs little. Heat still says what has to be replaced.
        super()._needs_update(*args, **kwargs)
        return True

    def has_senlin(self):
        """Whether Heat knows Senlin and this cloud has it."""
        return clients.has_client(_SENLIN) and self.client_plugin(
            _SENLIN).does_endpoint_exist('clustering', _SENLIN)

    @staticmethod
    def no_senlin():
        """Why nothing can be made in Senlin, with a place for a name.

        :returns: None if Heat knows it.
        """
        return None if clients.has_client(_SENLIN) else _NO_SENLIN

    def is_left_to_senlin(self):
        """Whether Heat cannot delete what it has made in Senlin any more.

        It has been upgraded. Nothing is deleted there then, and nobody cut.
        """
        if not self.no_senlin():
            return False
        LOG.warning('%(name)s: %(id)s is left in Senlin, of which this Heat '
                    'knows nothing',
                    {'name': self.name, 'id': self.resource_id})
        return True

    def senlin(self):
        """Return the client of Senlin.

        :raises Error: when Heat has none.
        """
        problem = self.no_senlin()
        if problem:
            raise exception.Error(problem % self.name)
        return self.client(_SENLIN)


class SenlinResource(HookResource):
    """One thing in Senlin, which a subclass makes, changes and removes.

    Senlin chooses its ID, so until that is written down it goes by its name:
    an engine may die before, and Senlin's answer may be lost.
    """

    default_client_name = _SENLIN

    # What Senlin calls it.
    entity = None

    @classmethod
    def is_service_available(cls, context):
        problem = cls.no_senlin()
        if problem:
            return False, problem % cls.entity
        return super().is_service_available(context)

    def handle_create(self):
        return _wait.Wait(self), self.properties

    def check_create_complete(self, args):
        wait, properties = args
        return self._until_done(wait, lambda: self._make(properties))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        return _wait.Wait(self), json_snippet.properties(
            self.properties_schema, self.context)

    def check_update_complete(self, args):
        return self.check_create_complete(args)

    def handle_delete(self):
        return _wait.Wait(self)

    def check_delete_complete(self, wait):
        return self._until_gone(wait, self._remove)

    def handle_check(self):
        if self._find() is None:
            raise exception.Error(
                _('%(name)s: %(entity)s %(id)s is gone; update the stack to '
                  'make another one.')
                % {'name': self.name, 'entity': self.entity,
                   'id': self.resource_id})

    def _make(self, properties):
        """Take one step towards these properties.

        :returns: what is waited for, None if nothing is left to do.
        """
        raise NotImplementedError

    def _remove(self):
        """Take one step towards nothing, and return as `_make` does."""
        raise NotImplementedError

    def _find(self):
        """Return what is there in Senlin, None if there is nothing."""
        if self.resource_id is not None:
            return _senlin.get(self.senlin(), self.entity, self.resource_id)
        found = _senlin.get_by_name(self.senlin(), self.entity,
                                    self.physical_resource_name())
        if found is not None:
            self.resource_id_set(found.id)
        return found

    def _find_or_replace(self):
        """Return what is there, None if it has not been made yet.

        :raises UpdateReplace: when somebody has deleted it.
        """
        was_made = self.resource_id is not None
        found = self._find()
        if found is None and was_made:
            raise resource.UpdateReplace(self.name)
        return found

    def _until_done(self, wait, step):
        return wait.until_done(lambda: self._obeyed(step))

    def _until_gone(self, wait, step):
        if self.is_left_to_senlin():
            return True

        def step_unless_missing():
            with _wait.unless_missing():
                return step()
        return self._until_done(wait, step_unless_missing)

    def _obeyed(self, step):
        try:
            return step()
        except sdk_exceptions.HttpException as error:
            reason = _senlin.refusal(error)
            if reason is None:
                raise
        raise exception.Error(
            _('%(name)s: Senlin refuses the %(entity)s: %(reason)s. Correct '
              'its properties and repeat the operation.')
            % {'name': self.name, 'entity': self.entity,
               'reason': _wait.describe(reason)})

    def _show_resource(self):
        found = self._find()
        return found and found.to_dict(computed=False, original_names=True)


class ClusterActions:
    """Has Senlin act on a cluster, one action at a time.

    For a resource whose ID is the one of the cluster.
    """

    # The key in resource data for the action of Senlin's that we follow.
    _ACTION_ID = 'action_id'

    def _busy(self):
        return (_('Cluster %(cluster)s is still busy (action %(action)s).')
                % {'cluster': self.resource_id,
                   'action': self.data().get(self._ACTION_ID, _('of others'))})

    def _followed_action(self):
        action_id = self.data().get(self._ACTION_ID)
        return action_id and _senlin.get_action(self.senlin(), action_id)

    def _action_is_over(self, action=None):
        """Whether the action we follow, if any, is out of the way.

        :raises Error: when it has failed, unless that is excused.
        """
        action = action or self._followed_action()
        if action is not None and not _senlin.has_finished(action):
            return False
        self.data_delete(self._ACTION_ID)
        if (action is None or action.status == _senlin.SUCCEEDED or
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
        # What Senlin has not tried is begun again by whoever needs it.
        return _senlin.was_not_tried(action)

    def _reason(self, action):
        return _wait.describe(action.status_reason)

    def _start(self, operation, *args):
        """Start an action of the cluster, unless another holds its lock.

        Dying before the action is written down is harmless: Senlin refuses a
        second one until the first is over, and then there is nothing to do.
        """
        try:
            action_id = operation(self.senlin(), self.resource_id, *args)
        except _senlin.Overtaken:
            return
        self._follow(action_id, operation.__name__)

    def _follow(self, action_id, what):
        self.data_set(self._ACTION_ID, action_id)
        LOG.info('%(name)s: cluster %(cluster)s: %(what)s is action '
                 '%(action)s',
                 {'name': self.name, 'cluster': self.resource_id,
                  'what': what, 'action': action_id})
