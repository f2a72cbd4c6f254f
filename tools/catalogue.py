# SPDX-License-Identifier: Apache-2.0

"""The pages about the templates and environments of the library."""

import os
import pathlib
import textwrap

from tools import draw_templates
from tools import rst
from tools import shelf

REFERENCE = pathlib.Path('doc', 'source', 'reference', 'templates')
# One for those who browse the repository, one for the documentation.
CATALOGUES = (pathlib.Path('templates', 'README.rst'),
              pathlib.Path('doc', 'source', 'templates.rst'))
ENVIRONMENTS = (pathlib.Path('environments', 'README.rst'),
                pathlib.Path('doc', 'source', 'environments.rst'))
PRODUCTION = pathlib.Path('environments', 'production.yaml')

_WRITTEN = 'Written by tools/render_reference.py'

_SHELVES = (
    ('Start these', 'Complete: a stack of one of them is a cluster that '
     'scales and drains.', lambda t: not (t.is_component or t.is_example)),
    ('Components', 'The parts that the others are made of. Put them together '
     'in another way, or replace one with your own.',
     lambda t: t.is_component),
    ('Examples', 'Applications, each in a cluster that drains. They show how '
     'to nest a template, and how an application learns to drain.',
     lambda t: t.is_example),
)

# What a site is better off with than with the defaults, and why. The defaults
# start a stack as cheaply as they can.
_IN_PRODUCTION = {
    'max_size': (10, 'As many as the project has room and money for.'),
    'min_size': (2, 'Two, so that the service goes on without either.'),
    'desired_capacity': (2, 'As many as the smallest size, to begin with.'),
}


def pages(note):
    templates = shelf.templates()
    environments = shelf.environments()
    found = {}
    for name, template in templates.items():
        path = reference_of(name)
        if not template.is_example:
            found[path] = template_page(note, path, template, templates,
                                        environments)
    for path in CATALOGUES:
        found[path] = catalogue_page(note, path, templates, environments)
    # It is one of the environments that the pages below are about.
    front_door = templates[shelf.FRONT_DOOR]
    found[PRODUCTION] = production(front_door)
    for path in ENVIRONMENTS:
        found[path] = environments_page(note, path, found[PRODUCTION])
    return {str(path): text for path, text in found.items()}


def reference_of(name):
    below = name.removeprefix('templates/')
    return (REFERENCE / below).with_suffix('.rst')


# Templates.

def template_page(note, path, template, templates, environments):
    parts = []
    for group in template.body['parameter_groups']:
        parts += [rst.heading(group['label'], '~'),
                  rst.paragraph(group['description'])]
        parts += [rst.entry(name, parameter['description'],
                            parameter_facts(parameter))
                  for name, parameter
                  in template.body['parameters'].items()
                  if name in group['parameters']]
    return rst.page(
        note,
        rst.heading(template.name, '='),
        *about(path, template, templates, environments),
        rst.heading('Parameters', '-'),
        *parts,
        rst.heading('Outputs', '-'),
        *(rst.entry(name, output['description'], {})
          for name, output in template.body['outputs'].items()))


def about(path, template, templates, environments):
    """Purpose, picture, needs and limitations, and where to go from here."""
    described = template.about
    here = reference_of(template.name)
    return [
        rst.paragraph(described['purpose']),
        picture(path, template),
        rst.fields({
            'Needs': described.get('needs'),
            'Limitations': described.get('limitations'),
            'Template': rst.link(template.path, path, str(template.path)),
            'Reference': (rst.link(here, path, 'parameters and outputs')
                          if path != here and not template.is_example
                          else None),
            'Chosen by': links(path, chosen_by(template, environments)),
            'Used by': links(path, [user.path for user in templates.values()
                                    if not user.is_example
                                    and nests(user, template)]),
            'Examples': links(path, [user.path for user in templates.values()
                                     if user.is_example
                                     and nests(user, template)]),
        })]


def picture(path, template):
    order = template.creation_order()
    return rst.image(
        rst.relative(draw_templates.picture_of(template.name), path),
        f'Resources in the order of their creation: {", ".join(order)}.')


def links(path, targets):
    return ', '.join(rst.link(target, path, str(target))
                     for target in targets)


def nests(user, template):
    return any(user.nested(resource) == template.name
               for resource in user.body['resources'])


def chosen_by(template, environments):
    """The environments that put a template in the place of an alias."""
    return [path for path, environment in environments.items()
            if any(str(target).endswith(f'/{template.name}.yaml')
                   for target in
                   (environment.get('resource_registry') or {}).values())]


