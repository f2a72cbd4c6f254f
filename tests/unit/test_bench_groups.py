# SPDX-License-Identifier: Apache-2.0

"""What the benchmark asks of Heat's groups, and how it reads the answers."""

import json
import types

import pytest
import yaml

from bench import clusters
from bench import context as contexts
from bench import costs
from bench import groups
from bench import growth_during_drain

STACK = types.SimpleNamespace(id='root')


class Database:
    """Heat's, as far as the groups ask it."""

    def __init__(self, members=(), metadata=None, drains=()):
        self.members = list(members)
        self.metadata = metadata or {}
        self.drains = list(drains)

    def ask(self, statement, *_parameters):
        if 'rsrc_metadata' in statement:
            return [[json.dumps(self.metadata)]]
        if 'resource_data' in statement:
            return [('drain-' + drain['server'], json.dumps(drain))
                    for drain in self.drains]
        return self.members


@pytest.fixture
def scale(monkeypatch):
    """Return the groups of a database, and what is posted to a group."""
    def make(**database):
        posts = []
        monkeypatch.setattr(groups.Group, 'scale',
                            lambda _group, what: posts.append(what))
        found = groups.Groups(None)
        monkeypatch.setattr(found, '_ask', Database(**database).ask)
        return found, groups.Group(STACK, 'hooked', {}, 'nested'), posts
    return make


def test_both_who_scale_have_the_same_methods():
    """One release line would fail in the middle of an hour's run."""
    def names(class_):
        return {name for name in vars(class_) if not name.startswith('_')}

    # What only the rounds without anybody else's time need.
    assert names(clusters.Clusters) - {'complete'} <= names(groups.Groups)


def members(number, status='COMPLETE'):
    return [('m%d' % n, status, 'no valid host') for n in range(number)]


@pytest.mark.parametrize('have,size,expected', [
    (0, 10, '+10'), (10, 20, '+10'), (2, 1, '-1'), (50, 0, '0')])
def test_a_size_is_asked_for_with_a_policy(scale, have, size, expected):
    """Another number of servers would be measured than is told."""
    found, group, posts = scale(members=members(have))

    found.resize(group, size)

    assert [expected] == posts


@pytest.mark.parametrize('database,is_over', [
    ({'members': members(2)}, True),
    ({'members': members(3)}, False),
    ({'members': members(2, 'IN_PROGRESS')}, False),
    ({'members': members(2), 'metadata': {'scaling_in_progress': True}},
     False)])
def test_a_step_is_over_when_the_group_is_at_rest(scale, database, is_over):
    """The next request would be dropped, and measured in vain."""
    found, group, _posts = scale(**database)

    assert is_over == bool(found.ended((group, 2)))


def test_a_failed_member_ends_the_measurement(scale):
    """It would be waited for until everybody's patience is over."""
    found, group, _posts = scale(members=members(1, 'FAILED'))

    with pytest.raises(contexts.BenchError, match='no valid host'):
        found.ended((group, 1))


def test_waits_are_those_of_the_plugin(scale):
    """A server would be told before anybody has waited for it."""
    found, group, _posts = scale(drains=[
        {'server': 's', 'token': 't', 'since': 5.5, 'over': None}])
    watch = found.watch(group)

    assert {'t': ('s', 5.5)} == watch.waits()
    assert {'s': {'member_over': 9.0}} == watch.ended({'s': 9.0})


def test_each_step_of_the_benchmark_has_a_policy():
    """A measurement would end with a KeyError after half an hour."""
    template = yaml.safe_load(
        (contexts.TEMPLATES / 'groups.yaml').read_text())
    urls = template['outputs']['urls']['value']

    growing = {'+%d' % step for step in contexts._BATCHES}

    for name in ('hooked', 'unhooked'):
        assert {'0', '-1', *growing} == set(urls[name])
    assert {'-1', '+1', '+%d' % growth_during_drain._MEMBERS} <= set(
        urls['deaf'])
    for name, steps in urls.items():
        for step, value in steps.items():
            policy = template['resources'][value['get_attr'][0]]['properties']
            assert int(step) == policy['scaling_adjustment']
            assert {'get_resource': name} == policy['auto_scaling_group_id']
            assert (step == '0') == (
                policy['adjustment_type'] == 'exact_capacity')


def test_costs_are_of_what_is_installed():
    """Without Senlin there would be no costs of the others either."""
    one = {what: {'zaqar': 0.002, 'heat': 0.01}
           for what in ('poll', 'waited second', 'signal')}

    assert {'zaqar', 'heat'} == set(costs.at_scale(one))


def test_who_is_dropped_asks_again(monkeypatch):
    """Heat's own group would never grow, and the run would end in vain."""
    asked, active = [], {'old'}

    def scale(what):
        asked.append(what)
        if len(asked) == 3:
            active.add('new')

    def wait(_what, condition, **_options):
        while not condition():
            pass

    monkeypatch.setattr(growth_during_drain.postgres, 'connect',
                        lambda *_args: None)
    monkeypatch.setattr(growth_during_drain.postgres, 'ask',
                        lambda *_args: [(server,) for server in active])
    growths = growth_during_drain.Growths(
        types.SimpleNamespace(local=types.SimpleNamespace(cloud=None),
                              wait=wait),
        None, types.SimpleNamespace(scale=scale))

    growths.grow(repeat=0)

    assert ['+1', '+1', '+1'] == asked
