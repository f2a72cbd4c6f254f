# SPDX-License-Identifier: Apache-2.0

"""Let the pages of the documentation link as they do in the repository.

A page is read in the repository as well, where only plain links work, such as
"`<agent.rst>`__". Here a link to another page leads to that page, and one to
any other file of the repository offers it as a download. A link to nothing is
a warning, and warnings are errors.
"""

import os

from docutils import nodes
from sphinx import addnodes
from sphinx import transforms
from sphinx.util import logging

LOG = logging.getLogger(__name__)


class RepositoryLinks(transforms.SphinxTransform):
    # Before Sphinx collects the references of a page.
    default_priority = 50

    def apply(self):
        for link in list(self.document.findall(nodes.reference)):
            target = link.get('refuri', '')
            if target and ':' not in target:
                self._replace(link, target)

    def _replace(self, link, target):
        text = link.astext()
        _name, path = self.env.relfn2path(target, self.env.docname)
        page = self.env.path2doc(path)
        if page in self.env.found_docs:
            new = addnodes.pending_xref(
                '', nodes.inline(text, text), refdomain='std', reftype='doc',
                refdoc=self.env.docname, reftarget='/' + page, refwarn=True,
                # A file name gives way to the title of the page.
                refexplicit=text != target)
        elif os.path.isfile(path):
            new = addnodes.download_reference(
                '', '', nodes.literal(text, text), reftarget=target,
                refdoc=self.env.docname)
        elif os.path.isdir(path):
            new = nodes.literal(text, text)
        else:
            LOG.warning('link to nothing: %s', target, location=link)
            return
        new.source, new.line = link.source, link.line
        link.replace_self(new)


def setup(app):
    app.add_transform(RepositoryLinks)
    return {'parallel_read_safe': True}
