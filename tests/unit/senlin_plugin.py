# SPDX-License-Identifier: Apache-2.0

"""What Heat 23 and later have no more: its plugin for the client of Senlin.

With it the tests of what we do with clusters run on those, too, and meet the
resources of a later Heat. The tests of a Heat without Senlin take it away.
"""

from heat.engine import clients
from heat.engine.clients.os import openstacksdk
from openstack import exceptions
from stevedore import extension


class SenlinClientPlugin(openstacksdk.OpenStackSDKPlugin):
    exceptions_module = exceptions


def register():
    """Let Heat have it."""
    clients.initialise()
    clients._mgr.extensions.append(extension.Extension(
        'senlin', None, SenlinClientPlugin, None))
    # What stevedore remembers of the names.
    clients._mgr._extensions_by_name_cache = None
