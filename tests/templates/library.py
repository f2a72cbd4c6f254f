# SPDX-License-Identifier: Apache-2.0

"""What template tests work with: the library's files and Heat's engine."""

import functools

from heat.engine import node_data
from heat.engine.resources import template_resource
from heat.engine import stk_defn
from heatclient.common import template_utils
from oslo_serialization import jsonutils
import pytest
import yaml

from tests.unit import base

TEMPLATES = sorted(base.REPO.glob('templates/**/*.yaml'))
EXAMPLES = sorted(base.REPO.glob('examples/*.yaml'))
ENVIRONMENTS = sorted(base.REPO.glob('environments/*.yaml'))

CLUSTER = base.REPO / 'templates' / 'lifecycle_cluster.yaml'
COMPONENTS = base.REPO / 'templates' / 'components'

# What the front door hands to whatever an environment maps to
# Hooks::ScalingAlarms, whether a source needs it or not.
SOURCE_INTERFACE = {'server_group', 'scale_out_url', 'scale_in_url',
                    'scale_out_threshold', 'scale_in_threshold',
                    'repeat_actions'}

# What the library itself has to map to it.
SOURCES = sorted(COMPONENTS.glob('*_alarms.yaml'))

# Maps Hooks::ScalingAlarms for the environments that leave it to others.
_MANUAL = base.REPO / 'environments' / 'manual.yaml'

# Any value of the right type: names are not looked up, see tests/unit/base.py.
_SAMPLES = {'string': 'x', 'number': 1, 'boolean': True, 'json': {},
            'comma_delimited_list': 'x'}
# What has to fit something else, or has a form that we check ourselves.
SAMPLES = {'scale_in_threshold': 0, 'metric_scale_in_threshold': 0,
           'webhooks': 'http://x/', 'health_check_path': '/',
           'jobs_url': 'http://x/'}


def name(path):
    """How a file is called in test names and messages."""
    return str(path.relative_to(base.REPO))


def each(argument, paths):
    return pytest.mark.parametrize(argument, paths, ids=name)


def combined(templates):
    """Every template as it is; what an environment is for, with each of them.

    A component knows no environment but by what uses it.
    """
    return pytest.mark.parametrize(
        'path,environment',
        [(path, environment) for path in templates
         for environment in (None, *ENVIRONMENTS)
         if environment is None or path.parent != COMPONENTS],
        ids=lambda value: name(value) if value else 'bare')


def load(path):
    return yaml.safe_load(path.read_text())


def sample(key, parameter):
    """A value that a required parameter takes."""
    return SAMPLES.get(key, _SAMPLES[parameter['type']])


@functools.lru_cache
def _source_parameters():
    """A value of all that sources require beside their interface."""
    return {key: sample(key, parameter)
            for path in SOURCES
            for key, parameter in load(path)['parameters'].items()
            if 'default' not in parameter and key not in SOURCE_INTERFACE}


def nested(resource):
    """The stack that a template resource would become."""
    return resource._parse_nested_stack(resource.name,
                                        resource.child_template(),
                                        resource.child_params())


def nested_stacks(stack):
    """The stacks that a stack's own templates would become, at every depth."""
    for resource in stack.values():
        if isinstance(resource, template_resource.TemplateResource):
            child = nested(resource)
            yield child
            yield from nested_stacks(child)


def resolve(stack, name, attributes, reference=None):
    """Tell the stack what a resource came out as, in Heat's own form."""
    stk_defn.update_resource_data(
        stack.defn, name,
        node_data.NodeData.from_dict({
            'name': name, 'reference_id': reference or name,
            'attrs': attributes, 'action': 'CREATE', 'status': 'COMPLETE'}))


class Heat(base.PluginTestCase):
    """Heat's engine for functions, as pytest parametrises no TestCase."""

    def runTest(self):
        raise NotImplementedError('set up and torn down by the fixture')

    def stack(self, path, environment=None, parameters=None):
        """The stack that `openstack stack create -t PATH` would make.

        :param environment: path of a file; what Hooks::ScalingAlarms is, if
            it leaves that open, is environments/manual.yaml's.
        """
        files, tmpl = template_utils.get_template_contents(str(path))
        env_files, env = (
            template_utils.process_multiple_environments_and_files(
                [str(_MANUAL), *([str(environment)] if environment else [])]))
        files.update(env_files)
        # The client has read bytes, and they arrive as text.
        files = jsonutils.loads(jsonutils.dumps(files))
        for key, value in _source_parameters().items():
            env.setdefault('parameter_defaults', {}).setdefault(key, value)
        # What is set for another source of the metric does not matter here.
        preset = {key for key in env.get('parameter_defaults', {})
                  if key in tmpl.get('parameters', {})}
        env['parameters'] = {
            key: sample(key, parameter)
            for key, parameter in tmpl.get('parameters', {}).items()
            if 'default' not in parameter and key not in preset}
        env['parameters'].update(parameters or {})
        return self.stack_from(tmpl, files, env)
