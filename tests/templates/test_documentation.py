# SPDX-License-Identifier: Apache-2.0

"""What is made of the library for its readers says what the library is."""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from xml.etree import ElementTree

from heat.common import config as heat_config
from oslo_config import cfg
import pytest
import yaml

from tests.templates import library
from tests.unit import base
from tools import catalogue
from tools import draw_templates
from tools import generated
from tools import layout
from tools import render_promises
from tools import shelf
from tools import suite_results

SVG = '{http://www.w3.org/2000/svg}'
PAGES = sorted({*base.REPO.glob('*.rst'), *base.REPO.glob('*/README.rst'),
                *base.REPO.glob('doc/source/**/*.rst')})


def _template(path):
    return shelf.templates()[library.name(path.with_suffix(''))]


def _drawn(text):
    picture = ElementTree.fromstring(text)
    words = [element.text for element in picture.iter(f'{SVG}text')]
    arrows = [element for element in picture.iter(f'{SVG}path')
              if 'arrow' in element.get('class')]
    return words, arrows


@library.each('path', library.TEMPLATES)
def test_description_tells_needs_and_limitations(path):
    """Who picks a part learns what it asks for before it fails.

    They are in the template itself, so that `openstack stack template show`
    has them as well as the catalogue.
    """
    about = _template(path).about

    assert ['limitations', 'needs', 'purpose'] == sorted(about)
    for said in about.values():
        assert said.endswith('.'), said


@pytest.mark.parametrize('description,missing', [
    ('A part.\n\nLimitations: none known.\n', 'needs'),
    ('A part.\n\nNeeds Heat.\n', 'limitations'),
    # Hidden in the middle of a paragraph nobody finds them.
    ('A part. Needs Heat.\nLimitations: none known.\n', 'needs'),
])
def test_missing_part_of_a_description_is_told(description, missing):
    """The author of a template learns which sentence is not there."""
    with pytest.raises(shelf.Malformed, match=f'not tell the {missing}'):
        shelf.parts_of(description, 'templates/components/part')


def test_pictures_are_up_to_date():
    """A picture never shows a resource that has gone."""
    assert [] == generated.stale(draw_templates.draw_all(),
                                 draw_templates.PICTURES, '.svg')


def test_same_template_gives_the_same_picture():
    """A check in CI does not fail on a machine that orders sets otherwise."""
    program = ('from tools import draw_templates\n'
               'print(sorted(draw_templates.draw_all().items()))')

    first, second = (
        subprocess.run([sys.executable, '-c', program], cwd=base.REPO,
                       env=dict(os.environ, PYTHONHASHSEED=seed),
                       capture_output=True, check=True).stdout
        for seed in ('1', '2'))

    assert first == second


@library.each('path', library.TEMPLATES)
def test_picture_has_every_resource_and_reference(path):
    """What is not in the picture is not understood."""
    template = _template(path)
    words, arrows = _drawn(draw_templates.draw(template, shelf.templates()))
    checks = {name for name in template.body['resources']
              if template.nested(name) == draw_templates.REQUIREMENT}
    resources = set(template.body['resources']) - checks
    references = {(reference.needed, name) for name in resources
                  for reference in template.references(name)
                  if reference.needed in resources}

    assert resources | {name.replace('_', ' ') for name in checks} <= set(
        words)
    # The legend has one or two of its own.
    assert len(references) == len(
        [arrow for arrow in arrows if 'M0 10H24' != arrow.get('d')])


def test_arrows_lead_down_and_boxes_keep_apart():
    """The order of creation can be read from top to bottom."""
    sizes = {name: (100 + 10 * i, 50) for i, name in enumerate('abcdefgh')}
    arrows = [('a', 'b'), ('a', 'h'), ('b', 'c'), ('b', 'd'), ('c', 'e'),
              ('d', 'e'), ('e', 'h'), ('f', 'e'), ('a', 'e')]
    drawing = layout.arrange(sizes, arrows)

    for above, below in arrows:
        assert (drawing.boxes[above].y + drawing.boxes[above].height
                < drawing.boxes[below].y)
    for one, other in itertools.combinations(drawing.boxes.values(), 2):
        assert (one.row != other.row or one.x + one.width <= other.x
                or other.x + other.width <= one.x), (one, other)


def test_stale_missing_and_left_over_files_are_told(tmp_path, monkeypatch):
    """Nothing that is generated can be forgotten in a commit."""
    monkeypatch.setattr(generated, 'REPO', tmp_path)
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name in ('fresh', 'stale', 'left_over'):
        (folder / f'{name}.svg').write_text(name)
    files = {'pictures/fresh.svg': 'fresh', 'pictures/stale.svg': 'new',
             'pictures/missing.svg': 'new'}

    assert (['pictures/left_over.svg', 'pictures/missing.svg',
             'pictures/stale.svg']
            == generated.stale(files, 'pictures', '.svg'))


