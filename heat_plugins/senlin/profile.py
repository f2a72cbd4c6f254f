# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Profile: what the servers of a cluster are made of."""

from heat.common.i18n import _
from heat.engine import constraints
from heat.engine import properties
from oslo_log import log as logging

from . import _client
from . import _resource

LOG = logging.getLogger(__name__)


class Profile(_resource.SenlinResource):
    """Say what the servers of an OS::Hooks::Cluster are made of.

    An update of the type or the properties makes a new profile. The servers
    that are there keep the former one, which stays in Senlin until the last
    of them has gone.
    """

    entity = 'profile'

    PROPERTIES = (
        TYPE, PROFILE_PROPERTIES, METADATA,
    ) = (
        'type', 'properties', 'metadata',
    )

    properties_schema = {
        TYPE: properties.Schema(
            properties.Schema.STRING,
            _('Type and version of the profile, such as os.nova.server-1.0.'),
            required=True,
            constraints=[
                constraints.AllowedPattern(r'[A-Za-z0-9._]+-[0-9]+\.[0-9]+'),
            ],
        ),
        PROFILE_PROPERTIES: properties.Schema(
            properties.Schema.MAP,
            _('Properties of the profile, as its type has them.'),
            default={},
        ),
        METADATA: properties.Schema(
            properties.Schema.MAP,
            _('Keys and values to keep with the profile.'),
            update_allowed=True,
            default={},
        ),
    }

    def _converge(self, properties):
        profile = self._find_or_replace()
        if profile is None:
            self.resource_id_set(self.senlin().create_profile(
                name=self.physical_resource_name(),
                spec=_client.specification(
                    properties[self.TYPE],
                    properties[self.PROFILE_PROPERTIES]),
                metadata=properties[self.METADATA]).id)
        elif profile.metadata != properties[self.METADATA]:
            _client.set_profile_metadata(self.senlin(), profile.id,
                                         properties[self.METADATA])

    def _remove(self):
        profile = self._find()
        if profile is None or self._is_deleted(profile):
            return None
        if (self.stack.action == self.stack.DELETE and
                _client.is_profile_of_cluster(self.senlin(), profile.id)):
            return (_('Profile %s is still the one of a cluster; delete the '
                      'cluster, or give it another profile.') % profile.id)
        # The mark first: a cluster looks for it when its last node has gone,
        # and should that be now, the second try succeeds.
        _client.leave_profile(self.senlin(), profile, self.stack.id)
        if not self._is_deleted(profile):
            LOG.info('%(name)s: profile %(profile)s is left to the servers '
                     'that were made from it',
                     {'name': self.name, 'profile': profile.id})

    def _is_deleted(self, profile):
        try:
            self.senlin().delete_profile(profile.id)
        except _client.Conflict:
            return False
        return True


def resource_mapping():
    return {
        'OS::Hooks::Profile': Profile,
    }
