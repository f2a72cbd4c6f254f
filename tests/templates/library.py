# SPDX-License-Identifier: Apache-2.0

"""What template tests work with: the library's files and Heat's engine."""

import itertools

from heat.engine.resources import template_resource
from heatclient.common import template_utils
from oslo_serialization import jsonutils
import pytest
import yaml

from tests.unit import base

TEMPLATES = sorted(base.REPO.glob('templates/**/*.yaml'))
EXAMPLES = sorted(base.REPO.glob('examples/*.yaml'))
ENVIRONMENTS = sorted(base.REPO.glob('environments/*.yaml'))

CLUSTER = base.REPO / 'templates' / 'lifecycle_cluster.yaml'

# Any value of the right type: names are not looked up, see tests/unit/base.py.
_SAMPLES = {'string': 'x', 'number': 1, 'boolean': True, 'json': {},
            'comma_delimited_list': 'x'}


def name(path):
    """How a file is called in test names and messages."""
    return str(path.relative_to(base.REPO))


def each(argument, paths):
    return pytest.mark.parametrize(argument, paths, ids=name)


def combined(templates):
    """Every template without an environment, and with each there is."""
    return pytest.mark.parametrize(
        'path,environment', itertools.product(templates,
                                              [None, *ENVIRONMENTS]),
        ids=lambda value: name(value) if value else 'bare')


def load(path):
    return yaml.safe_load(path.read_text())


def nested_stacks(stack):
    """The stacks that a stack's own templates would become."""
    return [resource._parse_nested_stack(resource.name,
                                         resource.child_template(),
                                         resource.child_params())
            for resource in stack.values()
            if isinstance(resource, template_resource.TemplateResource)]


class Heat(base.PluginTestCase):
    """Heat's engine for functions, as pytest parametrises no TestCase."""

    def runTest(self):
        raise NotImplementedError('set up and torn down by the fixture')

    def stack(self, path, environment=None, parameters=None):
        """The stack that `openstack stack create -t PATH` would make."""
        files, tmpl = template_utils.get_template_contents(str(path))
        env_files, env = template_utils.process_environment_and_files(
            environment and str(environment))
        files.update(env_files)
        # The client has read bytes, and they arrive as text.
        files = jsonutils.loads(jsonutils.dumps(files))
        preset = env.get('parameter_defaults', {})
        env['parameters'] = {
            key: _SAMPLES[parameter['type']]
            for key, parameter in tmpl.get('parameters', {}).items()
            if 'default' not in parameter and key not in preset}
        env['parameters'].update(parameters or {})
        return self.stack_from(tmpl, files, env)
