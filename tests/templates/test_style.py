# SPDX-License-Identifier: Apache-2.0

"""Rules that every template and every environment of the library keeps."""

import configparser
import re

from tests.templates import library
from tests.unit import base

TEMPLATES = library.TEMPLATES + library.EXAMPLES

# The order in which a reader asks.
_TOP_LEVEL = ('heat_template_version', 'description', 'parameter_groups',
              'parameters', 'conditions', 'resources', 'outputs')
_PARAMETER = ('type', 'description', 'default', 'hidden', 'immutable',
              'constraints')
_RESOURCE = ('type', 'condition', 'depends_on', 'properties',
             'deletion_policy', 'update_policy', 'metadata')

# More belongs into a file, where linters and tests see it.
_LONGEST_INLINE_CODE = 3


def _in_order(keys, order):
    return [key for key in order if key in keys] == list(keys)


def _nodes(tree):
    """Every mapping, list and value of a template."""
    yield tree
    children = (tree.values() if isinstance(tree, dict)
                else tree if isinstance(tree, list) else ())
    for child in children:
        yield from _nodes(child)


def _parameters(path):
    return library.load(path).get('parameters', {})


@library.each('path', TEMPLATES)
def test_version_is_the_agreed_one(path):
    """One version everywhere: a snippet can move from file to file."""
    assert 'wallaby' == library.load(path)['heat_template_version']


@library.each('path', TEMPLATES)
def test_sections_are_in_the_agreed_order(path):
    """A reader finds the same section in the same place in every file."""
    keys = list(library.load(path))

    assert _in_order(keys, _TOP_LEVEL), keys


@library.each('path', TEMPLATES)
def test_keys_are_in_the_agreed_order(path):
    """A reader finds the type of everything in its first line."""
    tmpl = library.load(path)

    bad = [key for key, parameter in tmpl.get('parameters', {}).items()
           if not _in_order(parameter, _PARAMETER)]
    bad += [key for key, resource in tmpl['resources'].items()
            if not _in_order(resource, _RESOURCE)]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_required_parameters_come_first(path):
    """Who starts a stack sees at once what has to be given."""
    has_default = ['default' in p for p in _parameters(path).values()]

    assert sorted(has_default) == has_default


@library.each('path', TEMPLATES)
def test_every_parameter_is_described(path):
    """The description is the manual, and the reference is made of it."""
    bad = [key for key, parameter in _parameters(path).items()
           if not parameter.get('description', '').rstrip().endswith('.')]

    assert [] == bad


@library.each('path', library.TEMPLATES)
def test_every_parameter_is_in_exactly_one_group(path):
    """Dashboards show the groups; a parameter in none is not shown."""
    tmpl = library.load(path)
    grouped = [key for group in tmpl['parameter_groups']
               for key in group['parameters']]

    assert sorted(tmpl['parameters']) == sorted(grouped)


@library.each('path', TEMPLATES)
def test_every_parameter_is_used(path):
    """A parameter that does nothing is a promise that is not kept."""
    used = set()
    for node in _nodes(library.load(path)):
        if isinstance(node, dict) and 'get_param' in node:
            target = node['get_param']
            used.add(target if isinstance(target, str) else target[0])
    parameters = set(_parameters(path))
    if library.SOURCE_INTERFACE <= parameters:
        parameters -= library.SOURCE_INTERFACE - used

    assert parameters == {name for name in used if '::' not in name}


@library.each('path', library.TEMPLATES)
def test_every_number_has_a_range(path):
    """A number without bounds fails deep inside a service, if at all."""
    bad = [key for key, parameter in _parameters(path).items()
           if parameter['type'] == 'number'
           and not any('range' in c for c in parameter.get('constraints', []))]

    assert [] == bad


@library.each('path', library.TEMPLATES)
def test_every_number_but_a_threshold_is_whole(path):
    """Half a server, and NaN, which is in every range, reach a service."""
    bad = [key for key, parameter in _parameters(path).items()
           if parameter['type'] == 'number'
           and not key.endswith('_threshold')
           and not any('modulo' in c for c in parameter['constraints'])]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_every_constraint_is_described(path):
    """Heat prints the description instead of the value it refused."""
    bad = [key for key, parameter in _parameters(path).items()
           for constraint in parameter.get('constraints', [])
           if not constraint.get('description', '').rstrip().endswith('.')]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_no_parameter_is_json(path):
    """A json parameter takes anything and so documents nothing."""
    bad = [key for key, parameter in _parameters(path).items()
           if parameter['type'] == 'json']

    assert [] == bad


