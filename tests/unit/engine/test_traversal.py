# SPDX-License-Identifier: Apache-2.0

"""View of a convergence traversal."""

import itertools
from unittest import mock

from tests.unit import base

NEW, OLD = 2, 1


def row(row_id, template=NEW, status='COMPLETE', action='UPDATE',
        replaces=None, replaced_by=None):
    result = mock.Mock(id=row_id, current_template_id=template, status=status,
                       action=action, replaces=replaces,
                       replaced_by=replaced_by)
    result.name = 'r%d' % row_id
    return result


class MustDrainTest(base.PluginTestCase):

    def test_table(self):
        """Sessions would be cut, or servers be taken out of service."""
        must_drain = self.plugin_module('_engine.traversal').must_drain
        for is_nested, is_unfinished in itertools.product((False, True),
                                                          repeat=2):
            stays = None if is_unfinished else False
            for sources_deleted, expected in (
                    ([True], True),
                    ([True, False], True),
                    ([False], stays),
                    ([False, False], stays),
                    ([], True if is_nested else stays)):
                self.assertIs(
                    expected,
                    must_drain(is_nested, sources_deleted, is_unfinished),
                    (is_nested, sources_deleted, is_unfinished))


class TraversalTest(base.PluginTestCase):

    # Whether it is deleted and, if not, whether it is still to be visited, if
    # the traversal visits the resource with the ID 1.
    TABLE = (
        ('not yet visited', [row(1, OLD)], False, True),
        ('being updated', [row(1, OLD, 'IN_PROGRESS')], False, True),
        ('updated', [row(1)], False, False),
        ('failed to be updated', [row(1, NEW, 'FAILED')], False, True),
        ('to be created', [row(1, action='INIT')], False, True),
        ('in no template any more', [row(3, OLD)], True, None),
        ('replaced', [row(1, OLD, replaced_by=2), row(2, replaces=1)],
         True, False),
        ('replacement is not created yet',
         [row(1, OLD, replaced_by=2), row(2, action='INIT', replaces=1)],
         True, True),
        ('replaced by another update, which has failed',
         [row(1, OLD, replaced_by=2), row(2, OLD, replaces=1)], False, True),
        ('rolled back', [row(1, replaced_by=2), row(2, OLD, replaces=1)],
         False, False),
        ('left behind, and deleted by no update',
         [row(3, NEW, 'FAILED')], False, False),
    )

    def test_table(self):
        """A guard would go too early, or wait for ever."""
        stack = mock.Mock()
        stack.t.id = NEW
        stack.convergence_dependencies = [
            mock.Mock(rsrc_id=1, is_update=True),
            mock.Mock(rsrc_id=1, is_update=False),
            mock.Mock(rsrc_id=3, is_update=False)]
        traversal = self.plugin_module('_engine.traversal').Traversal(stack)
        for what, rows, deletes, is_unfinished in self.TABLE:
            by_id = {one.id: one for one in rows}
            self.assertIs(deletes, traversal.deletes(rows[0], by_id), what)
            if is_unfinished is not None:
                self.assertIs(is_unfinished,
                              bool(traversal.unfinished(by_id)), what)
