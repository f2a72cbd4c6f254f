# SPDX-License-Identifier: Apache-2.0

"""What templates/lifecycle_cluster.yaml makes of its parameters."""

import base64
import email
import itertools

from heat.common import exception
from heat.engine import function
from heat.engine.resources.openstack.heat import none_resource
from heat.engine import scheduler
from heat.engine import stk_defn
import pytest

from tests.templates import library
from tests.unit import base

AGENT = base.REPO / 'templates' / 'agent'
CONFIG = (base.REPO / 'tests' / 'contract' / 'agent_config.json').read_text()
SCRIPT = '#!/bin/sh\necho "caf\u00e9" > /etc/motd\n'
CLOUD_CONFIG = '#cloud-config\npackages: [nginx]\n'


def _message(stack, agent_config=CONFIG):
    """The user data that a server of the cluster would get."""
    library.resolve(stack, 'hook', {'agent_config': agent_config})
    return library.nested(
        stack['server_user_data'])['message'].get_message()


def _id(stack):
    return stack.parameters['OS::stack_id']


def _parts(message):
    return {part.get_filename(): part
            for part in email.message_from_string(message).get_payload()}


def _text(part):
    return part.get_payload(decode=True).decode()


def _doors(stack):
    """An example, or a stack below it, with the parts of the front door."""
    return [door for door in (stack, *library.nested_stacks(stack))
            if 'hook' in door and 'server_user_data' in door]


def _cluster(stack):
    """The nested stack of profile and cluster."""
    library.resolve(stack, 'server_user_data', {'config': 'the message'})
    return library.nested(stack['cluster'])


def _spec(stack):
    """The specification of a server that is handed to Senlin."""
    return _cluster(stack)['profile'].properties['properties']


def test_deletion_runs_from_the_alarms_to_the_hook(heat):
    """Whatever a draining guest needs outlives the guest.

    Asked of Heat's own graph: each is deleted before the next because it
    needs it, and not by chance of the order.
    """
    order = ['alarms', 'receivers', 'drained', 'cluster', 'server_user_data',
             'hook']
    stack = heat.stack(library.CLUSTER)
    deletion = [resource.name for resource in reversed(stack.dependencies)]

    assert order == [name for name in deletion if name in order]
    for first, then in itertools.pairwise(order):
        assert then in {needed.name for needed
                        in stack.dependencies.requires(stack[first])}


def test_drain_condition_joins_hook_and_cluster(heat):
    """A cluster without its hook would look guarded and drain nothing."""
    stack = heat.stack(library.CLUSTER)

    assert {'hook', 'cluster'} <= {
        needed.name for needed
        in stack.dependencies.requires(stack['drained'])}


def test_agent_part_is_a_script_with_agent_and_configuration(heat):
    """The server can drain without a download and without a second file."""
    agent = _parts(_message(heat.stack(library.CLUSTER)))['10-drain-agent']

    assert 'text/x-shellscript' == agent.get_content_type()
    text = _text(agent)
    assert text.startswith('#!')
    for wanted in ((AGENT / 'drain-agent.b64').read_text(),
                   (AGENT / 'drain-agent.service').read_text(), CONFIG):
        assert wanted in text


@pytest.mark.parametrize('user_data', [
    SCRIPT, CLOUD_CONFIG, '#cloud-config-archive\n- packages: [nginx]\n',
    '#' + 23999 * 'x', '#' + 500 * '\U0001f98a' + 15499 * 'x',
    '#' + 2000 * '\U0001f98a' + 9499 * 'x', '#' + 3999 * '\U0001f98a',
], ids=['script', 'cloud-config', 'archive', 'ascii', 'few', 'many', 'others'])
def test_own_user_data_arrives_untouched(heat, user_data):
    """The agent comes beside the user's own set-up, never instead of it.

    cloud-init tells what a plain part is by its first line.
    """
    stack = heat.stack(library.CLUSTER, parameters={'user_data': user_data})

    message = _message(stack)
    parts = _parts(message)

    # What Nova takes. The signed URLs of a site can be longer than ours.
    assert len(base64.b64encode(message.encode())) < 65535 - 1024
    assert ['10-drain-agent', '20-user-data'] == list(parts)
    assert 'text/plain' == parts['20-user-data'].get_content_type()
    assert user_data == _text(parts['20-user-data'])


def test_no_user_data_adds_no_part(heat):
    """cloud-init does not warn about an empty part."""
    parts = _parts(_message(heat.stack(library.CLUSTER)))

    assert ['10-drain-agent'] == list(parts)


@library.each('path', library.EXAMPLES)
def test_user_data_of_an_example_fits(heat, path):
    """Nova refuses more than 64 KiB, counted after base64."""
    [door] = _doors(heat.stack(path))

    message = _message(door)

    # A signed URL and a signal URL are some hundred characters longer than
    # the ones used here.
    assert len(base64.b64encode(message.encode())) < 65535 - 4096


def test_sessions_example_brings_its_application(heat):
    """The example's script holds its server and its drain handler."""
    [door] = _doors(heat.stack(base.REPO / 'examples' / 'sessions.yaml'))

    script = _text(_parts(_message(door))['20-user-data'])

    sessions = base.REPO / 'examples' / 'sessions'
    assert script.startswith('#!')
    assert (sessions / 'server.py').read_text() in script
    assert (sessions / 'agent.json').read_text() in script


