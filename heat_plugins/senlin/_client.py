# SPDX-License-Identifier: Apache-2.0

"""Requests to Senlin, and the words of its responses.

Every function takes the clustering proxy that Heat's client plugin returns.
What does not exist is None, not an exception, because every resource must cope
with clusters, policies and actions that were deleted before it.
"""

import re

from openstack import exceptions

# openstacksdk requests the first two without a version, and does not know the
# other two; the API has them since these versions.
_COLLECT_VERSION = '1.2'
_PROFILE_ONLY_VERSION = '1.6'
_COMPLETE_LIFECYCLE_VERSION = '1.9'
_CANCEL_VERSION = '1.14'

_DELETION_POLICY = 'senlin.policy.deletion'
# The schemas of both versions take a hook. A cluster takes one policy of a
# type, and the version is part of the type: an old and a new hook can be on a
# cluster together, so that it never goes without one while they are swapped.
_VERSIONS = ('1.1', '1.0')
_ZAQAR = 'zaqar'

CREATE = 'CLUSTER_CREATE'
DELETE = 'CLUSTER_DELETE'
ATTACH_POLICY = 'CLUSTER_ATTACH_POLICY'
RESIZE = 'CLUSTER_RESIZE'
NODE_DELETE = 'NODE_DELETE'

SUCCEEDED = 'SUCCEEDED'
FAILED = 'FAILED'
CANCELLED = 'CANCELLED'
WAITING_LIFECYCLE_COMPLETION = 'WAITING_LIFECYCLE_COMPLETION'
_FINISHED = (SUCCEEDED, FAILED, CANCELLED)
_UNFINISHED = ('INIT', 'WAITING', 'READY', 'RUNNING', 'SUSPENDED',
               WAITING_LIFECYCLE_COMPLETION)

# The status of a cluster or a node that has failed.
ERROR = 'ERROR'

EXACT_CAPACITY = 'EXACT_CAPACITY'

# The key in the metadata of a profile for the stack that has left it behind,
# because nodes were made from it.
_LEFT_BY_STACK = 'left_by_stack'

# Senlin answers with an internal error to much that is wrong with the request:
# to a specification that does not fit its schema, and to an image, a flavor
# and the like that openstacksdk does not find for it.
_SCHEMA_ERROR = 'ESchema'
_NOT_FOUND = re.compile(r'No \w+ found for ')

# How the reasons begin that Senlin leaves when it has not tried: it gives up
# on a lock after three times ten seconds, and fails what an engine that died
# was about to do (senlin/engine/actions and db/sqlalchemy/api.py, 16.0.0).
_UNTRIED = ('Failed in locking', 'Engine failure', 'Engine died')

Conflict = exceptions.ConflictException
Refused = exceptions.BadRequestException
# Raised for an action when the cluster is locked or has changed since the last
# poll: poll again.
Overtaken = (Conflict, exceptions.NotFoundException)


def refusal(error):
    """Return why Senlin refuses a request, None if a retry may succeed."""
    # Not its text: openstacksdk says there that it has found nothing when
    # Senlin has not even looked.
    reason = error.details or ''
    if (error.status_code in (400, 403, 404) or _NOT_FOUND.match(reason) or
            _type_of(error) == _SCHEMA_ERROR):
        return reason or str(error)
    return None


def _type_of(error):
    """Return Senlin's name for an error, None if Senlin has not sent it."""
    try:
        return error.response.json()['error']['type']
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def specification(type_, properties):
    """Return the specification of a profile or a policy."""
    kind, _dash, version = type_.rpartition('-')
    return {'type': kind, 'version': version, 'properties': properties}


def get(client, entity, identity):
    """Return a cluster, a profile or a policy."""
    return _or_none(getattr(client, 'get_' + entity), identity)


def get_by_name(client, entity, name):
    """Return the entity with a unique name."""
    plural = 'policies' if entity == 'policy' else entity + 's'
    return next(iter(getattr(client, plural)(name=name)), None)


def set_profile_metadata(client, profile_id, metadata):
    exceptions.raise_from_response(client.patch(
        '/profiles/%s' % profile_id, json={'profile': {'metadata': metadata}}))


def is_profile_of_cluster(client, profile_id):
    """Return True if a cluster makes its next node from a profile."""
    return any(cluster.profile_id == profile_id
               for cluster in client.clusters())


def leave_profile(client, profile, stack_id):
    """Mark a profile as one to be deleted when nothing uses it any more."""
    set_profile_metadata(client, profile.id,
                         dict(profile.metadata or {},
                              **{_LEFT_BY_STACK: stack_id}))


