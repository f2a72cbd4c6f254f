# SPDX-License-Identifier: Apache-2.0

"""Availability of Senlin, in this Heat and in this cloud."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import clients
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

_NAME = 'senlin'
_UNKNOWN = _('%s: Heat has no clusters of Senlin from 23.0.0 on; use an '
             'OS::Hooks::AutoScalingGroup instead, as '
             'templates/lifecycle_group.yaml does.')


def problem():
    """Return why this Heat has no Senlin, with a place for a name, or None."""
    return None if clients.has_client(_NAME) else _UNKNOWN


def has_senlin(rsrc):
    """Return True if Heat knows Senlin and this cloud has it."""
    return clients.has_client(_NAME) and rsrc.client_plugin(
        _NAME).does_endpoint_exist('clustering', _NAME)


def client(rsrc):
    """Return the client of Senlin for a resource.

    :raises Error: when Heat has none.
    """
    why = problem()
    if why:
        raise exception.Error(why % rsrc.name)
    return rsrc.client(_NAME)


def is_left_behind(rsrc):
    """Return True if Heat cannot delete any more what it made in Senlin.

    Heat was upgraded to a release without Senlin. Nothing is deleted in Senlin
    then, and no session is cut.
    """
    if not problem():
        return False
    LOG.warning('%(name)s: %(id)s is left in Senlin, of which this Heat '
                'knows nothing',
                {'name': rsrc.name, 'id': rsrc.resource_id})
    return True
