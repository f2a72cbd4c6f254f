# SPDX-License-Identifier: Apache-2.0

"""Base class of the resources: updates repair, requests have a timeout."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import clients as heat_clients
from heat.engine import resource
from heat.engine import support
from oslo_log import log as logging

from ._engine import clients

LOG = logging.getLogger(__name__)

_SENLIN = 'senlin'
_NO_SENLIN = _('%s: Heat has no clusters of Senlin from 23.0.0 on; use an '
               'OS::Hooks::AutoScalingGroup instead, as '
               'templates/lifecycle_group.yaml does.')


class HookResource(clients.ClientsWithTimeout, resource.Resource):
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
        return heat_clients.has_client(_SENLIN) and self.client_plugin(
            _SENLIN).does_endpoint_exist('clustering', _SENLIN)

    @staticmethod
    def no_senlin():
        """Why nothing can be made in Senlin, with a place for a name.

        :returns: None if Heat knows it.
        """
        return None if heat_clients.has_client(_SENLIN) else _NO_SENLIN

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
