# SPDX-License-Identifier: Apache-2.0

"""What we ask of Senlin, and the words in which it answers.

Every function takes the clustering proxy that Heat's client plugin returns.
What is not there is None, not an exception: both resources must cope with
clusters, policies and actions that went before them.
"""

from openstack import exceptions

# No client library knows complete_lifecycle; the API has it from 1.9 on.
_COMPLETE_LIFECYCLE_VERSION = '1.9'

_DELETION_POLICY = 'senlin.policy.deletion'
_ZAQAR = 'zaqar'

ATTACH_POLICY = 'CLUSTER_ATTACH_POLICY'

SUCCEEDED = 'SUCCEEDED'
FAILED = 'FAILED'
WAITING_LIFECYCLE_COMPLETION = 'WAITING_LIFECYCLE_COMPLETION'
_FINISHED = (SUCCEEDED, FAILED, 'CANCELLED')

# Senlin gives up on a lock after three tries, ten seconds apart, and this is
# how the reason it leaves behind begins (senlin/engine/actions, 16.0.0).
_LOCKED = 'Failed in locking'

Conflict = exceptions.ConflictException


def deletion_policy_spec(queue, timeout, criteria):
    """Return the spec of a deletion policy that carries our hook."""
    return {
        'type': _DELETION_POLICY,
        'version': '1.1',
        'properties': {
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


def is_deletion_policy(binding):
    # "senlin.policy.deletion-1.1": Senlin adds the version to the type.
    return binding.policy_type.rpartition('-')[0] == _DELETION_POLICY


def has_finished(action):
    return action.status in _FINISHED


def lost_race_for_lock(action):
    return (action.status == FAILED and
            (action.status_reason or '').startswith(_LOCKED))


def find_policy(client, name):
    return next(iter(client.policies(name=name)), None)


def get_policy(client, policy_id):
    return _or_none(client.get_policy, policy_id)


def get_cluster(client, cluster_id):
    return _or_none(client.get_cluster, cluster_id)


def get_node(client, node_id):
    return _or_none(client.get_node, node_id)


def get_action(client, action_id):
    return _or_none(client.get_action, action_id)


def get_bindings(client, cluster_id):
    """Return the policies of a cluster, none for a cluster that is gone."""
    try:
        return list(client.cluster_policies(cluster_id))
    except exceptions.NotFoundException:
        return []


def get_binding(client, cluster_id, policy_id):
    return next((binding for binding in get_bindings(client, cluster_id)
                 if binding.policy_id == policy_id), None)


def attach_policy(client, cluster_id, policy_id):
    return _act(client, cluster_id,
                {'policy_attach': {'policy_id': policy_id, 'enabled': True}})


def detach_policy(client, cluster_id, policy_id):
    return _act(client, cluster_id,
                {'policy_detach': {'policy_id': policy_id}})


def remove_every_node(client, cluster_id):
    """Shrink a cluster to nothing, the one way that runs the hook for all."""
    return _act(client, cluster_id, {'resize': {
        'adjustment_type': 'EXACT_CAPACITY',
        'number': 0,
        # Without it Senlin stops at the minimum size that the cluster has.
        'min_size': 0,
        'strict': False,
    }})


def complete_lifecycle(client, cluster_id, token):
    _act(client, cluster_id,
         {'complete_lifecycle': {'lifecycle_action_token': token}},
         microversion=_COMPLETE_LIFECYCLE_VERSION)


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


def _or_none(getter, identity):
    try:
        return getter(identity)
    except exceptions.NotFoundException:
        return None
