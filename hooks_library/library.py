# SPDX-License-Identifier: Apache-2.0

"""The template library as Heat can load it from the disk of an engine.

A client sends Heat all files that a template names. Nobody sends those of a
type that Heat's own environment maps, and Heat does not look for them:
``get_file`` finds nothing, and a path is no type. So in what is installed the
contents stand where the file was named, and ``Hooks::`` types where a path
was. Only the changed places change: comments stay.
"""

import hashlib
import pathlib

import yaml

FRONT_DOOR = 'lifecycle_cluster.yaml'

# The choice of a site, and what its users can map to something else.
ALIAS = 'Hooks::ScalingAlarms'
CHOICE = 'Hooks::SiteAlarms'
ALIAS_TEMPLATE = pathlib.Path(__file__).with_name('scaling_alarms.yaml')

# Where the site's own templates are put, beside the folders of the library.
_OWN = 'site'


class LibraryError(Exception):
    """What cannot be installed; the text says why and what to do."""


class Library:
    """What is to be installed.

    :ivar files: {path below the folder of the library: text}.
    :ivar types: {resource type: path below that folder, or another type}.
    """

    def __init__(self, templates, environment=None):
        """Read the library, with the choices of a site.

        :param templates: the folder of the templates.
        :param environment: path of an environment file. Its default values
            become those of the templates, since Heat ignores the
            ``parameter_defaults`` of its own environment.
        """
        self.files = {}
        self.types = {}
        self._templates = templates.resolve()
        self._type_of = {}
        self._defaults = {}
        self._used_defaults = set()
        if not (self._templates / FRONT_DOOR).is_file():
            raise LibraryError(
                '%s has no %s: name the folder of the templates with '
                '--templates.' % (templates, FRONT_DOOR))
        paths = sorted(self._templates.glob('**/*.yaml'))
        for path in paths:
            self._name(path, path.relative_to(self._templates))
        if environment:
            self._choose(environment, paths)
        for path in paths:
            self._add(path)
        unknown = sorted(set(self._defaults) - self._used_defaults)
        if unknown:
            raise LibraryError(
                '%s sets "%s", which is a parameter of no template of the '
                'library: correct the name or remove it.'
                % (environment, unknown[0]))

    @property
    def name(self):
        """Release and contents, as the name of a folder."""
        outputs = yaml.safe_load(self.files[FRONT_DOOR])['outputs']
        digest = hashlib.sha256()
        for path in sorted(self.files):
            digest.update(repr((path, self.files[path])).encode())
        return '%s-%s' % (outputs['template_version']['value'],
                          digest.hexdigest()[:12])

    def _name(self, path, installed):
        """Give a template its type, by the name of its file."""
        resource_type = 'Hooks::' + ''.join(
            word.capitalize() for word in path.stem.split('_'))
        if resource_type in (ALIAS, CHOICE, *self.types):
            raise LibraryError(
                '%s would be %s, which is taken: give the file another name.'
                % (path, resource_type))
        self._type_of[path] = resource_type
        self.types[resource_type] = installed.as_posix()

    def _choose(self, environment, paths):
        content = _read_mapping(environment)
        foreign = set(content) - {'parameter_defaults', 'resource_registry'}
        if foreign:
            raise LibraryError(
                '%s has the section "%s": an environment of a site has '
                '"resource_registry" and "parameter_defaults" only.'
                % (environment, sorted(foreign)[0]))
        registry = content.get('resource_registry') or {}
        foreign = set(registry) - {ALIAS}
        if foreign:
            raise LibraryError(
                '%s maps "%s": a site chooses %s here and nothing else; map '
                'other types in a file of your own in environment_dir.'
                % (environment, sorted(foreign)[0], ALIAS))
        self._defaults = content.get('parameter_defaults') or {}
        if not registry:
            return
        choice = registry[ALIAS]
        if str(choice).endswith('.yaml'):
            source = self._in_library(
                (environment.parent / choice).resolve())
            if source not in self._type_of:
                self._name(source, pathlib.PurePath(_OWN, source.name))
                paths.append(source)
            choice = self._type_of[source]
        self.types[CHOICE] = choice
        self.files[ALIAS_TEMPLATE.name] = _read(ALIAS_TEMPLATE)
        self.types[ALIAS] = ALIAS_TEMPLATE.name

    def _in_library(self, path):
        """Find a template of the library in another copy of the library.

        An environment of a clone names the templates of the clone, and the
        command may have come with a package.
        """
        for known in self._type_of:
            if known.name == path.name and _read(known) == _read(path):
                return known
        return path

    def _add(self, path):
        text = _read(path)
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise LibraryError('%s is no YAML: %s.' % (
                path, ' '.join(str(error).split()))) from None
        edits = []
        for node in _mappings(root):
            edits += self._inline(path, node)
        # Those that a group makes of its members are named deeper down.
        for resource in _section(root, 'resources').values():
            for node in _mappings(resource):
                edits += self._rename(path, _items(node).get('type'))
        for name, parameter in _section(root, 'parameters').items():
            if name in self._defaults:
                self._used_defaults.add(name)
                edits.append(_set_default(text, parameter,
                                          self._defaults[name]))
        for start, end, replacement in sorted(edits, reverse=True):
            text = text[:start] + replacement + text[end:]
        self.files[self.types[self._type_of[path]]] = text

    def _inline(self, path, node):
        """Put the contents where ``get_file`` names a file."""
        named = _items(node).get('get_file')
        if named is None:
            return
        content = _read(path.parent / named.value)
        end = (node if node.flow_style else named).end_mark.index
        yield node.start_mark.index, end, _literal(content)

    def _rename(self, path, node):
        """Put a type where a resource names a template."""
        if (not isinstance(node, yaml.ScalarNode)
                or not node.value.endswith('.yaml')):
            return
        nested = (path.parent / node.value).resolve()
        if nested not in self._type_of:
            raise LibraryError(
                '%s uses %s, which is not in the library: use its types, or '
                'put everything into one file.' % (path, node.value))
        yield (node.start_mark.index, node.end_mark.index,
               self._type_of[nested])


