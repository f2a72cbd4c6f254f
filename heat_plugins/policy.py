# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Policy: a rule that clusters name, and that goes with its stack.
"""

from heat.common.i18n import _
from heat.engine import constraints
from heat.engine import properties
from heat.engine import support

from . import _resource


class Policy(_resource.HookResource):
    """Make a policy for the clusters that name it.

    An OS::Hooks::Cluster puts the policies on itself that it names, so a
    policy knows of no cluster. It is deleted with its stack.
    """

    default_client_name = 'senlin'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    PROPERTIES = (
        TYPE, POLICY_PROPERTIES,
    ) = (
        'type', 'properties',
    )

    properties_schema = {
        TYPE: properties.Schema(
            properties.Schema.STRING,
            _('Type and version of the policy, such as '
              'senlin.policy.scaling-1.0.'),
            required=True,
            constraints=[
                constraints.AllowedPattern(r'[A-Za-z0-9._]+-[0-9]+\.[0-9]+'),
            ],
        ),
        POLICY_PROPERTIES: properties.Schema(
            properties.Schema.MAP,
            _('Properties of the policy, as its type has them.'),
            default={},
        ),
    }

    def handle_create(self):
        policy = self.client().create_policy(
            name=self.physical_resource_name(),
            spec=self.client_plugin().generate_spec(
                self.properties[self.TYPE],
                self.properties[self.POLICY_PROPERTIES]))
        self.resource_id_set(policy.id)

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        pass

    def handle_delete(self):
        if self.resource_id is not None:
            with self.client_plugin().ignore_not_found:
                self.client().delete_policy(self.resource_id)


def resource_mapping():
    return {
        'OS::Hooks::Policy': Policy,
    }
