# SPDX-License-Identifier: Apache-2.0

"""A stack update repairs a resource of ours where it stands."""

from heat.engine import resource


class Repairable(resource.Resource):
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