def parameter_facts(parameter):
    facts = {'Type': parameter['type'].replace('_', ' ')}
    if 'default' not in parameter:
        facts['Required'] = 'yes'
    elif parameter['default'] == '':
        facts['Default'] = 'empty'
    else:
        facts['Default'] = rst.literal(parameter['default'])
    facts['Allowed'] = [constraint['description'] for constraint
                        in parameter.get('constraints', [])]
    facts['Update'] = ('refused' if parameter.get('immutable')
                       else 'in place')
    return facts


def catalogue_page(note, path, templates, environments):
    parts = []
    for title, introduction, belongs in _SHELVES:
        shelved = [template for template in templates.values()
                   if belongs(template)]
        parts += [rst.heading(title, '-'), rst.paragraph(introduction)]
        if len(shelved) > 1:
            parts.append(rst.table(
                ('Template', 'What you get'),
                [(f'`{template.name}`_', first_sentence(template))
                 for template in shelved]))
        for template in shelved:
            parts += [rst.heading(template.name, '~'),
                      *about(path, template, templates, environments)]
    return rst.page(
        note,
        rst.heading('Templates', '='),
        rst.paragraph('What the library offers. Start a template as it is, '
                      'or nest it in your own as the examples do.'),
        *parts)


def first_sentence(template):
    return template.about['purpose'].partition('. ')[0].rstrip('.') + '.'


# Environments.

def environments_page(note, path, production_text):
    parts = []
    found = dict(shelf.environments())
    found.setdefault(PRODUCTION, {})
    for environment in sorted(found):
        text = (production_text if environment == PRODUCTION
                else (shelf.REPO / environment).read_text())
        body = shelf.parsed(text)
        parts += [
            rst.heading(str(environment), '-'),
            *(said_in_comment(said) for said in shelf.leading_comment(text)
              if not said.startswith(_WRITTEN)),
            rst.fields({
                'File': rst.link(environment, path, str(environment)),
                'Chooses': [f'{chosen(environment, target, path)} for '
                            f'{rst.literal(alias)}' for alias, target in
                            (body.get('resource_registry') or {}).items()],
                'Sets': ', '.join(
                    rst.literal(f'{name}: {as_yaml(value)}') for name, value in
                    (body.get('parameter_defaults') or {}).items()),
            })]
    return rst.page(
        note,
        rst.heading('Environments', '='),
        rst.paragraph(
            'What a site chooses, in files for "--environment". Several can '
            'be given, and the last one wins. Nothing else in the library '
            'has to be touched.'),
        *parts)


def chosen(environment, target, path):
    if not target.endswith('.yaml'):
        return rst.literal(target)
    template = os.path.normpath(environment.parent / target)
    return rst.link(template, path, template)


def said_in_comment(paragraph):
    """A paragraph of a comment. One that is set in is taken as it is."""
    if not paragraph.startswith(' '):
        return rst.paragraph(paragraph)
    return '::\n\n' + textwrap.indent(textwrap.dedent(paragraph), '    ')


def production(template):
    """A sample of every parameter of a template, to copy and fill in."""
    lines = [*comment(
        'For a service that people depend on. Copy it, take away the "#" '
        'before what you set, and give it together with the environment of '
        'your metric.'), '#', *comment(
        # Read by tenants, who have nothing to do with how it is written.
        f'{_WRITTEN} from {template.path}.'),
        '', 'parameter_defaults:']
    for group in template.body['parameter_groups']:
        lines += [f'  # {rst.heading(group["label"], "=")}'.replace(
            '\n', '\n  # '), *comment(group['description'], '  '), '']
        for name in group['parameters']:
            parameter = template.body['parameters'][name]
            lines += [*sample(name, parameter), '']
    return '\n'.join(lines[:-1]) + '\n'


def sample(name, parameter):
    said = [parameter['description'], *(
        constraint['description'] for constraint
        in parameter.get('constraints', []))]
    required = 'default' not in parameter
    if required:
        said.insert(0, 'Required.')
    if parameter.get('immutable'):
        said.append('An update cannot change it.')
    default = '' if required else f' {as_yaml(parameter["default"])}'
    if name not in _IN_PRODUCTION:
        return [*comment(' '.join(said), '  '), f'  # {name}:{default}']
    value, reason = _IN_PRODUCTION[name]
    if default:
        said.append(f'Without this:{default}.')
    said.append(reason)
    return [*comment(' '.join(said), '  '), f'  {name}: {as_yaml(value)}']


def as_yaml(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "''" if value == '' else str(value)


def comment(text, indent=''):
    return textwrap.wrap(' '.join(text.split()), rst.WIDTH,
                         initial_indent=f'{indent}# ',
                         subsequent_indent=f'{indent}# ',
                         break_long_words=False, break_on_hyphens=False)
