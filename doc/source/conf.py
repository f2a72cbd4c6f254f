# SPDX-License-Identifier: Apache-2.0

"""How Sphinx builds the documentation; `tox -e docs` runs it."""

import configparser
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / 'doc' / 'ext'))

_metadata = configparser.ConfigParser()
_metadata.read(REPO / 'setup.cfg')

project = _metadata['metadata']['name']
release = version = _metadata['metadata']['version']
copyright = 'the authors of heat-lifecycle-hooks'

extensions = ['repository_links', 'reno.sphinxext']
root_doc = 'index'
nitpicky = True
highlight_language = 'none'

# It brings its own fonts and scripts and has a dark mode.
html_theme = 'furo'
html_title = f'{project} {release}'
html_static_path = ['_static']
html_css_files = ['pages.css']
html_copy_source = False
