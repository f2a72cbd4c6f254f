# SPDX-License-Identifier: Apache-2.0

"""What templates/lifecycle_group.yaml makes of its parameters."""

import itertools
import re

import pytest

from tests.templates import library
from tests.unit import base

GROUP = base.REPO / 'templates' / 'lifecycle_group.yaml'
MEMBER = library.COMPONENTS / 'group_member.yaml'

# What a parameter is for whoever sets it.
_ASPECTS = ('type', 'default', 'hidden')


def test_front_doors_are_the_same():
    """Moving over from Senlin would be more than a change of one line."""
    cluster, group = map(library.load, (library.CLUSTER, GROUP))

    assert {
        name: [parameter.get(aspect) for aspect in _ASPECTS]
        for name, parameter in cluster['parameters'].items()
    } == {
        name: [parameter.get(aspect) for aspect in _ASPECTS]
        for name, parameter in group['parameters'].items()}
    assert set(cluster['outputs']) == set(group['outputs'])
    assert [entry['parameters'] for entry in cluster['parameter_groups']] == [
        entry['parameters'] for entry in group['parameter_groups']]


def test_parameters_are_described_without_senlin():
    """A user without Senlin would look for limits that are only Senlin's."""
    about_senlin = [
        name for name, parameter in library.load(GROUP)['parameters'].items()
        if re.search('Senlin|cluster', parameter['description'] + ''.join(
            constraint['description'] for constraint
            in parameter.get('constraints', ())))]

    # It exists for environments that were written for a cluster.
    assert ['policies'] == about_senlin


def test_policies_of_senlin_are_refused(heat):
    """A load balancer would be left out without a word."""
    stack = heat.stack(GROUP, parameters={'policies': 'a'})

    with pytest.raises(base.StackValidationFailed) as refusal:
        for nested in library.nested_stacks(stack):
            nested.validate(validate_res_tmpl_only=True)
    assert 'policies' in str(refusal.value) or 'holds' in str(refusal.value)


def test_deletion_runs_from_the_alarms_to_the_hook(heat):
    """Whatever a draining guest needs outlives the guest."""
    stack = heat.stack(GROUP)

    for order in (['alarms', 'scale_in', 'group', 'server_user_data', 'hook'],
                  ['alarms', 'scale_out', 'group']):
        for first, then in itertools.pairwise(order):
            assert then in {needed.name for needed
                            in stack.dependencies.requires(stack[first])}


def test_endpoints_hear_of_the_last_servers(heat):
    """They would be unsubscribed before the stack drains."""
    stack = heat.stack(GROUP, parameters={'webhooks': 'http://a/'})

    assert 'endpoints' in {needed.name for needed in
                           stack.dependencies.requires(stack['group'])}


def test_steps_and_cooldowns_are_those_of_the_parameters(heat):
    """A scale-in that adds servers, or one that never stops."""
    stack = heat.stack(GROUP, parameters={
        'scale_out_step': 2, 'scale_in_step': 3, 'scale_out_cooldown': 4,
        'scale_in_cooldown': 5})

    assert {'scale_out': (2, 4), 'scale_in': (-3, 5)} == {
        name: (stack[name].properties['scaling_adjustment'],
               stack[name].properties['cooldown'])
        for name in ('scale_out', 'scale_in')}


def test_member_gets_its_key_and_its_groups(heat):
    """A server without them is reached by nobody, or by everybody."""
    server = heat.stack(MEMBER, parameters={
        'key_name': 'mine', 'security_groups': 'web,ssh',
        'server_group': 'those'})['server'].properties

    assert 'mine' == server['key_name']
    assert ['web', 'ssh'] == server['security_groups']
    assert {'metering.server_group': 'those'} == server['metadata']


def test_guard_goes_before_the_server(heat):
    """The server would go first, and its guard wait for nobody."""
    stack = heat.stack(MEMBER)

    assert 'server' in {needed.name for needed in
                        stack.dependencies.requires(stack['drained'])}


def test_no_change_restarts_a_running_server(heat):
    """A new flavor would cut every session of the server."""
    server = heat.stack(MEMBER)['server'].properties

    assert {'REPLACE'} == {server[name + '_update_policy']
                           for name in ('image', 'flavor', 'user_data')}
