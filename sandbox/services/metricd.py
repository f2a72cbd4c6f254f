# SPDX-License-Identifier: Apache-2.0

"""Gnocchi metricd: aggregates the measures that came in."""

from sandbox import cloud
from sandbox.services import base


class Service(base.Service):

    name = 'metricd'
    title = 'Gnocchi metricd'
    has_user = False

    def command(self):
        return [cloud.script('gnocchi-metricd'), '--config-file',
                str(self.cloud.conf('gnocchi'))]

    def check(self):
        # It serves nobody; that it lives is all there is to see.
        return True
