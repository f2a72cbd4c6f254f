# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Policy: a rule that clusters name, and that goes with its stack.
"""

from heat.common.i18n import _
from heat.engine import constraints
from heat.engine import properties

from . import _client
from . import _resource


class Policy(_resource.SenlinResource):
    """Make a policy for the clusters that name it.

    An OS::Hooks::Cluster puts the policies on itself that it names, so a
    policy knows of no cluster. It is deleted with its stack.
    """

    entity = 'policy'

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

    def _converge(self, properties):
        if self._find_or_replace() is None:
            self.resource_id_set(self.senlin().create_policy(
                name=self.physical_resource_name(),
                spec=_client.specification(
                    properties[self.TYPE],
                    properties[self.POLICY_PROPERTIES])).id)

    def _remove(self):
        policy = self._find()
        if policy is not None:
            try:
                self.senlin().delete_policy(policy.id)
            except _client.Conflict:
                return (_('Policy %s is still on a cluster, which may be '
                          'busy; "openstack cluster policy detach" takes it '
                          'off.') % policy.id)


def resource_mapping():
    return {
        'OS::Hooks::Policy': Policy,
    }