def delete_left_profiles(client):
    """Delete the profiles that were left and that nothing uses any more."""
    for profile in client.profiles():
        if _LEFT_BY_STACK in (profile.metadata or {}):
            try:
                client.delete_profile(profile.id)
            except Conflict:
                continue


def create_cluster(client, **values):
    """Create a cluster; return its ID and the one of the action."""
    response = client.post('/clusters', json={'cluster': values})
    exceptions.raise_from_response(response)
    return response.json()['cluster']['id'], _action_of(response)


def update_cluster(client, cluster_id, values):
    """Change a cluster, but not the nodes that it has."""
    response = client.patch(
        '/clusters/%s' % cluster_id,
        json={'cluster': dict(values, profile_only=True)},
        microversion=_PROFILE_ONLY_VERSION)
    exceptions.raise_from_response(response)
    return _action_of(response)


def delete_cluster(client, cluster_id):
    """Delete a cluster; whatever acts on it loses its lock."""
    response = client.delete('/clusters/%s' % cluster_id)
    exceptions.raise_from_response(response)
    return _action_of(response)


def unfinished_actions(client, target_id):
    return client.actions(target_id=target_id, status=_UNFINISHED)


def creation_of(client, cluster_id):
    """Return the action that creates or has created a cluster."""
    return next(iter(client.actions(target_id=cluster_id, action=CREATE)),
                None)


def failed_nodes(client, cluster_id):
    """Return the nodes of a cluster that have failed, none if it is gone."""
    try:
        return list(client.nodes(cluster_id=cluster_id, status=ERROR))
    except Refused:
        # So Senlin calls a cluster that it does not know.
        return []


def get_policies(client, cluster_id):
    """Return all policies of a cluster, as {ID: binding}."""
    return {binding.policy_id: binding
            for binding in client.cluster_policies(cluster_id)}


def resize(client, cluster_id, min_size, max_size, number=None):
    """Set the bounds of a cluster, and maybe how many nodes it has.

    Without a number it has as many as before, or as the bounds want, counted
    once Senlin holds the lock.
    """
    body = {'min_size': min_size, 'max_size': max_size, 'strict': False}
    if number is not None:
        body.update(adjustment_type=EXACT_CAPACITY, number=number)
    return _act(client, cluster_id, {'resize': body})


def hook_properties(queue, timeout, criteria):
    """Return the properties of a deletion policy that carries a hook."""
    return {
        'criteria': criteria,
        # Senlin's defaults, spelt out because the hook relies on them.
        # Removing a node without destroying it would leave a drained
        # server behind.
        'destroy_after_deletion': True,
        # A drained server must not be replaced by a new one.
        'reduce_desired_capacity': True,
        # Senlin sleeps this long before it tells anybody, and the clock
        # of the hook is running by then.
        'grace_period': 0,
        'hooks': {
            'type': _ZAQAR,
            'timeout': timeout,
            'params': {'queue': queue},
        },
    }


def hook_timeout(policy):
    """Return the timeout of the hook in a policy, None if it has no hook."""
    spec = policy.spec or {}
    if spec.get('type') != _DELETION_POLICY:
        return None
    hook = (spec.get('properties') or {}).get('hooks') or {}
    if hook.get('type') != _ZAQAR or not hook.get('timeout'):
        return None
    return hook['timeout']


def hook_policies(client, hook):
    """Return the policies that carry a hook, the newest last.

    Senlin cannot change a policy, so a hook has had one for each set of
    values; they share the hook's name.
    """
    return sorted((policy for policy in client.policies(name=hook)
                   if hook_timeout(policy)),
                  key=lambda policy: policy.created_at)


def properties_of(policy):
    return policy.spec['properties']


def is_deletion_policy(binding):
    return binding.policy_type.rpartition('-')[0] == _DELETION_POLICY


def swap(client, hook, properties, bindings):
    """Return the next step towards a cluster with one hook, as it should be.

    :param hook: name of the hook.
    :param properties: what its policy should say. The policy is made when the
        cluster has no place for one that is there already.
    :param bindings: what the cluster has of this hook, and of the one that it
        replaces.
    :returns: (operation, policy ID), None if nothing is left to do.
    """
    policies = [policy for policy in hook_policies(client, hook)
                if properties_of(policy) == properties]
    wanted = {policy.id for policy in policies}
    right = [b for b in bindings if b.policy_id in wanted]
    if right:
        wrong = [b for b in bindings if b is not right[0]]
        return (detach_policy, wrong[0].policy_id) if wrong else None
    taken = {binding.policy_type for binding in bindings}
    free = [version for version in _VERSIONS
            if _type(version) not in taken]
    if not free:
        # Left by two swaps that were cut short: one hook stays.
        return detach_policy, bindings[0].policy_id
    for policy in policies:
        if policy.type not in taken:
            return attach_policy, policy.id
    return attach_policy, create_policy(client, hook, properties, free[0]).id


