#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Write the reference from what it describes.

Resources are described by their schemas and templates by their parameters and
outputs. This program puts both into doc/source/reference/ and makes the
catalogue templates/README.rst. Use `tox -e genref` to run it; with --check it
writes nothing and fails when a file is not what it would write.
"""

import argparse
import ast
import inspect
import logging
import pathlib
import re
import sys
import textwrap

from heat.engine import constraints
from heat.engine import resources
from oslo_config import cfg
import yaml

REPO = pathlib.Path(__file__).resolve().parents[1]
REFERENCE = pathlib.Path('doc', 'source', 'reference')
CATALOGUE = pathlib.Path('templates', 'README.rst')
COMMAND = 'tox -e genref'

_NOTE = f"""\
.. Written by tools/render_reference.py. Change what is described here and
   run `{COMMAND}`.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true',
                        help='fail when a file is stale instead of writing it')
    check = parser.parse_args().check

    pages = render()
    stale = stale_files(pages)
    if check and stale:
        return (f'Not what the schemas and templates say: {", ".join(stale)}; '
                f'run `{COMMAND}` and commit the result.')
    for name in stale:
        path = REPO / name
        if name in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[name])
        else:
            path.unlink()
        print(name)
    return 0


def stale_files(pages):
    """What differs from the pages, is missing, or describes nothing more."""
    stale = {name for name, text in pages.items()
             if not (REPO / name).exists()
             or (REPO / name).read_text() != text}
    found = {str(path.relative_to(REPO))
             for path in (REPO / REFERENCE).rglob('*.rst')}
    return sorted(stale | (found - set(pages)))


def render():
    """Every page by its path in the repository."""
    templates = {path.relative_to(REPO): yaml.safe_load(path.read_text())
                 for path in sorted(REPO.glob('templates/**/*.yaml'))}
    pages = {}
    for resource_type, cls in resource_classes().items():
        name = cls.__module__.rpartition('.')[2]
        pages[str(REFERENCE / 'resources' / f'{name}.rst')] = resource_page(
            resource_type, cls)
    pages[str(REFERENCE / 'messages.rst')] = messages_page()
    for path, template in templates.items():
        below = path.relative_to('templates').with_suffix('.rst')
        pages[str(REFERENCE / 'templates' / below)] = template_page(
            path, template)
    pages[str(CATALOGUE)] = catalogue_page(templates)
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
    return page(
        heading(resource_type, '='),
        inspect.getdoc(cls),
        heading('Properties', '-'),
        *(entry(name, schema.description, property_facts(schema))
          for name, schema in cls.properties_schema.items()),
        heading('Attributes', '-'),
        *([entry(name, schema.description,
                 {'Type': (schema.type or 'any').lower()})
           for name, schema in cls.attributes_schema.items()] or ['None.']),
        *results(cls))


def results(cls):
    """What a resource can be told by a signal, if it takes any."""
    if not hasattr(cls, 'handle_signal'):
        return []
    # Not in sys.modules, as Heat has loaded it.
    signals = cls.handle_signal.__globals__['_signals']
    return [heading('Results', '-'),
            *(entry(name, description, {})
              for name, description in signals.RESULTS.items())]


