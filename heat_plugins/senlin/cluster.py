# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::Cluster: a cluster that is updated without cutting a session."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes
from heat.engine import constraints
from heat.engine import properties
from oslo_serialization import jsonutils

from .. import _retry
from . import _client
from . import _resource


class Cluster(_resource.ClusterActions, _resource.SenlinResource):
    """Make a Senlin cluster whose running servers no update touches.

    An update of the profile is for the servers that come later. An update of
    the size that makes the cluster smaller lets servers drain through the
    hook. An update that meets a drain waits for it.
    """

    entity = 'cluster'

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

    # Keys in resource data: the policies that this resource has put on the
    # cluster or is about to, and the capacity that was last requested and
    # reached.
    _POLICIES = 'policies'
    _CAPACITY = 'desired_capacity'

    # The size that is none.
    _ANY = -1

    # How often the deletion is begun anew when Senlin fails in it.
    _ATTEMPTS = 3

    # The action that an earlier operation has left, whose failure is no news.
    _inherited = None

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
            default=_ANY,
            constraints=[constraints.Range(min=_ANY)],
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
              'included. Left out or zero, a new cluster gets the default of '
              'Senlin, one hour as a rule, and an update changes nothing.'),
            update_allowed=True,
            constraints=[constraints.Range(min=0)],
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

    def validate(self):
        super().validate()
        min_size, max_size, desired = (
            self.properties[name] for name in
            (self.MIN_SIZE, self.MAX_SIZE, self.DESIRED_CAPACITY))
        # What comes from a resource that is not there yet is None.
        for smaller, larger in ((min_size, max_size), (min_size, desired),
                                (desired, max_size)):
            if None in (smaller, larger) or larger == self._ANY:
                continue
            if smaller > larger:
                raise exception.StackValidationFailed(message=_(
                    '%(name)s: "desired_capacity", %(desired)s, is not '
                    'between "min_size", %(min_size)s, and "max_size", '
                    '%(max_size)s; give three sizes that go together.')
                    % {'name': self.name, 'min_size': min_size,
                       'max_size': max_size,
                       'desired': min_size if desired is None else desired})

    def needs_replace_failed(self):
        # Nothing has been served by a cluster that could not be created, and
        # its broken nodes would count as members for ever.
        return super().needs_replace_failed() or self.action == self.CREATE

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self._inherited = self.data().get(self._ACTION_ID)
        return super().handle_update(json_snippet, tmpl_diff, prop_diff)

    def handle_delete(self):
        return _retry.Poller(self), [self._ATTEMPTS]

    def check_delete_complete(self, args):
        poller, attempts = args
        return self._poll_removal(poller, lambda: self._remove(attempts))

    def handle_check(self):
        super().handle_check()
        cluster = self._find()
        lost = (set(self._policies()) -
                set(_client.get_policies(self.senlin(), cluster.id)))
        if lost:
            raise exception.Error(
                _('%(name)s: cluster %(cluster)s has lost the policies '
                  '%(policies)s; update the stack to put them back.')
                % {'name': self.name, 'cluster': cluster.id,
                   'policies': ', '.join(sorted(lost))})
        if cluster.status == _client.ERROR:
            raise exception.Error(
                _('%(name)s: cluster %(cluster)s is in ERROR: %(reason)s; '
                  'see "openstack cluster members list".')
                % {'name': self.name, 'cluster': cluster.id,
                   'reason': _retry.describe(cluster.status_reason)})

    def get_attribute(self, key, *path):
        if key != self.COLLECT:
            return super().get_attribute(key, *path)
        if not path:
            raise exception.InvalidTemplateAttribute(resource=self.name,
                                                     key=key)
        if self.resource_id is None:
            return None
        try:
            values = _client.collect(self.senlin(), self.resource_id, path[0])
        except _client.Refused:
            values = None
        if values is None:
            raise exception.InvalidTemplateAttribute(
                resource=self.name, key='%s, %s' % (key, path[0]))
        return attributes.select_from_attribute(values, path[1:])

    def _resolve_attribute(self, name):
        cluster = self.resource_id and self._find()
        if not cluster:
            return None
        if name == self.NODES:
            return cluster.node_ids
        if name == self.POLICIES_ATTR:
            return sorted(_client.get_policies(self.senlin(), cluster.id))
        return getattr(cluster, name)

    def _show_resource(self):
        shown = super()._show_resource()
        if shown:
            # openstacksdk leaves them out.
            shown[self.POLICIES_ATTR] = self._resolve_attribute(
                self.POLICIES_ATTR)
        return shown

    def _converge(self, properties):
        """Take one step towards a cluster with these properties."""
        if not self._action_is_over():
            return self._busy()
        knows_id = self.resource_id is not None
        cluster = self._find_or_replace()
        if cluster is None:
            self._create(properties)
        elif not knows_id:
            # The answer that had the ID of the action was lost with it.
            self._follow(_client.creation_of(self.senlin(), cluster.id).id,
                         'create_cluster')
        else:
            step = (self._update(cluster, properties) or
                    self._swap_policies(cluster, properties) or
                    self._resize(cluster, properties))
            if step is None:
                _client.delete_left_profiles(self.senlin())
                return None
            self._start(*step)
        return self._busy()

    def _create(self, properties):
        capacity = properties[self.DESIRED_CAPACITY]
        if capacity is None:
            capacity = properties[self.MIN_SIZE]
        values = {
            'name': self.physical_resource_name(),
            'profile_id': self._find_profile(properties),
            'min_size': properties[self.MIN_SIZE],
            'max_size': properties[self.MAX_SIZE],
            'desired_capacity': capacity,
            'metadata': properties[self.METADATA],
        }
        if properties[self.TIMEOUT]:
            values['timeout'] = properties[self.TIMEOUT]
        self.data_set(self._CAPACITY, str(capacity))
        cluster_id, action_id = _client.create_cluster(self.senlin(), **values)
        self.resource_id_set(cluster_id)
        self._follow(action_id, 'create_cluster')

    def _update(self, cluster, properties):
        wanted = {
            'profile_id': self._find_profile(properties),
            'metadata': properties[self.METADATA],
            'timeout': properties[self.TIMEOUT] or cluster.timeout,
        }
        values = {key: value for key, value in wanted.items()
                  if value != getattr(cluster, key)}
        if not values:
            return None
        self._refuse_timeout(cluster, values.get('timeout'))
        if cluster.status != _client.ERROR:
            return _client.update_cluster, values
        # Senlin updates nothing then, and says so in the way in which it says
        # that the cluster is busy. Mostly there are fewer servers than
        # "min_size", maybe because of the very profile that is to go. Nothing
        # is below zero, and the size comes last.
        if cluster.min_size > 0:
            return _client.resize, 0, cluster.max_size
        raise exception.Error(
            _('%(name)s: cluster %(cluster)s is in ERROR, so Senlin changes '
              'nothing: %(reason)s. Put it right, as with "openstack cluster '
              'recover", and update the stack again.')
            % {'name': self.name, 'cluster': cluster.id,
               'reason': _retry.describe(cluster.status_reason)})

    def _swap_policies(self, cluster, properties):
        present = _client.get_policies(self.senlin(), cluster.id)
        wanted = [self._find_policy(policy, present)
                  for policy in properties[self.POLICIES]]
        # First those that go, since Senlin takes one policy of a type. Those
        # that we have not put there belong to others, such as a hook.
        for policy_id in self._policies():
            if policy_id in present and policy_id not in wanted:
                return _client.detach_policy, policy_id
        self.data_set(self._POLICIES, jsonutils.dumps(wanted))
        for policy_id in wanted:
            if policy_id not in present:
                return _client.attach_policy, policy_id

    def _resize(self, cluster, properties):
        min_size = properties[self.MIN_SIZE]
        max_size = properties[self.MAX_SIZE]
        desired = properties[self.DESIRED_CAPACITY]
        if desired is None:
            self.data_delete(self._CAPACITY)
        elif self.data().get(self._CAPACITY) != str(desired):
            # Not known before it is done: what asked for another capacity may
            # have failed, and be taken back.
            self.data_delete(self._CAPACITY)
            broken = self._never_built()
            if broken:
                # They count as members. When a cluster shrinks, Senlin takes
                # first what has failed.
                rest = len(cluster.node_ids) - len(broken)
                return _client.resize, min(min_size, rest), self._ANY, rest
            return _client.resize, min_size, max_size, desired
        members = len(cluster.node_ids)
        if (min_size, max_size) != (cluster.min_size, cluster.max_size) or (
                members < min_size or self._ANY != max_size < members):
            return _client.resize, min_size, max_size

    def _never_built(self):
        """Return the nodes that an attempt that failed has left."""
        return [node for node in _client.failed_nodes(
            self.senlin(), self.resource_id) if node.created_at is None]

    def _remove(self, attempts):
        """Take one step towards no cluster."""
        action = self._followed_action()
        if action is not None:
            if not _client.has_finished(action):
                return self._busy()
            if (action.action == _client.DELETE and
                    not _client.was_not_tried(action)):
                attempts[0] -= 1
            if not attempts[0]:
                self._action_is_over(action)
            self.data_delete(self._ACTION_ID)
        cluster = self._find()
        if cluster is None:
            _client.delete_left_profiles(self.senlin())
            return None
        # A deletion takes the lock from whatever has it, from a drain too.
        if not any(_client.unfinished_actions(self.senlin(), cluster.id)):
            self._start(_client.delete_cluster)
        return self._busy()

    def _action_is_over(self, action=None):
        action = action or self._followed_action()
        if action is not None and action.action == _client.RESIZE:
            if action.status == _client.CANCELLED and action.depends_on:
                # It ends the moment one guest refuses to go, while the other
                # guests still drain.
                return False
            if action.status == _client.FAILED:
                # Nothing else would ever end the actions that wait.
                for child in action.depends_on or ():
                    _client.cancel(self.senlin(), child)
            if (action.status == _client.SUCCEEDED and
                    action.inputs.get('number') is not None):
                self.data_set(self._CAPACITY,
                              str(int(action.inputs['number'])))
        is_over = super()._action_is_over(action)
        if action is not None and action.id != self._inherited:
            self._refuse_overlooked(action)
        return is_over

    def _refuse_overlooked(self, action):
        """Fail if Senlin has taken a creation for done whose nodes failed.

        Senlin stores the failure of a node's action first and that of the
        cluster's action after it; an action that looks between the two finds
        nothing left to wait for (senlin/db/sqlalchemy/api.py, 16.0.0).

        :raises Error: if a node of the new cluster was not built.
        """
        if (action.action, action.status) != (_client.CREATE,
                                              _client.SUCCEEDED):
            return
        failed = self._never_built()
        if failed:
            raise exception.Error(
                _('%(name)s: Senlin ended %(what)s of cluster %(cluster)s as '
                  '%(status)s, but %(count)d of its nodes failed: %(reason)s. '
                  'See "openstack cluster members list %(cluster)s", then '
                  'repeat the operation.')
                % {'name': self.name, 'what': action.action,
                   'cluster': self.resource_id, 'status': action.status,
                   'count': len(failed),
                   'reason': _retry.describe(failed[0].status_reason)})

    def _is_excused(self, action):
        # A cluster is created once.
        return action.id == self._inherited or (
            super()._is_excused(action) and action.action != _client.CREATE)

    def _reason(self, action):
        if action.status == _client.CANCELLED:
            return _('a guest answered ROLLBACK (see the events of the hook), '
                     'or somebody cancelled it')
        reason = super()._reason(action)
        if action.action in (_client.CREATE, _client.RESIZE, _client.DELETE):
            # Senlin's own reason says that a node has failed, not why.
            for node in _client.failed_nodes(self.senlin(), self.resource_id):
                return '%s: %s' % (reason, _retry.describe(node.status_reason))
        return reason

    def _find_profile(self, properties):
        name = properties[self.PROFILE]
        profile = name and _client.get(self.senlin(), 'profile', name)
        if not profile:
            raise exception.Error(
                _('%(name)s: Senlin knows no profile "%(profile)s". From Heat '
                  '23.0.0 on OS::Senlin::Profile reports success and creates '
                  'nothing; give an OS::Hooks::Profile, with Heat 22 or '
                  'older.') % {'name': self.name, 'profile': name})
        return profile.id

    def _find_policy(self, name, present):
        if name in present:
            return name
        policy = name and _client.get(self.senlin(), 'policy', name)
        if not policy:
            raise exception.Error(
                _('%(name)s: Senlin knows no policy "%(policy)s"; give an '
                  'OS::Hooks::Policy by get_resource, or a name or an ID from '
                  '"openstack cluster policy list".')
                % {'name': self.name, 'policy': name})
        return policy.id

    def _refuse_timeout(self, cluster, timeout):
        if timeout is None:
            return
        for binding in _client.get_bindings(self.senlin(), cluster.id):
            policy = _client.get(self.senlin(), 'policy', binding.policy_id)
            hook_timeout = policy and _client.hook_timeout(policy)
            if hook_timeout and hook_timeout >= timeout:
                raise exception.Error(
                    _('%(name)s: "timeout", %(timeout)s seconds, is not above '
                      '%(limit)s seconds, the timeout of the hook that is on '
                      'cluster %(cluster)s; give the hook a shorter one '
                      'first.')
                    % {'name': self.name, 'timeout': timeout,
                       'limit': hook_timeout, 'cluster': cluster.id})

    def _policies(self):
        return jsonutils.loads(self.data().get(self._POLICIES, '[]'))


def resource_mapping():
    return {
        'OS::Hooks::Cluster': Cluster,
    }
