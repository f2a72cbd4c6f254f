# SPDX-License-Identifier: Apache-2.0

"""Side effects of loading the plugin, all in one place.

Heat calls `resource_mapping` of each module that it loads, once in each
process that loads resources. Each effect takes place once, however often the
function is called.
"""

from ._engine import heat_patches
from .native import _wakeups


def resource_mapping():
    """Apply the patches of Heat; start the wake-ups with each engine.

    :returns: no resource types.
    """
    heat_patches.prune_finished_threads()
    heat_patches.serialize_yaql_parser()
    _wakeups.arm()
    return {}