def _read(path):
    try:
        return path.read_text(encoding='utf-8')
    except OSError as error:
        raise LibraryError('%s cannot be read (%s).'
                           % (path, error.strerror)) from None
    except UnicodeDecodeError:
        raise LibraryError('%s is no UTF-8 text.' % path) from None


def _read_mapping(path):
    try:
        content = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise LibraryError('%s is no YAML: %s.' % (
            path, ' '.join(str(error).split()))) from None
    if not isinstance(content, dict):
        raise LibraryError('%s is not a mapping.' % path)
    return content


def _items(node):
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value
            if isinstance(key, yaml.ScalarNode)}


def _section(root, name):
    return _items(_items(root).get(name))


def _mappings(node):
    """Every mapping below a node, and itself."""
    if isinstance(node, yaml.MappingNode):
        yield node
        for _key, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _set_default(text, parameter, value):
    """Where a default stands, or beside the type if there is none."""
    items = _items(parameter)
    if 'default' in items:
        start = items['default'].start_mark.index
        # A block of text ends where the next key begins.
        old = text[start:items['default'].end_mark.index].rstrip()
        return start, start + len(old), _literal(value)
    end = items['type'].end_mark.index
    separator = (', ' if parameter.flow_style
                 else '\n' + ' ' * parameter.start_mark.column)
    return end, end, '%sdefault: %s' % (separator, _literal(value))


def _literal(value):
    """A value as YAML on one line."""
    return yaml.safe_dump(value, default_style='"' * isinstance(value, str),
                          default_flow_style=True, width=float('inf')
                          ).replace('\n...\n', '').rstrip('\n')