def messages_page():
    parts = []
    for path in sorted(REPO.glob('heat_plugins/*.py')):
        tree = ast.parse(path.read_text())
        messages = list(messages_of(tree))
        if messages:
            title = ast.get_docstring(tree).splitlines()[0].rstrip('.')
            parts += [heading(title, '-'),
                      *('\n'.join(wrapped(message, '* ', hang='  '))
                        for message in messages)]
    return page(
        heading('Messages', '='),
        paragraph('What the resources say when they refuse something, give '
                  'up, or have heard from a guest. It is in the reason of a '
                  'stack, a resource or an event; a signal that is refused '
                  'leaves the same words in the log of heat-engine.'),
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
        facts['Default'] = literal(schema.default)
    for constraint in schema.constraints:
        facts.setdefault('Allowed', []).append(allowed(constraint))
    facts['Update'] = ('in place' if schema.update_allowed
                       else 'replaces the resource')
    return facts


def allowed(constraint):
    if isinstance(constraint, constraints.Range):
        if constraint.max is None:
            return f'{constraint.min} or more'
        return f'from {constraint.min} to {constraint.max}'
    if isinstance(constraint, constraints.AllowedValues):
        return ', '.join(literal(value) for value in constraint.allowed)
    if isinstance(constraint, constraints.Length):
        return f'at most {constraint.max} characters'
    if isinstance(constraint, constraints.AllowedPattern):
        return f'what matches {literal(constraint.pattern)}'
    if isinstance(constraint, constraints.CustomConstraint):
        return f'known to the service, as {literal(constraint.name)}'
    # A new kind of constraint wants words of its own, not its repr.
    raise NotImplementedError(f'no words for {constraint!r} yet')


# Templates.

def template_page(path, template):
    parts = []
    for group in template['parameter_groups']:
        parts += [heading(group['label'], '~'),
                  paragraph(group['description'])]
        parts += [entry(name, parameter['description'],
                        parameter_facts(parameter))
                  for name, parameter in template['parameters'].items()
                  if name in group['parameters']]
    return page(
        heading(str(path.with_suffix('')), '='),
        paragraph(template['description']),
        heading('Parameters', '-'),
        *parts,
        heading('Outputs', '-'),
        *(entry(name, output['description'], {})
          for name, output in template['outputs'].items()))


def parameter_facts(parameter):
    facts = {'Type': parameter['type'].replace('_', ' ')}
    if 'default' not in parameter:
        facts['Required'] = 'yes'
    elif parameter['default'] == '':
        facts['Default'] = 'empty'
    else:
        facts['Default'] = literal(parameter['default'])
    facts['Allowed'] = [constraint['description'] for constraint
                        in parameter.get('constraints', [])]
    facts['Update'] = ('refused' if parameter.get('immutable')
                       else 'in place')
    return facts


def catalogue_page(templates):
    entries = []
    for path, template in templates.items():
        link = f'`<{path.relative_to(CATALOGUE.parent)}>`__'
        reference = (REFERENCE / path).with_suffix('.rst')
        entries.append(entry(
            str(path.with_suffix('')), template['description'], {
                'Template': link,
                'Examples': ', '.join(f'`<../{example}>`__'
                                      for example in examples_of(path)),
                'Reference': f'`<../{reference}>`__',
            }))
    return page(
        heading('Templates', '='),
        paragraph('What the library offers. Start a template as it is, or '
                  'nest it in your own as the examples do.'),
        *entries)


def examples_of(path):
    """The examples that nest a template."""
    found = []
    for example in sorted(REPO.glob('examples/*.yaml')):
        nested = {(example.parent / resource['type']).resolve()
                  for resource in
                  yaml.safe_load(example.read_text())['resources'].values()}
        if REPO / path in nested:
            found.append(example.relative_to(REPO))
    return found


# reStructuredText.

def page(*blocks):
    return '\n\n'.join([_NOTE.rstrip(), *(b.strip() for b in blocks)]) + '\n'


def heading(text, underline):
    return f'{text}\n{underline * len(text)}'


def entry(name, description, facts):
    """One item of a definition list: what it is, then what holds for it."""
    lines = [literal(name), *wrapped(description, '  ')]
    fields = []
    for fact, values in facts.items():
        for value in values if isinstance(values, list) else [values]:
            if value:
                fields += wrapped(f':{fact}: {value}', '  ', hang='    ')
    if fields:
        lines += ['', *fields]
    return '\n'.join(lines)


def paragraph(text):
    return '\n'.join(wrapped(text, ''))


def wrapped(text, indent, hang=None):
    return textwrap.wrap(' '.join(text.split()), 79, initial_indent=indent,
                         subsequent_indent=hang or indent,
                         break_long_words=False, break_on_hyphens=False)


def literal(value):
    text = (str(value).lower() if isinstance(value, bool) else str(value))
    return f'``{re.sub("`", "", text)}``'


if __name__ == '__main__':
    sys.exit(main())