@pytest.mark.parametrize('arguments,status', [([], 0), (['--check'], 1)])
def test_check_writes_nothing(tmp_path, monkeypatch, arguments, status):
    """CI does not mend what it is asked to judge."""
    monkeypatch.setattr(generated, 'REPO', tmp_path)
    monkeypatch.setattr(sys, 'argv', ['program', *arguments])

    result = generated.main('Purpose.', lambda: {'new.svg': 'x'}, '.', '.svg',
                            'Not what it should be')

    assert (tmp_path / 'new.svg').exists() == (status == 0)
    assert bool(result) == bool(status)


def test_production_sample_offers_every_parameter():
    """Who takes away the "#" has an environment, with the usual values."""
    template = shelf.templates()[shelf.FRONT_DOOR]
    text = (base.REPO / catalogue.PRODUCTION).read_text()
    names = '|'.join(template.body['parameters'])
    filled_in = re.sub(rf'^  # ({names}):', r'  \1:', text, flags=re.M)

    sample = yaml.safe_load(filled_in)['parameter_defaults']

    assert sorted(template.body['parameters']) == sorted(sample)
    for name, parameter in template.body['parameters'].items():
        if name not in yaml.safe_load(text)['parameter_defaults']:
            assert parameter.get('default') == sample[name]


@library.each('path', PAGES)
def test_every_link_of_a_page_leads_somewhere(path):
    """Who reads in the repository gets to what is promised.

    Sphinx looks at the pages of the site, and only there.
    """
    targets = re.findall(r'`[^`<]*<([^`>]+)>`__', path.read_text())
    targets += re.findall(r'^\.\. (?:image|literalinclude):: (\S+)',
                          path.read_text(), flags=re.M)

    bad = [target for target in targets
           if not re.match('[a-z]+:', target)
           and not (path.parent / target).exists()]

    assert [] == bad


def test_readme_has_the_figures_that_were_measured():
    """A benchmark that finds something else would leave the promise as is."""
    readme = ' '.join((base.REPO / 'README.rst').read_text().split())
    figures = base.REPO / 'doc/source/benchmark_figures'

    for line in ('2024.1', '2026.2'):
        rows = json.loads((figures / f'{line}.json').read_text())
        for _how, sessions, _finished, cut in rows['sessions_cut']:
            assert f'{cut} of {sessions} ' in readme


def test_documented_environments_of_tox_exist():
    """Who types what a page says would hear "unknown environment"."""
    known = set(re.findall(r'^\[testenv:([\w]+)',
                           (base.REPO / 'tox.ini').read_text(), re.M))
    named = {name for page in PAGES
             for names in re.findall(r'tox(?: exec)? -e\s+([\w.,-]+\w)',
                                     page.read_text())
             for name in names.split(',')} - {'NAME'}

    assert named
    # A release line may follow.
    assert set() == {re.sub(r'-20\d\d\.\d$', '', name)
                     for name in named} - known


def test_documented_plugin_folders_are_those_of_heat_and_ours():
    """A plugin in a folder that is left out would be gone after that."""
    page = (base.REPO / 'doc/source/operate.rst').read_text()
    [block] = re.findall(r'^    \[DEFAULT\]\n    plugin_dirs =\n'
                         r'(?: {8}.*\n)+', page, re.M)
    [option] = [option for option in heat_config.engine_opts
                if option.name == 'plugin_dirs']
    conf = cfg.ConfigOpts()
    conf.register_opt(option)
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        file.write(textwrap.dedent(block))
        file.flush()
        conf([], default_config_files=[file.name], default_config_dirs=[])

    *others, ours = conf.plugin_dirs

    assert option.default == others
    assert ours.endswith('/site-packages/heat_plugins')


def test_settings_that_other_pages_send_to_the_agent_exist():
    """An unknown setting ends the agent when it starts."""
    described = set(re.findall(
        r'^``(\w+)``$', (base.REPO / 'doc/source/agent.rst').read_text(),
        re.M))

    named = {name for page in PAGES for name in re.findall(
        r'``(\w+)`` in `<agent\.rst>`__', page.read_text())}

    assert named
    assert set() == named - described


@library.each('path', library.ENVIRONMENTS)
def test_environment_is_for_tenants(path):
    """A tenant has neither this repository's tools nor a reason for them."""
    assert 'tox' not in path.read_text()


def test_every_statement_about_security_has_its_test():
    """A promise that nobody checks any more would go on being made."""
    promises = [promise for promise in suite_results.promises()
                if promise.section == 'Security']

    assert promises
    assert all(render_promises.lines_of(test) for promise in promises
               for test in promise.tests)
