# SPDX-License-Identifier: Apache-2.0

"""What our resources share: updates repair them, and no request hangs."""

import copy

from heat.engine import resource

# Seconds until Senlin counts as away if it has taken a request and says
# nothing; neither Heat nor its clients have a limit of their own. Below the 60
# seconds that Heat's API waits for its engine.
_REQUEST_TIMEOUT = 30


class HookResource(resource.Resource):
    """A resource whose update finishes or repairs what it finds.

    Heat replaces a resource that has failed. A new hook would mean new user
    data, hence new servers, and a new condition would drain the cluster; our
    updates compare what is there with what should be and need neither.
    """

    always_replace_on_check_failed = False

    def needs_replace_failed(self):
        return self.resource_id is None

    def _needs_update(self, *args, **kwargs):
        # Heat sees no difference when an update that was cut short is taken
        # back, nor when somebody has deleted by hand what we made. We do, and
        # a look costs little. Heat still says what has to be replaced.
        super()._needs_update(*args, **kwargs)
        return True

    def client(self, name=None, version=None):
        """Return the client of a service; no request to Senlin hangs."""
        client = super().client(name, version)
        if name is None and client.session.timeout is None:
            # A copy: the session of the context serves others as well.
            client.session = copy.copy(client.session)
            client.session.timeout = _REQUEST_TIMEOUT
        return client
