# SPDX-License-Identifier: Apache-2.0

"""The lock that engines share, and whose lease ends."""

import contextlib
from unittest import mock

from heat.tests import utils

from tests.unit import base

NAME = 'name-of-the-lock'


class ClaimTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.claims = self.plugin_module('_engine.lease')
        self.stack = self.parse_stack('heat_template_version: wallaby')
        self.stack.store()
        self.context = utils.dummy_context()

    def claim(self):
        return self.claims.claim(self.context, self.stack.id, NAME)

    def is_free(self):
        """Whether another engine would get it at once."""
        with contextlib.suppress(_Waits), contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(
                self.claims.time, 'sleep', side_effect=_Waits))
            with self.claim():
                return True
        return False

    def take_over(self, dead):
        """Let a holder be silent until another one has taken over."""
        dead.__enter__()
        self.time.sleep(self.claims.LEASE + 1)
        heir = self.claim()
        heir.__enter__()
        return heir

    def test_is_free_after_its_holder(self):
        """The next drain would wait for a minute."""
        with self.claim():
            self.assertFalse(self.is_free())
        self.assertTrue(self.is_free())
        self.assertNotIn('lease', self.log.output)

    def test_late_holder_leaves_the_lock_of_its_heir(self):
        """Two engines would act on one answer, and a third one could."""
        slow = self.claim()
        heir = self.take_over(slow)

        slow.__exit__(None, None, None)
        self.assertFalse(self.is_free())
        self.assertIn('lease "%s" of stack %s ended after 60 seconds, before '
                      'its holder was done.' % (NAME, self.stack.id),
                      self.log.output)

        heir.__exit__(None, None, None)
        self.assertTrue(self.is_free())

    def test_late_holder_leaves_the_lock_of_whoever_came_after_its_heir(self):
        """The row is a new one then, and looks like its own."""
        slow = self.claim()
        self.take_over(slow).__exit__(None, None, None)
        with self.claim():
            slow.__exit__(None, None, None)
            self.assertFalse(self.is_free())

    def test_holder_whose_database_lost_the_answer(self):
        """It would wait for its own lease to end, for a minute."""
        create = self.claims.sync_point.SyncPoint.create

        def create_twice(context, values):
            create(context, dict(values))
            return create(context, values)
        self.patchobject(self.claims.sync_point.SyncPoint, 'create',
                         side_effect=create_twice)

        self.assertTrue(self.is_free())
        self.assertNotIn('lease', self.log.output)

    def test_lock_of_the_release_before_is_taken_over(self):
        """A rolling upgrade would stop at what an old engine has left."""
        self.claims.sync_point.SyncPoint.create(self.context, {
            **self.claims._key(NAME), 'stack_id': self.stack.id,
            'atomic_key': 0})
        self.assertFalse(self.is_free())

        self.time.sleep(self.claims.LEASE + 1)
        self.assertTrue(self.is_free())


class _Waits(Exception):
    """Raised in place of waiting for somebody else."""
