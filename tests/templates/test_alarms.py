# SPDX-License-Identifier: Apache-2.0

"""What each source of a metric makes of its thresholds."""

import json
import operator

from heat.common import exception
import pytest
import yaml

from tests.templates import library

OUT = 'http://out/?V=2'
IN = 'http://in/?V=2'
GROUP = 'aa0c0a8b-6b0b-4f3e-9a55-9a1d9d6d63a1'
METRIC = {'scale_out_threshold': 40, 'scale_in_threshold': 10}
CPU = {'scale_out_threshold': 70, 'scale_in_threshold': 20}
METRIC_BESIDE = {'metric_' + key: value for key, value in METRIC.items()}

# {source: thresholds that the tests go by}.
THRESHOLDS = {'gnocchi': METRIC, 'prometheus': METRIC, 'cpu': CPU,
              'composite': {**CPU, **METRIC_BESIDE}}


@pytest.fixture
def alarms(heat, tmp_path):
    """Return the properties of the two alarms of a source."""
    def make(source, **parameters):
        # From an environment they reach the templates of every level.
        environment = tmp_path / 'environment.yaml'
        environment.write_text(yaml.safe_dump({'parameter_defaults': {
            'scale_out_url': OUT, 'scale_in_url': IN, 'server_group': GROUP,
            **THRESHOLDS[source], **parameters}}))
        stack = heat.stack(
            library.COMPONENTS / (source + '_alarms.yaml'), environment)
        if 'cpu' in stack:
            library.resolve(stack, 'cpu', _rules(
                library.nested(stack['cpu'])))
        # Looked up while the stack is still there.
        return [dict(stack[name].properties)
                for name in ('scale_out_alarm', 'scale_in_alarm')]
    return make


def _rules(stack):
    """What cpu_rules.yaml hands out."""
    values = stack['nanoseconds'].properties['value']
    library.resolve(stack, 'nanoseconds', {
        ('value', key): value for key, value in values.items()})
    return {name: stack.outputs[name].get_value() for name in ('high', 'low')}


def _leaves(rule):
    """The rules that compare, of a rule of Aodh."""
    if 'type' in rule:
        return [rule]
    [parts] = rule.values()
    return [leaf for part in parts for leaf in _leaves(part)]


def _rule(alarm):
    """The rule of an alarm as Heat hands it to Aodh."""
    composite = alarm['composite_rule']
    return {composite['operator']: composite['rules']}


def _fires(rule, values):
    """Whether a rule holds for what was measured: {metric: value}."""
    for key, join in (('and', all), ('or', any)):
        if key in rule:
            return join(_fires(part, values) for part in rule[key])
    compare = getattr(operator, rule['comparison_operator'])
    return compare(values[rule['metric']], rule['threshold'])


@pytest.mark.parametrize('source', ['gnocchi', 'prometheus'])
@pytest.mark.parametrize('value,called', [
    (40.5, [OUT]), (40, []), (10, []), (9.5, [IN])])
def test_one_value_calls_one_url(alarms, source, value, called):
    """Above the threshold the cluster grows, below it shrinks."""
    assert called == [
        action for alarm in alarms(source)
        if getattr(operator, alarm['comparison_operator'])(
            value, alarm['threshold'])
        for action in alarm['alarm_actions']]


@pytest.mark.parametrize('source,percent,sessions,called', [
    ('cpu', 71, None, OUT), ('cpu', 100, None, OUT), ('cpu', 70, None, None),
    ('cpu', 20, None, None), ('cpu', 19, None, IN), ('cpu', 0, None, IN),
    # A server has come or gone.
    ('cpu', -1, None, None), ('cpu', 151, None, None),
    ('composite', 19, 9, IN), ('composite', 19, 10, None),
    ('composite', 20, 9, None), ('composite', -1, 9, None),
    ('composite', 71, 9, OUT), ('composite', 19, 41, OUT),
    ('composite', 151, 9, None), ('composite', 151, 41, OUT),
])
def test_cpu_counts_while_it_is_plausible(alarms, source, percent, sessions,
                                          called):
    """A server that leaves would make the others look idle, or busy.

    And a metric that is low alone shrinks nothing.
    """
    # Nanoseconds in a period of 300 s.
    values = {'cpu': percent * 300 * 10**9 / 100, 'x': sessions}

    fired = [alarm['alarm_actions'][0].partition('#')[0]
             for alarm in alarms(source) if _fires(_rule(alarm), values)]

    assert ([called] if called else []) == fired


def test_percent_is_of_all_cpus_of_a_server(alarms):
    """A server of four CPUs that uses one of them would look busy."""
    scale_out, _ = alarms('cpu', vcpus=4, cpu_granularity=60)

    limit = _leaves(_rule(scale_out))[0]

    assert 0.7 * 4 * 60 * 10**9 == pytest.approx(limit['threshold'])
    assert 60 == limit['granularity']


@pytest.mark.parametrize('source', ['cpu', 'composite'])
def test_cpu_is_that_of_the_servers_of_this_cluster(alarms, source):
    """The load of others would size the cluster.

    That of servers that are gone, and of servers in other projects, which
    may carry any ID.
    """
    rules = [rule for alarm in alarms(source)
             for rule in _leaves(_rule(alarm)) if rule['metric'] == 'cpu']

    assert 4 == len(rules)
    for rule in rules:
        project, group, alive = json.loads(rule['query'])['and']
        assert ['project_id'] == list(project['='])
        assert all(project['='].values())
        assert {'=': {'server_group': GROUP}} == group
        assert {'=': {'ended_at': None}} == alive
        # Aodh takes the opposite of periods that disagree.
        assert 1 == rule['evaluation_periods']


