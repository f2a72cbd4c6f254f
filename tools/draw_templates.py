#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Draw each template of the library from its own resources.

A box is a resource, and an arrow leads from it to what needs it: Heat creates
along the arrows and deletes against them. Use `tox -e genref` to run it; with
--check it writes nothing and fails when a picture is not what it would draw.
"""

import dataclasses
import html
import itertools
import math
import pathlib
import sys
import textwrap

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from tools import generated  # noqa: E402
from tools import layout  # noqa: E402
from tools import shelf  # noqa: E402

PICTURES = pathlib.Path('doc', 'source', 'images', 'templates')

REQUIREMENT = 'templates/components/requirement'
# Of every template, and hence in no picture.
_COMMON_OUTPUTS = ('template_id', 'template_version')

_MARGIN = 28
_LEGEND_GAP = 26
_PADDING = 14
_NAME_SIZE = 14
_SMALL_SIZE = 11.5
_LINE = 16
_WRAP = 34
_BEND = 14

# Width of a character of the font, in parts of its size: narrow, wide, other.
# Fonts differ, so these are a little more than most of them need.
_NARROW = dict.fromkeys("ijl.,:;'|! ()[]ft/", 0.34)
_WIDE = dict.fromkeys('mwMWOQ@', 0.88)
_CAPITAL = 0.7
_OTHER = 0.575

# Colours on white and on black. A service is a colour, and what is ours is
# orange.
_LIGHT = {'page': '#fdfdfc', 'box': '#ffffff', 'line': '#8a94a6',
          'text': '#1d2433', 'small': '#5a6478', 'inner': '#f4f6f9',
          'hooks': '#e8730c', 'senlin': '#2f6fde', 'aodh': '#c2387a',
          'zaqar': '#168a72', 'neutron': '#7a4fd0', 'octavia': '#7a4fd0',
          'nova': '#2f6fde', 'heat': '#8a94a6', 'component': '#44546f'}
_DARK = {'page': '#12161d', 'box': '#1b212b', 'line': '#7d899c',
         'text': '#e8ecf3', 'small': '#a3aec0', 'inner': '#171c25',
         'hooks': '#f79646', 'senlin': '#6ea0f7', 'aodh': '#ec7fb0',
         'zaqar': '#4fc3a8', 'neutron': '#ae8df0', 'octavia': '#ae8df0',
         'nova': '#6ea0f7', 'heat': '#7d899c', 'component': '#a9b8d4'}
_SERVICES = [name for name in _LIGHT
             if name not in ('page', 'box', 'line', 'text', 'small', 'inner')]


def main():
    return generated.main(__doc__.splitlines()[0], draw_all, PICTURES, '.svg',
                          'Not what the templates look like')


def draw_all():
    """Every picture by its path in the repository."""
    templates = shelf.templates()
    return {str(picture_of(name)): draw(template, templates)
            for name, template in templates.items()}


def picture_of(name):
    return PICTURES / pathlib.Path(
        name.removeprefix('templates/')).with_suffix('.svg')


def draw(template, templates):
    # An example nests one template, and what is inside of it is the point.
    scene = Scene(template, templates, opens_nested=template.is_example)
    width, height, parts = scene.render()
    legend = Legend(scene.marks)
    whole = max(width, legend.width)
    return document(
        template, whole + 2 * _MARGIN,
        height + 2 * _MARGIN + legend.height,
        [group(_MARGIN + (whole - width) / 2, _MARGIN, parts),
         group(_MARGIN + (whole - legend.width) / 2,
               _MARGIN + height + _LEGEND_GAP, legend.render())])


# What is drawn.

@dataclasses.dataclass
class Node:
    """A resource as a box."""

    name: str
    kind: str
    lines: list
    service: str
    marks: set
    inner: tuple = None

    @property
    def size(self):
        texts = [text_width(self.name, _NAME_SIZE, bold=True),
                 text_width(self.kind, _SMALL_SIZE)]
        texts += [text_width(line, _SMALL_SIZE) for line in self.lines]
        width = max(120, max(texts) + 2 * _PADDING + 4)
        height = 46 + _LINE * len(self.lines) + (4 if self.lines else 0)
        if self.inner:
            width = max(width, self.inner[0] + 2 * _PADDING)
            height += self.inner[1] + _PADDING + 6
        return round(width), round(height)

    def render(self, width, height):
        parts = []
        if 'component' in self.marks:
            parts.append(rect(5, 5, width, height, 'box'))
        edge = 'box' + (' dashed' if 'alias' in self.marks else '') + (
            ' dotted' if 'condition' in self.marks else '')
        if 'opened' in self.marks:
            edge += ' inner'
        parts += [rect(0, 0, width, height, edge.strip()),
                  f'<path class="{self.service}" d="M0 8a8 8 0 0 1 8-8v'
                  f'{height}a8 8 0 0 1-8-8z"/>']
        y = 21
        parts.append(text(_PADDING + 4, y, self.name, 'name'))
        y += 17
        parts.append(text(_PADDING + 4, y, self.kind, self.service))
        y += 4
        for line in self.lines:
            y += _LINE
            parts.append(text(_PADDING + 4, y, line, 'small'))
        if self.inner:
            parts.append(group((width - self.inner[0]) / 2, y + 14,
                               self.inner[2]))
        return parts


class Scene:
    """A template, or a template inside of another."""

    def __init__(self, template, templates, opens_nested=False,
                 ground='page'):
        self.ground = ground
        self.template = template
        self.templates = templates
        self.marks = set()
        self.requirements = []
        self.nodes = {}
        for name in template.creation_order():
            if template.nested(name) == REQUIREMENT:
                self.requirements.append(name.replace('_', ' '))
            else:
                self.nodes[name] = self._node(name, opens_nested)
                self.marks |= self.nodes[name].marks

    def _node(self, name, opens_nested):
        resource = self.template.body['resources'][name]
        kind, nested = resource['type'], self.template.nested(name)
        marks = set()
        lines = []
        inner = None
        if nested:
            service = 'component'
            marks.add('opened' if opens_nested else 'component')
            kind = nested.removeprefix('templates/')
            if opens_nested:
                scene = Scene(self.templates[nested], self.templates,
                              ground='inner')
                inner = scene.render()
                self.marks |= scene.marks
        elif kind.startswith('Hooks::'):
            service = 'component'
            marks.add('alias')
        else:
            service = kind.split('::')[1].lower()
            service = service if service in _SERVICES else 'heat'
        if 'condition' in resource:
            marks.add('condition')
            lines.append(f'only if {resource["condition"]}')
        if not inner:
            lines += self._hangings('takes', self._inputs(resource))
            lines += self._hangings('gives', self._outputs(name))
        return Node(name, kind, lines, service, marks, inner)

    @staticmethod
    def _hangings(word, names):
        return textwrap.wrap(f'{word} {", ".join(names)}', _WRAP,
                             break_long_words=False,
                             subsequent_indent='') if names else []

    def _inputs(self, resource):
        """The parameters without a default that a resource uses."""
        used = set(parameters_in(resource.get('properties', {})))
        return [name for name, parameter
                in self.template.body.get('parameters', {}).items()
                if name in used and 'default' not in parameter]

    def _outputs(self, resource):
        return [name for name, output
                in self.template.body.get('outputs', {}).items()
                if name not in _COMMON_OUTPUTS
                and resource in {reference.needed for reference
                                 in shelf.references_in(output['value'])}]

    def render(self):
        """Width, height and SVG of the scene."""
        arrows = {}
        for below in self.nodes:
            ordered = self.template.only_ordered(below)
            for reference in self.template.references(below):
                if reference.needed in self.nodes:
                    self.marks.add('arrow')
                    arrow = arrows.setdefault((reference.needed, below), [])
                    if reference.needed in ordered:
                        self.marks.add('order')
                        arrow.append('')
                    elif reference.attribute:
                        arrow.append(reference.attribute)
        drawing = layout.arrange(
            {name: node.size for name, node in self.nodes.items()},
            list(arrows))
        parts = self._arrows(drawing, arrows)
        for name, node in self.nodes.items():
            box = drawing.boxes[name]
            parts.append(group(box.x, box.y,
                               node.render(box.width, box.height)))
        width, height = drawing.width + 6, drawing.height + 6
        if self.requirements:
            extra_width, extra_height, extra = self._checks()
            parts.append(group(0, height + 24, extra))
            width = max(width, extra_width)
            height += 24 + extra_height
        return width, height, parts

    def _arrows(self, drawing, arrows):
        ports = _ports(drawing)
        lines, words, routes = [], [], []
        for (above, below), attributes in arrows.items():
            path = drawing.paths[above, below]
            points = [(ports[above, path[1], 'out'],
                       drawing.boxes[above].y + drawing.boxes[above].height)]
            for helper in path[1:-1]:
                box = drawing.boxes[helper]
                points += [(box.centre, box.y),
                           (box.centre, box.y + box.height)]
            points.append((ports[below, path[-2], 'in'],
                           drawing.boxes[below].y - 1))
            routes.append(points)
            ordered = attributes == ['']
            lines.append(f'<path class="arrow{" order" if ordered else ""}" '
                         f'd="{curve(points)}"/>')
            label = ', '.join(dict.fromkeys(a for a in attributes if a))
            if label:
                words.append((points, label))
        return lines + _labels(words, routes, self.ground)

    def _checks(self):
        title = 'Refused before anything is made, unless'
        width = text_width(title, _SMALL_SIZE)
        parts = [text(0, 12, title, 'small')]
        for number, sentence in enumerate(self.requirements):
            y = 12 + 19 * (number + 1)
            parts += [f'<path class="tick" d="M3 {y - 5}l3 4 6-8"/>',
                      text(20, y, sentence, 'check')]
            width = max(width, 20 + text_width(sentence, 12.5))
        return round(width), 16 + 19 * len(self.requirements), parts


class Legend:
    """What the marks of a picture mean, in one line."""

    MEANINGS = {
        'arrow': 'created along the arrows, deleted against them',
        'component': 'template of its own',
        'opened': 'template of its own, opened',
        'alias': 'chosen by an environment',
        'condition': 'only under a condition',
        'order': 'order without a reference',
    }

    def __init__(self, marks):
        rows, x = [[]], 0
        for mark, meaning in self.MEANINGS.items():
            if mark in marks:
                step = 34 + text_width(meaning, _SMALL_SIZE) + 22
                if rows[-1] and x + step > 640:
                    rows.append([])
                    x = 0
                rows[-1].append((x, mark, meaning))
                x += step
        self._rows = [row for row in rows if row]

    @property
    def height(self):
        rows = len(self._rows)
        return rows and _LEGEND_GAP + 20 * rows

    @property
    def width(self):
        return max((x + 34 + text_width(meaning, _SMALL_SIZE)
                    for row in self._rows for x, _mark, meaning in row),
                   default=0)

    def render(self):
        return [group(x, 20 * line,
                      [*self._sign(mark), text(34, 14, meaning, 'small')])
                for line, row in enumerate(self._rows)
                for x, mark, meaning in row]

    @staticmethod
    def _sign(mark):
        if mark in ('arrow', 'order'):
            extra = ' order' if mark == 'order' else ''
            return [f'<path class="arrow{extra}" d="M0 10H24"/>']
        if mark == 'component':
            return [rect(3, 5, 20, 12, 'box', 3), rect(0, 2, 20, 12, 'box', 3)]
        edge = {'alias': 'dashed', 'condition': 'dotted', 'opened': 'inner'}
        return [rect(0, 3, 22, 13, f'box {edge[mark]}', 3)]


# Where arrows begin, end and are labelled.

def _ports(drawing):
    """Spread the ends of arrows along the edges of the boxes."""
    ports = {}
    segments = [(pair[0], pair[1], path[0], path[-1])
                for path in drawing.paths.values()
                for pair in itertools.pairwise(path)]
    for name, box in drawing.boxes.items():
        if box.is_helper:
            continue
        for side, mine, other in (('out', 0, 1), ('in', 1, 0)):
            ends = sorted({segment[other] for segment in segments
                           if segment[mine] == name},
                          key=lambda end: drawing.boxes[end].centre)
            step = min(36, (box.width - 40) / max(1, len(ends)))
            for number, end in enumerate(ends):
                shift = (number - (len(ends) - 1) / 2) * step
                ports[name, end, side] = box.centre + shift
    # Better straight than evenly spread.
    for above, below, _first, _last in segments:
        ends = [key for key in ((above, below, 'out'), (below, above, 'in'))
                if key in ports]
        places = [ports[key] for key in ends] + [
            box.centre for box in (drawing.boxes[above], drawing.boxes[below])
            if box.is_helper]
        if len(places) == 2 and abs(places[0] - places[1]) < _BEND:
            x = places[-1] if len(ends) == 1 else math.fsum(places) / 2
            ports.update(dict.fromkeys(ends, x))
    return ports


def curve(points):
    """A path that leaves and enters every point vertically."""
    (x, y), *rest = points
    path = [f'M{number(x)} {number(y)}']
    for x2, y2 in rest:
        if abs(x2 - x) < 0.5:
            path.append(f'V{number(y2)}')
        else:
            bend = (y2 - y) * 0.5
            path.append(f'C{number(x)} {number(y + bend)} {number(x2)} '
                        f'{number(y2 - bend)} {number(x2)} {number(y2)}')
        x, y = x2, y2
    return ''.join(path)


def _labels(words, routes, ground):
    """Write each attribute on its arrow, where it covers the least."""
    taken = []
    parts = []
    for points, label in words:
        width = text_width(label, _SMALL_SIZE)
        others = [place for route in routes if route != points
                  for place in _along(route)]

        def covers(area):
            return (100 * math.fsum(_overlap(area, other) for other in taken)
                    + math.fsum(_overlap(area, (x, y, x, y))
                                for x, y in others))

        # Close to where it is used, or between other rows that it passes.
        pieces = list(itertools.pairwise(points))[::-2]
        areas = [(x - width / 2 - 4, y - 9, x + width / 2 + 4, y + 9)
                 for x, y in (_bezier(*piece, part) for piece in pieces
                              for part in (0.52, 0.4, 0.64, 0.3))]
        area = min(areas, key=covers)
        taken.append(area)
        x, y = (area[0] + area[2]) / 2, (area[1] + area[3]) / 2
        parts += [rect(area[0] + 1, area[1], width + 6, 18, ground, 4),
                  text(x, y + 4, label, 'small', 'middle')]
    return parts


def _along(route):
    """Places that an arrow passes."""
    return [_bezier(start, end, step / 16)
            for start, end in itertools.pairwise(route) for step in range(17)]


def _bezier(start, end, t):
    """A place between two points of a curve, which bends as curve() does."""
    (x1, y1), (x2, y2) = start, end
    bend = (y2 - y1) * 0.5
    return tuple((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b
                 + 3 * (1 - t) * t ** 2 * c + t ** 3 * d
                 for a, b, c, d in ((x1, x1, x2, x2),
                                    (y1, y1 + bend, y2 - bend, y2)))


def _overlap(one, other):
    return (one[0] < other[2] and other[0] < one[2]
            and one[1] < other[3] and other[1] < one[3])


def parameters_in(tree):
    """Names of the parameters that part of a template reads."""
    if isinstance(tree, dict):
        name = tree.get('get_param')
        if name:
            yield name if isinstance(name, str) else name[0]
        for child in tree.values():
            yield from parameters_in(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from parameters_in(child)


# SVG.

def document(template, width, height, parts):
    title = f'Resources of {template.name} in the order of their creation'
    described = '; '.join(
        f'{name} ({resource["type"]})' for name, resource
        in ((name, template.body['resources'][name])
            for name in template.creation_order()))
    return '\n'.join([
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'width="{number(width)}" height="{number(height)}" '
        f'viewBox="0 0 {number(width)} {number(height)}">',
        f'<title>{html.escape(title)}</title>',
        f'<desc>{html.escape(described)}.</desc>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="tip" d="M0 0.5 8 4 0 7.5z"/></marker></defs>',
        f'<style>{style()}</style>',
        f'<rect class="page" width="{number(width)}" '
        f'height="{number(height)}" rx="10"/>',
        *parts,
        '</svg>']) + '\n'


def style():
    def colours(of):
        rules = [f'.page{{fill:{of["page"]}}}',
                 f'.box{{fill:{of["box"]};stroke:{of["line"]}}}',
                 f'.inner{{fill:{of["inner"]}}}',
                 f'text{{fill:{of["text"]}}}',
                 f'.small{{fill:{of["small"]}}}',
                 f'.arrow{{stroke:{of["line"]}}}',
                 f'.tip{{fill:{of["line"]}}}',
                 f'.tick{{stroke:{of["zaqar"]}}}']
        # The text of a class comes after the class "text".
        rules += [f'.{name},text.{name}{{fill:{of[name]}}}'
                  for name in _SERVICES]
        return ''.join(rules)

    return (
        'text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,'
        f'sans-serif;font-size:{_SMALL_SIZE}px}}'
        f'.name{{font-size:{_NAME_SIZE}px;font-weight:600}}'
        '.check{font-size:12.5px}'
        '.box{stroke-width:1.2}.dashed{stroke-dasharray:7 4}'
        '.dotted{stroke-dasharray:2 3}'
        '.arrow{fill:none;stroke-width:1.4;marker-end:url(#tip)}'
        '.order{stroke-dasharray:4 4}.tick{fill:none;stroke-width:2}'
        + colours(_LIGHT)
        + f'@media(prefers-color-scheme:dark){{{colours(_DARK)}}}')


def group(x, y, parts):
    return '\n'.join([f'<g transform="translate({number(x)} {number(y)})">',
                      *parts, '</g>'])


def rect(x, y, width, height, classes, radius=8):
    return (f'<rect class="{classes}" x="{number(x)}" y="{number(y)}" '
            f'width="{number(width)}" height="{number(height)}" '
            f'rx="{radius}"/>')


def text(x, y, words, classes, anchor=None):
    place = f' text-anchor="{anchor}"' if anchor else ''
    return (f'<text class="{classes}" x="{number(x)}" y="{number(y)}"{place}>'
            f'{html.escape(words, quote=False)}</text>')


def number(value):
    """A coordinate, without a tail of digits that differ by machine."""
    return f'{round(value, 1):g}'


def text_width(words, size, bold=False):
    width = math.fsum(
        _NARROW.get(c) or _WIDE.get(c)
        or (_CAPITAL if c.isupper() else _OTHER) for c in words)
    return width * size * (1.06 if bold else 1)


if __name__ == '__main__':
    sys.exit(main())