def create_policy(client, hook, properties, version=_VERSIONS[0]):
    return client.create_policy(name=hook, spec={
        'type': _DELETION_POLICY,
        'version': version,
        'properties': properties,
    })


def _type(version):
    return '%s-%s' % (_DELETION_POLICY, version)


def has_finished(action):
    return action.status in _FINISHED


def was_not_tried(action):
    return (action.status == FAILED and
            (action.status_reason or '').startswith(_UNTRIED))


def get_cluster(client, cluster_id):
    return get(client, 'cluster', cluster_id)


def collect(client, cluster_id, path):
    """Return the value at a path in each node of a cluster that has it."""
    response = client.get('/clusters/%s/attrs/%s' % (cluster_id, path),
                          microversion=_COLLECT_VERSION)
    exceptions.raise_from_response(response)
    values = (attribute['value']
              for attribute in response.json()['cluster_attributes'])
    # A node whose server is not there yet has none.
    return [value for value in values if value is not None]


def get_node(client, node_id):
    return _or_none(client.get_node, node_id)


def get_action(client, action_id):
    return _or_none(client.get_action, action_id)


def get_bindings(client, cluster_id):
    """Return the deletion policies of a cluster, none if it is gone."""
    try:
        return [binding for binding in client.cluster_policies(cluster_id)
                if is_deletion_policy(binding)]
    except exceptions.NotFoundException:
        return []


def is_hook_attached(client, cluster_id, hook):
    return any(binding.policy_name == hook
               for binding in get_bindings(client, cluster_id))


def attach_policy(client, cluster_id, policy_id):
    return _act(client, cluster_id,
                {'policy_attach': {'policy_id': policy_id, 'enabled': True}})


def detach_policy(client, cluster_id, policy_id):
    try:
        return _act(client, cluster_id,
                    {'policy_detach': {'policy_id': policy_id}})
    except Refused as error:
        # The policy is not attached any more, so another request won.
        raise Conflict(str(error)) from None


def remove_every_node(client, cluster_id):
    """Shrink a cluster to nothing, the one way that runs the hook for all."""
    return _act(client, cluster_id, {'resize': {
        'adjustment_type': EXACT_CAPACITY,
        'number': 0,
        # Without it Senlin stops at the minimum size that the cluster has.
        'min_size': 0,
        'strict': False,
    }})


def remove_drained_node(client, cluster_id, node_id):
    """Delete a member, which Senlin does without a drain."""
    return _act(client, cluster_id, {'del_nodes': {'nodes': [node_id]}})


def count_members(client, cluster_id, min_size=None):
    """Set the desired capacity of a cluster to the members that it has.

    A change by zero makes Senlin count them once it holds the lock, so that
    nothing that happens meanwhile makes it create or delete a server.

    :param min_size: the minimum size to put back, None to leave it.
    """
    body = {'adjustment_type': 'CHANGE_IN_CAPACITY', 'number': 0,
            'strict': True}
    if min_size is not None:
        body['min_size'] = min_size
    return _act(client, cluster_id, {'resize': body})


def complete_lifecycle(client, cluster_id, token):
    _act(client, cluster_id,
         {'complete_lifecycle': {'lifecycle_action_token': token}},
         microversion=_COMPLETE_LIFECYCLE_VERSION)


def cancel(client, action_id):
    """Cancel an action that waits; one that is over stays as it is."""
    response = client.patch('/actions/%s' % action_id,
                            json={'action': {'status': CANCELLED}},
                            microversion=_CANCEL_VERSION)
    try:
        exceptions.raise_from_response(response)
    except Overtaken:
        pass


def waiting_actions(client):
    return client.actions(status=WAITING_LIFECYCLE_COMPLETION)


def _act(client, cluster_id, body, **kwargs):
    """Start an action of a cluster and return its ID.

    openstacksdk has methods for most of these, but they do not look at the
    status of the answer: a refusal comes back as if it were a result.
    """
    response = client.post('/clusters/%s/actions' % cluster_id, json=body,
                           **kwargs)
    exceptions.raise_from_response(response)
    return response.json()['action']


def _action_of(response):
    return response.headers['Location'].rpartition('/')[2]


def _or_none(getter, identity):
    try:
        return getter(identity)
    except exceptions.NotFoundException:
        return None
