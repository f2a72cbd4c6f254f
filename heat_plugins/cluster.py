# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Cluster: a cluster that is updated without cutting a session."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes
from heat.engine import constraints
from heat.engine import properties
from heat.engine import support

from . import _resource
from . import _senlin


class Cluster(_resource.HookResource):
    """Make a Senlin cluster whose running servers no update touches.

    An update of the profile is for the servers that come later. An update of
    the size that makes the cluster smaller lets servers drain through the
    hook. An update that meets a drain waits for it.
    """

    default_client_name = 'senlin'

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    PROPERTIES = (
        PROFILE, MIN_SIZE, MAX_SIZE, DESIRED_CAPACITY, TIMEOUT, POLICIES,
        METADATA,
    ) = (
        'profile', 'min_size', 'max_size', 'desired_capacity', 'timeout',
        'policies', 'metadata',
    )

    ATTRIBUTES = (
        NAME_ATTR, NODES, DESIRED_CAPACITY_ATTR, MIN_SIZE_ATTR, MAX_SIZE_ATTR,
        METADATA_ATTR, POLICIES_ATTR, COLLECT,
    ) = (
        'name', 'nodes', 'desired_capacity', 'min_size', 'max_size',
        'metadata', 'policies', 'collect',
    )

    properties_schema = {
        PROFILE: properties.Schema(
            properties.Schema.STRING,
            _('The OS::Hooks::Profile of the servers, by get_resource, or the '
              'name or ID of any profile. Servers that are there keep the one '
              'they were made from.'),
            required=True,
            update_allowed=True,
        ),
        MIN_SIZE: properties.Schema(
            properties.Schema.INTEGER,
            _('Smallest number of servers. Above the present number, it '
              'makes the cluster grow.'),
            update_allowed=True,
            default=0,
            constraints=[constraints.Range(min=0)],
        ),
        MAX_SIZE: properties.Schema(
            properties.Schema.INTEGER,
            _('Largest number of servers, -1 for any. Below the present '
              'number, it makes servers drain.'),
            update_allowed=True,
            default=-1,
            constraints=[constraints.Range(min=-1)],
        ),
        DESIRED_CAPACITY: properties.Schema(
            properties.Schema.INTEGER,
            _('Number of servers to start with; left out, the smallest '
              'number. An update that changes it changes the number of '
              'servers, and any other update leaves that number to the '
              'alarms.'),
            update_allowed=True,
            constraints=[constraints.Range(min=0)],
        ),
        TIMEOUT: properties.Schema(
            properties.Schema.INTEGER,
            _('Seconds that an action of the cluster may take, drains '
              'included. Left out, Senlin has a default, of one hour as a '
              'rule.'),
            update_allowed=True,
            constraints=[constraints.Range(min=1)],
        ),
        POLICIES: properties.Schema(
            properties.Schema.LIST,
            _('Policies to put on the cluster, by get_resource of an '
              'OS::Hooks::Policy, or names or IDs. Those that others have put '
              'on it stay.'),
            update_allowed=True,
            default=[],
            schema=properties.Schema(properties.Schema.STRING),
        ),
        METADATA: properties.Schema(
            properties.Schema.MAP,
            _('Keys and values to keep with the cluster.'),
            update_allowed=True,
            default={},
        ),
    }

    attributes_schema = {
        NAME_ATTR: attributes.Schema(
            _('Name of the cluster.'),
            type=attributes.Schema.STRING,
        ),
        NODES: attributes.Schema(
            _('IDs of the nodes that are in the cluster now.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        DESIRED_CAPACITY_ATTR: attributes.Schema(
            _('Number of servers that the cluster should have now.'),
            type=attributes.Schema.INTEGER,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        MIN_SIZE_ATTR: attributes.Schema(
            _('Smallest number of servers.'),
            type=attributes.Schema.INTEGER,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        MAX_SIZE_ATTR: attributes.Schema(
            _('Largest number of servers, -1 for any.'),
            type=attributes.Schema.INTEGER,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        METADATA_ATTR: attributes.Schema(
            _('Keys and values that are kept with the cluster.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        POLICIES_ATTR: attributes.Schema(
            _('IDs of all policies that are on the cluster now, whoever has '
              'put them there.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        COLLECT: attributes.Schema(
            _('One value from each node, by its path in what Senlin knows of '
              'a node: {get_attr: [cluster, collect, physical_id]} is the '
              'list of the IDs of the servers.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    def handle_create(self):
        desired = self.properties[self.DESIRED_CAPACITY]
        cluster = self.client().create_cluster(
            name=self.physical_resource_name(),
            profile_id=self.properties[self.PROFILE],
            min_size=self.properties[self.MIN_SIZE],
            max_size=self.properties[self.MAX_SIZE],
            desired_capacity=(self.properties[self.MIN_SIZE]
                              if desired is None else desired),
            timeout=self.properties[self.TIMEOUT],
            metadata=self.properties[self.METADATA])
        self.resource_id_set(cluster.id)
        return [{'cluster_id': cluster.id, 'done': False}] + [
            {'func': 'attach_policy_to_cluster', 'action_id': None,
             'params': {'cluster': cluster.id, 'policy': policy},
             'done': False}
            for policy in self.properties[self.POLICIES]]

    def check_create_complete(self, actions):
        return self.client_plugin().execute_actions(actions)

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        pass

    def handle_delete(self):
        if self.resource_id is not None:
            with self.client_plugin().ignore_not_found:
                self.client().delete_cluster(self.resource_id)

    def check_delete_complete(self, _token):
        return (self.resource_id is None or
                _senlin.get_cluster(self.client(), self.resource_id) is None)

    def get_attribute(self, key, *path):
        if key == self.COLLECT:
            if not path:
                raise exception.InvalidTemplateAttribute(
                    resource=self.name, key=key)
            if self.resource_id is None:
                return None
            return attributes.select_from_attribute(
                _senlin.collect(self.client(), self.resource_id, path[0]),
                path[1:])
        return super().get_attribute(key, *path)

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        cluster = _senlin.get_cluster(self.client(), self.resource_id)
        if cluster is None:
            return None
        if name == self.NODES:
            return cluster.node_ids
        if name == self.POLICIES_ATTR:
            return [binding.policy_id for binding in
                    self.client().cluster_policies(self.resource_id)]
        return getattr(cluster, name)


def resource_mapping():
    return {
        'OS::Hooks::Cluster': Cluster,
    }
