# SPDX-License-Identifier: Apache-2.0

"""Nova, as far as Heat shows it to the plugin."""

from unittest import mock

from heat.common import exception as heat_exception


class Nova:
    """The part of Heat's client plugin that our resources may use."""

    def __init__(self):
        # {server: status}
        self.servers = {}
        # Raised instead of an answer.
        self.down = None

    def get_server(self, server):
        if self.down is not None:
            raise self.down
        if server not in self.servers:
            raise heat_exception.EntityNotFound(entity='Server', name=server)
        return mock.Mock(status=self.servers[server])