@pytest.mark.parametrize('source', ['gnocchi', 'composite'])
@pytest.mark.parametrize('given,used', [('', GROUP), ('mine', 'mine')])
def test_metric_is_on_the_resource_of_the_stack_or_on_its_own(
        alarms, source, given, used):
    """A metric that is made after the stack would have to be found by hand."""
    for alarm in alarms(source, metric_resource_id=given):
        rules = [alarm] if source == 'gnocchi' else [
            rule for rule in _leaves(_rule(alarm)) if 'resource_id' in rule]
        assert [used] == [rule['resource_id'] for rule in rules]


def test_query_knows_the_servers_of_this_cluster(alarms):
    """Two stacks with one query would scale with the mean of both."""
    for alarm in alarms('prometheus',
                        query='avg(load{server_group="__SERVER_GROUP__"})'):
        assert 'avg(load{server_group="%s"})' % GROUP == alarm['query']


@pytest.mark.parametrize('source,change', [
    ('cpu', {'scale_out_threshold': 71, 'scale_in_threshold': 21}),
    ('cpu', {'vcpus': 2}), ('cpu', {'cpu_granularity': 60}),
    ('cpu', {'repeat_actions': False}),
    ('composite', {'metric': 'y'}), ('composite', {'granularity': 60}),
    ('composite', {'repeat_actions': False}),
    ('composite', {'metric_scale_out_threshold': 41,
                   'metric_scale_in_threshold': 11}),
])
def test_actions_change_with_a_composite_alarm(alarms, source, change):
    """Heat would drop the actions in such an update, and nothing would scale.

    The part that changes is not sent.
    """
    for before, after in zip(alarms(source), alarms(source, **change)):
        [old], [new] = before['alarm_actions'], after['alarm_actions']
        assert old != new
        assert old.partition('#')[0] == new.partition('#')[0]


@pytest.mark.parametrize('source', sorted(THRESHOLDS))
def test_source_takes_what_every_source_is_given(source):
    """An environment could not exchange it for another source."""
    parameters = library.load(
        library.COMPONENTS / (source + '_alarms.yaml'))['parameters']

    assert library.SOURCE_INTERFACE <= set(parameters)


def test_every_source_is_tested_here():
    """A source that nobody looked at would scale somehow."""
    assert {path.name for path in library.SOURCES} == {
        source + '_alarms.yaml' for source in THRESHOLDS}


@pytest.mark.parametrize('source,parameter,value,message', [
    ('gnocchi', 'metric', '', '1 to 255 characters'),
    ('gnocchi', 'metric', 'm' * 256, '1 to 255 characters'),
    ('gnocchi', 'metric_resource_id', 'm' * 256, 'up to 255 characters'),
    ('gnocchi', 'metric_aggregation', 'rate of mean', 'aggregation method'),
    ('gnocchi', 'granularity', 0, 'one second and one day'),
    ('gnocchi', 'evaluation_periods', 0, 'between 1 and 100'),
    ('gnocchi', 'scale_in_threshold', -1, 'between 0 and'),
    ('prometheus', 'query', '', '1 to 4096 characters'),
    ('prometheus', 'scale_out_threshold', 'high', 'scale_out_threshold'),
    ('composite', 'metric_scale_out_threshold', -1, 'between 0 and'),
    ('composite', 'repeat_actions', 'perhaps', 'repeat_actions'),
    ('cpu', 'server_group', '', '1 to 255 characters'),
])
def test_wrong_value_is_refused_with_a_sentence(heat, source, parameter,
                                                value, message):
    """A wrong value fails before anything is made, and says what is right."""
    stack = heat.stack(library.COMPONENTS / (source + '_alarms.yaml'),
                       parameters={parameter: value})

    with pytest.raises(exception.StackValidationFailed, match=message):
        stack.validate(validate_res_tmpl_only=True)


@pytest.mark.parametrize('parameter,value', [
    ('vcpus', 0), ('vcpus', 1025), ('cpu_granularity', 0),
    ('cpu_granularity', 86401)])
def test_wrong_cpu_is_refused(heat, parameter, value):
    """No flavor has it, or Ceilometer does not."""
    stack = heat.stack(library.COMPONENTS / 'cpu_rules.yaml',
                       parameters={parameter: value})

    with pytest.raises(exception.StackValidationFailed, match=parameter):
        stack.validate(validate_res_tmpl_only=True)


@pytest.mark.parametrize('low,high,holds', [(10, 9, False), (10, 10, False),
                                            (9, 10, True)])
def test_thresholds_of_the_metric_do_not_cross(heat, low, high, holds):
    """A cluster that is too big and too small at once would swing for ever."""
    stack = heat.stack(library.COMPONENTS / 'composite_alarms.yaml',
                       parameters={'metric_scale_in_threshold': low,
                                   'metric_scale_out_threshold': high})
    [name] = [name for name in stack if name.startswith('metric_scale_in')]

    if holds:
        stack[name].validate()
    else:
        with pytest.raises(exception.StackValidationFailed, match=name):
            stack[name].validate()
