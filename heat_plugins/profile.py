# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Profile: what the servers of a cluster are made of."""

from heat.common.i18n import _
from heat.engine import constraints
from heat.engine import properties
from heat.engine import support

from . import _resource


class Profile(_resource.HookResource):
    """Say what the servers of an OS::Hooks::Cluster are made of.

    An update of the type or the properties makes a new profile. The servers
    that are there keep the former one, which stays in Senlin until the last
    of them has gone.
    """

    default_client_name = 'senlin'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

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

    def handle_create(self):
        profile = self.client().create_profile(
            name=self.physical_resource_name(),
            spec=self.client_plugin().generate_spec(
                self.properties[self.TYPE],
                self.properties[self.PROFILE_PROPERTIES]),
            metadata=self.properties[self.METADATA])
        self.resource_id_set(profile.id)

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        pass

    def handle_delete(self):
        if self.resource_id is not None:
            with self.client_plugin().ignore_not_found:
                self.client().delete_profile(self.resource_id)


def resource_mapping():
    return {
        'OS::Hooks::Profile': Profile,
    }
