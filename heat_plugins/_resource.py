# SPDX-License-Identifier: Apache-2.0

"""Base class of the resources: updates repair, requests have a timeout."""

from heat.engine import resource
from heat.engine import support

from ._engine import clients


class HookResource(clients.ClientsWithTimeout, resource.Resource):
    """Base class of resources whose update finishes or repairs what it finds.

    Heat replaces a resource that has failed. A new hook would mean new user
    data, hence new servers, and a new condition would drain the cluster. So
    an update compares what is there with what should be, and needs neither.
    """

    # The service that all of them need.
    default_client_name = 'zaqar'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    always_replace_on_check_failed = False

    def needs_replace_failed(self):
        return self.resource_id is None

    def _needs_update(self, *args, **kwargs):
        # Heat sees no difference when an update that was cut short is taken
        # back, nor when an operator has deleted by hand what an update can
        # make again. Heat still decides what has to be replaced.
        super()._needs_update(*args, **kwargs)
        return True
