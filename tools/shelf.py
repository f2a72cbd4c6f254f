# SPDX-License-Identifier: Apache-2.0

"""What the library has: its templates, examples and environments, read."""

import collections
import dataclasses
import functools
import pathlib

import yaml

REPO = pathlib.Path(__file__).resolve().parents[1]
FRONT_DOOR = 'templates/lifecycle_group'

# What a paragraph of a description begins with, if it is not the purpose.
_SECTIONS = {'Needs ': 'needs', 'Limitations: ': 'limitations'}


class Malformed(Exception):
    """A file does not say what the catalogue has to say about it."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """One resource needs another, whose attribute it reads or not."""

    needed: str
    attribute: str = ''


@dataclasses.dataclass(frozen=True)
class Template:
    name: str
    body: dict

    @property
    def path(self):
        return pathlib.Path(f'{self.name}.yaml')

    @property
    def is_component(self):
        return self.name.startswith('templates/components/')

    @property
    def is_example(self):
        return self.name.startswith('examples/')

    @functools.cached_property
    def about(self):
        """The parts of the description: purpose, needs and limitations."""
        return parts_of(self.body['description'], self.name)

    def nested(self, resource):
        """Name of the template that a resource is made of, if it is one."""
        kind = self.body['resources'][resource]['type']
        if not kind.endswith('.yaml'):
            return None
        path = (REPO / self.path).parent / kind
        return str(path.resolve().relative_to(REPO).with_suffix(''))

    def references(self, resource):
        """What a resource refers to, each once, in the order of writing."""
        definition = self.body['resources'][resource]
        found = list(references_in(definition.get('properties', {})))
        after = definition.get('depends_on', [])
        found += [Reference(name) for name in
                  ([after] if isinstance(after, str) else after)]
        return list(dict.fromkeys(
            reference for reference in found
            if reference.needed in self.body['resources']))

    def only_ordered(self, resource):
        """What a resource comes after without a reference to it."""
        after = self.body['resources'][resource].get('depends_on', [])
        said = {reference.needed for reference in references_in(
            self.body['resources'][resource].get('properties', {}))}
        return set([after] if isinstance(after, str) else after) - said

    def creation_order(self):
        """Every resource after all that it needs, as Heat does it."""
        waiting = {name: {r.needed for r in self.references(name)}
                   for name in self.body['resources']}
        order = []
        while waiting:
            ready = [name for name, needed in waiting.items()
                     if needed <= set(order)]
            if not ready:
                raise Malformed(f'{self.path}: resources need each other: '
                                f'{", ".join(waiting)}.')
            order += ready
            for name in ready:
                del waiting[name]
        return order


def parts_of(description, name):
    """Split a description by the words that its paragraphs begin with.

    The first paragraph is the purpose. A paragraph that begins with "Needs"
    or "Limitations:" is what it says, up to the next of them.
    """
    parts = collections.defaultdict(list)
    section = 'purpose'
    for paragraph in description.strip().splitlines():
        for word, name_of in _SECTIONS.items():
            if paragraph.startswith(word):
                section, paragraph = name_of, paragraph.removeprefix(word)
                paragraph = paragraph[:1].upper() + paragraph[1:]
        if paragraph:
            parts[section].append(paragraph)
    wanted = (('purpose',) if name.startswith('examples/')
              else ('purpose', *_SECTIONS.values()))
    missing = [part for part in wanted if part not in parts]
    if missing:
        raise Malformed(f'{name}.yaml: the description does not tell the '
                        f'{" and the ".join(missing)}; see HACKING.rst.')
    return {part: ' '.join(said) for part, said in parts.items()}


def templates():
    """Every template and example by its name, the front door first."""
    paths = [*REPO.glob('templates/**/*.yaml'), *REPO.glob('examples/*.yaml')]
    found = [Template(str(path.relative_to(REPO).with_suffix('')),
                      parsed(path.read_text()))
             for path in sorted(paths)]
    found.sort(key=lambda template: (template.is_example,
                                     template.is_component, template.name))
    return {template.name: template for template in found}


def environments():
    """Every environment by its path in the repository."""
    return {path.relative_to(REPO): parsed(path.read_text())
            for path in sorted(REPO.glob('environments/*.yaml'))}


@functools.cache
def parsed(text):
    """What a file says. It is shared, so nobody changes it."""
    return yaml.safe_load(text) or {}


def leading_comment(text):
    """The paragraphs of the comment that a file begins with, as they are."""
    lines = []
    for line in text.splitlines():
        if not line.startswith('#'):
            break
        lines.append(line[1:].removeprefix(' ').rstrip())
    return [paragraph for paragraph in '\n'.join(lines).split('\n\n')
            if paragraph]


def references_in(tree):
    if isinstance(tree, dict):
        if isinstance(tree.get('get_resource'), str):
            yield Reference(tree['get_resource'])
        attribute = tree.get('get_attr')
        if isinstance(attribute, list) and isinstance(attribute[0], str):
            yield Reference(attribute[0], str(attribute[-1]))
        for child in tree.values():
            yield from references_in(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from references_in(child)
