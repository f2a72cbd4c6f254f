#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Write the reference from what it describes.

Resources are described by their schemas and templates by their parameters and
outputs. This program puts both into doc/source/reference/, makes catalogues of
the templates and the environments, and writes environments/production.yaml.
`tox -e genref` runs it; with --check it writes nothing and fails when a file
is not what it would write.
"""

import ast
import inspect
import logging
import pathlib
import re
import sys

from heat.engine import constraints
from heat.engine import resources
from oslo_config import cfg

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from tools import catalogue  # noqa: E402
from tools import generated  # noqa: E402
from tools import rst  # noqa: E402

REFERENCE = pathlib.Path('doc', 'source', 'reference')

_NOTE = f"""\
.. Written by tools/render_reference.py. Change what is described here and
   run `{generated.COMMAND}`.
"""


def main():
    return generated.main(
        __doc__.splitlines()[0], render, REFERENCE, '.rst',
        'Not what the schemas and templates say')


def render():
    """Every page by its path in the repository."""
    pages = {}
    for resource_type, cls in resource_classes().items():
        name = cls.__module__.rpartition('.')[2]
        pages[str(REFERENCE / 'resources' / f'{name}.rst')] = resource_page(
            resource_type, cls)
    pages[str(REFERENCE / 'messages.rst')] = messages_page()
    pages.update(catalogue.pages(_NOTE))
    return pages


# Resources.

def resource_classes():
    """Our resource classes, loaded by Heat's own plugin loader.

    Importing heat_plugins would make a second copy of every class.
    """
    cfg.CONF.import_opt('plugin_dirs', 'heat.common.config')
    cfg.CONF.import_opt('environment_dir', 'heat.common.config')
    cfg.CONF.set_override('plugin_dirs', [str(REPO / 'heat_plugins')])
    # Heat's wheel keeps its global environment inside the virtual one.
    cfg.CONF.set_override('environment_dir',
                          str(pathlib.Path(sys.prefix,
                                           'etc/heat/environment.d')))
    cfg.CONF([], project='heat', default_config_files=[],
             default_config_dirs=[])
    # Heat warns about each of its own types that is on its way out.
    logging.disable(logging.WARNING)
    resources.initialise()
    registry = resources.global_env()
    return {resource_type: registry.get_class(resource_type)
            for resource_type in sorted(registry.get_types())
            if resource_type.startswith('OS::Hooks::')}


def resource_page(resource_type, cls):
    return rst.page(
        _NOTE,
        rst.heading(resource_type, '='),
        inspect.getdoc(cls),
        rst.heading('Properties', '-'),
        *(rst.entry(name, schema.description, property_facts(schema))
          for name, schema in cls.properties_schema.items()),
        rst.heading('Attributes', '-'),
        *([rst.entry(name, schema.description,
                     {'Type': (schema.type or 'any').lower()})
           for name, schema in cls.attributes_schema.items()] or ['None.']),
        *results(cls))


def results(cls):
    """The results that a guest may signal to a resource, if any."""
    # A group takes signals as well, from heat-engine, and reads nothing in
    # them. Only a resource that gives guests a URL has guests' results.
    if 'signal_url' not in cls.attributes_schema:
        return []
    # Not in sys.modules, as Heat has loaded it.
    signals = cls.handle_signal.__globals__['_signal']
    return [rst.heading('Results', '-'),
            *(rst.entry(name, description, {})
              for name, description in signals.RESULTS.items())]


def messages_page():
    parts = []
    for path in sorted(REPO.glob('heat_plugins/**/*.py')):
        tree = ast.parse(path.read_text())
        messages = list(messages_of(tree))
        if messages:
            title = ast.get_docstring(tree).splitlines()[0].rstrip('.')
            parts += [rst.heading(title, '-'),
                      *('\n'.join(rst.wrapped(message, '* ', hang='  '))
                        for message in messages)]
    return rst.page(
        _NOTE,
        rst.heading('Messages', '='),
        rst.paragraph(
            'What the resources say when they refuse something, give up, or '
            'have heard from a guest. It is in the reason of a stack, a '
            'resource or an event; a signal that is refused leaves the same '
            'words in the log of heat-engine.'),
        *parts)


def messages_of(tree):
    """The sentences that the functions of a module say to people."""
    calls = [call for function in ast.walk(tree)
             if isinstance(function, ast.FunctionDef)
             for call in ast.walk(function) if isinstance(call, ast.Call)]
    for call in calls:
        speaker = getattr(call.func, 'attr', getattr(call.func, 'id', ''))
        if speaker not in ('_', 'Refused'):
            continue
        for node in ast.walk(call.args[0]):
            # The fragments that are put together have few words.
            if (isinstance(node, ast.Constant) and
                    len(str(node.value).split()) > 3):
                # "%(name)s" stands for a value of that name, "%s" for any.
                yield re.sub(r'%(?:\((\w+)\))?[sd]',
                             lambda match: f'<{match[1] or "value"}>',
                             node.value)


def property_facts(schema):
    facts = {'Type': schema.type.lower()}
    if schema.required:
        facts['Required'] = 'yes'
    elif schema.default is not None:
        facts['Default'] = rst.literal(schema.default)
    for constraint in schema.constraints:
        facts.setdefault('Allowed', []).append(allowed(constraint))
    facts['Update'] = ('in place' if schema.update_allowed
                       else 'replaces the resource')
    return facts


def allowed(constraint):
    # A kind of range to Heat, so it is asked for first.
    if isinstance(constraint, constraints.Length):
        return f'{span(constraint)} characters'
    if isinstance(constraint, constraints.Range):
        return span(constraint)
    if isinstance(constraint, constraints.Modulo):
        return f'multiples of {constraint.step}'
    if isinstance(constraint, constraints.AllowedValues):
        return ', '.join(rst.literal(value) for value in constraint.allowed)
    if isinstance(constraint, constraints.AllowedPattern):
        return f'what matches {rst.literal(constraint.pattern)}'
    if isinstance(constraint, constraints.CustomConstraint):
        message = getattr(constraint.custom_constraint, 'message', None)
        if message:
            return message
        return f'known to the service, as {rst.literal(constraint.name)}'
    # A new kind of constraint wants words of its own, not its repr.
    raise NotImplementedError(f'no words for {constraint!r} yet')


def span(constraint):
    if constraint.max is None:
        return f'{constraint.min} or more'
    if constraint.min is None:
        return f'at most {constraint.max}'
    return f'from {constraint.min} to {constraint.max}'


if __name__ == '__main__':
    sys.exit(main())
