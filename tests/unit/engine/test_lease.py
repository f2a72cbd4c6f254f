# SPDX-License-Identifier: Apache-2.0

"""Distributed lock with a lease."""

import contextlib
from unittest import mock

from heat.tests import utils

from tests.unit import base

NAME = 'name-of-the-lock'


class LeaseTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.lease = self.plugin_module('_engine.lease')
        self.stack = self.parse_stack('heat_template_version: wallaby')
        self.stack.store()
        self.context = utils.dummy_context()

    def hold(self):
        return self.lease.hold(self.context, self.stack.id, NAME)

    def is_free(self):
        """Return True if another engine would acquire the lease at once."""
        with contextlib.suppress(_Waits), contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(
                self.lease.time, 'sleep', side_effect=_Waits))
            with self.hold():
                return True
        return False

    def take_over(self, dead):
        """Let a holder be silent until another one has taken over."""
        dead.__enter__()
        self.time.sleep(self.lease.LEASE_SECONDS + 1)
        heir = self.hold()
        heir.__enter__()
        return heir

    def test_is_free_after_its_holder(self):
        """The next drain would wait for a minute."""
        with self.hold():
            self.assertFalse(self.is_free())
        self.assertTrue(self.is_free())
        self.assertNotIn('lease', self.log.output)

    def test_late_holder_leaves_the_lock_of_its_heir(self):
        """Two engines would act on one answer, and a third one could."""
        slow = self.hold()
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
        slow = self.hold()
        self.take_over(slow).__exit__(None, None, None)
        with self.hold():
            slow.__exit__(None, None, None)
            self.assertFalse(self.is_free())

    def test_holder_whose_database_lost_the_answer(self):
        """It would wait for its own lease to end, for a minute."""
        create = self.lease.sync_point.SyncPoint.create

        def create_twice(context, values):
            create(context, dict(values))
            return create(context, values)
        self.patchobject(self.lease.sync_point.SyncPoint, 'create',
                         side_effect=create_twice)

        self.assertTrue(self.is_free())
        self.assertNotIn('lease', self.log.output)

    def test_lock_of_the_release_before_is_taken_over(self):
        """A rolling upgrade would stop at what an old engine has left."""
        self.lease.sync_point.SyncPoint.create(self.context, {
            **self.lease._key(NAME), 'stack_id': self.stack.id,
            'atomic_key': 0})
        self.assertFalse(self.is_free())

        self.time.sleep(self.lease.LEASE_SECONDS + 1)
        self.assertTrue(self.is_free())


class _Waits(Exception):
    """Raised in place of waiting for somebody else."""