@library.each('path', TEMPLATES)
def test_no_resource_is_named(path):
    """Two stacks of one template fit into one project."""
    bad = [key for key, resource in library.load(path)['resources'].items()
           if 'name' in resource.get('properties', {})]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_code_is_in_files(path):
    """A program inside a template is seen by no linter and no test."""
    bad = [node for node in _nodes(library.load(path)['resources'])
           if isinstance(node, str)
           and len(node.splitlines()) > _LONGEST_INLINE_CODE]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_every_if_has_an_else(path):
    """Heat takes an `if` without one, and fails when the condition is false.

    Seen with Heat 22.0.1 in resource properties: the placeholder for "not
    there" cannot be copied, "EllipsisType takes no arguments".
    """
    bad = [node['if'] for node in _nodes(library.load(path)['resources'])
           if isinstance(node, dict) and 'if' in node and len(node['if']) != 3]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_depends_on_says_why(path):
    """An order that no reference explains is explained by a comment."""
    lines = path.read_text().splitlines()
    bad = []
    for key, resource in library.load(path)['resources'].items():
        if 'depends_on' in resource:
            above = lines[lines.index(f'  {key}:') - 1]
            if not above.strip().startswith('#'):
                bad.append(key)

    assert [] == bad


@library.each('path', TEMPLATES)
def test_every_output_is_described(path):
    """Outputs are the interface between templates."""
    bad = [key for key, output in library.load(path)['outputs'].items()
           if not output.get('description', '').rstrip().endswith('.')]

    assert [] == bad


@library.each('path', TEMPLATES)
def test_a_stack_tells_where_it_comes_from(path):
    """A running stack can be traced to a file of the library."""
    outputs = library.load(path)['outputs']

    assert (library.name(path.with_suffix(''))
            == outputs['template_id']['value'])


@library.each('path', TEMPLATES)
def test_a_stack_tells_its_release(path):
    """A running stack can be traced to a release, given once or nested."""
    metadata = configparser.ConfigParser()
    metadata.read(base.REPO / 'setup.cfg')
    value = library.load(path)['outputs']['template_version']['value']

    if isinstance(value, dict):
        assert 'template_version' == value['get_attr'][1]
    else:
        assert metadata['metadata']['version'] == value


@library.each('path', TEMPLATES)
def test_names_are_snake_case(path):
    """One spelling in parameters, resources, conditions and outputs."""
    tmpl = library.load(path)

    bad = [key for section in ('parameters', 'conditions', 'resources',
                               'outputs')
           for key in tmpl.get(section, {})
           if not re.fullmatch('[a-z][a-z0-9_]*|OS::stack_id', key)]

    assert [] == bad


@library.each('path', library.ENVIRONMENTS)
def test_environment_leaves_parameters_to_the_user(path):
    """An environment that sets `parameters` fits only one template."""
    assert set(library.load(path)) <= {'parameter_defaults',
                                       'resource_registry'}


@library.each('path', library.ENVIRONMENTS)
def test_environment_sets_only_what_exists(path):
    """Heat ignores a misspelt default and maps a misspelt type in silence."""
    known = {key for template in TEMPLATES for key in _parameters(template)}
    types = {resource['type'] for template in TEMPLATES
             for resource in library.load(template)['resources'].values()}
    environment = library.load(path)

    unknown = set(environment.get('parameter_defaults', {})) - known
    unknown |= set(environment.get('resource_registry', {})) - types

    assert set() == unknown


def test_one_name_means_one_thing():
    """A parameter that is handed down is the same at every level.

    Defaults and constraints may differ: a component that is always handed a
    value has none, and what only the front door can know is checked there.
    """
    seen = {}
    bad = []
    for path in library.TEMPLATES:
        for key, parameter in _parameters(path).items():
            meaning = [parameter.get(aspect) for aspect in
                       ('type', 'description', 'hidden')]
            other = seen.setdefault(key, (path, meaning))
            if other[1] != meaning:
                bad.append((key, library.name(other[0]), library.name(path)))

    assert [] == bad