def test_server_without_options_has_only_what_it_needs(heat):
    """Nova refuses an empty key name; Senlin skips an empty list of groups."""
    stack = heat.stack(library.CLUSTER, parameters={'network': 'private'})

    assert {'image': 'x', 'flavor': 'x', 'user_data': 'the message',
            'networks': [{'network': 'private', 'security_groups': []}],
            'metadata': {'metering.server_group': _id(stack)}
            } == _spec(stack)


def test_server_gets_its_key_and_its_groups(heat):
    """The groups are on the port, where Senlin and Nova honour them."""
    stack = heat.stack(library.CLUSTER, parameters={
        'network': 'private', 'key_name': 'mine',
        'security_groups': 'web,ssh'})

    spec = _spec(stack)

    assert 'mine' == spec['key_name']
    assert [{'network': 'private',
             'security_groups': ['web', 'ssh']}] == spec['networks']


def test_cluster_outlasts_a_drain(heat):
    """Senlin's own limit would end the scale-in and leave the server."""
    stack = heat.stack(library.CLUSTER, parameters={'drain_timeout': 5400})

    assert 5400 + 3600 == _cluster(stack)['cluster'].properties['timeout']


@base.needs_senlin
def test_receivers_scale_the_cluster_in_both_directions(heat):
    """A receiver that did the opposite would drain a busy cluster."""
    stack = heat.stack(library.CLUSTER)
    receivers = library.nested(stack['receivers'])

    assert {'scale_out': 'CLUSTER_SCALE_OUT', 'scale_in': 'CLUSTER_SCALE_IN'
            } == {name: receiver.properties['action']
                  for name, receiver in receivers.items()}


def test_source_is_told_what_to_call_and_when(heat):
    """A source of a site's own relies on the same six values."""
    stack = heat.stack(library.CLUSTER, parameters={
        'scale_out_threshold': 40, 'scale_in_threshold': 10})
    library.resolve(stack, 'receivers', {'scale_out_url': 'http://out',
                                         'scale_in_url': 'http://in'})

    properties = stack.defn.resource_definition('alarms').properties({})

    assert {'server_group': _id(stack), 'repeat_actions': True,
            'scale_out_url': 'http://out', 'scale_in_url': 'http://in',
            'scale_out_threshold': 40, 'scale_in_threshold': 10
            } == dict(function.resolve(properties.data))


@pytest.mark.parametrize('parameter,value', [
    ('scale_out_step', 2), ('scale_in_step', 2),
    ('scale_out_cooldown', 60), ('scale_in_cooldown', 60)])
def test_steps_and_cooldowns_become_policies(heat, parameter, value):
    """Senlin would go on by one at a time, and without a rest."""
    stack = heat.stack(library.CLUSTER, parameters={parameter: value})
    policies = library.nested(stack['scaling'])

    seen = {}
    for policy in policies.values():
        spec = policy.properties['properties']
        _, _, direction = spec['event'].rpartition('_')
        seen['scale_%s_step' % direction.lower()] = (
            spec['adjustment']['number'])
        seen['scale_%s_cooldown' % direction.lower()] = (
            spec['adjustment']['cooldown'])

    assert dict({'scale_out_step': 1, 'scale_in_step': 1,
                 'scale_out_cooldown': 0, 'scale_in_cooldown': 0},
                **{parameter: value}) == seen


def test_policies_reach_the_cluster(heat):
    """A balancer's policy that is not attached balances nothing."""
    stack = heat.stack(library.CLUSTER, parameters={
        'policies': 'balancer', 'scale_in_cooldown': 60})
    library.resolve(stack, 'scaling', {'policy_ids': ['out', 'in']})

    assert ['balancer', 'out', 'in'] == (
        _cluster(stack)['cluster'].properties['policies'])


def test_no_policy_is_made_for_what_senlin_does_anyway(heat):
    """Every policy costs the cluster an action when it starts and ends."""
    stack = heat.stack(library.CLUSTER)

    policies = library.nested(stack['scaling'])
    assert [] == list(policies)
    assert [] == policies.outputs['policy_ids'].get_value()
    library.resolve(stack, 'scaling', {'policy_ids': []})
    assert [] == _cluster(stack)['cluster'].properties['policies']


def test_without_the_hook_only_the_waiting_is_gone(heat):
    """The counter-experiment starts the same cluster of the same servers."""
    stack = heat.stack(
        library.CLUSTER, base.REPO / 'environments' / 'without-hook.yaml')
    stack.store()
    for name in ('hook', 'drained'):
        scheduler.TaskRunner(stack[name].create)()
    stk_defn.update_resource_data(stack.defn, 'hook',
                                  stack['hook'].node_data())

    agent = _parts(library.nested(
        stack['server_user_data'])['message'].get_message())['10-drain-agent']

    for name in ('hook', 'drained'):
        assert isinstance(stack[name], none_resource.NoneResource)
    assert (AGENT / 'drain-agent.b64').read_text() in _text(agent)
    assert CONFIG not in _text(agent)


def test_misspelt_placeholder_is_noticed(heat):
    """A server with `__AGENT_CONFIG__` in place of it would never drain."""
    stack = heat.stack(library.COMPONENTS / 'server_user_data.yaml')
    [installer] = [url for url in stack.t.files if url.endswith('install.sh')]
    stack.t.files[installer] = '#!/bin/sh\n'

    with pytest.raises((ValueError, exception.StackValidationFailed),
                       match='__AGENT_CONFIG__'):
        stack['message'].get_message()
