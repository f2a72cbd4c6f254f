# SPDX-License-Identifier: Apache-2.0

"""What of Heat itself is patched, and whether that is still needed."""

import threading
import unittest

from heat.engine import service

from tests.unit import base

# Heat 22 to 24 have a thread group of oslo.service's.
ThreadGroup = getattr(service, 'ThreadGroup', None)


class ManySignalsTest(base.PluginTestCase):

    def test_stack_takes_more_signals_than_a_group_holds_threads(self):
        """After 1,000 signals a stack was deaf, and could not be deleted."""
        manager = service.ThreadGroupManager()
        for _number in range(1001):
            thread = manager.start('stack', int)
            (thread.join if ThreadGroup else thread.wait)()
        self.assertLess(len(manager.groups['stack'].threads), 3)


@unittest.skipUnless(ThreadGroup, 'this Heat forgets finished threads itself')
class FinishedThreadsTest(base.PluginTestCase):

    def setUp(self):
        super().setUp()
        self.plugin_module('_engine.heat_patches').prune_finished_threads()
        self.group = ThreadGroup()

    def test_patch_is_still_needed(self):
        """It would stay for ever; Heat may have been mended meanwhile."""
        for _number in range(self.group.max_threads):
            ThreadGroup.add_thread.__wrapped__(self.group, int).join()
        error = self.assertRaises(
            RuntimeError, ThreadGroup.add_thread.__wrapped__, self.group, int)
        self.assertIn('Maximum number of threads', str(error))

    def test_threads_at_work_are_kept(self):
        """An engine that stops would not wait for them."""
        done = threading.Event()
        self.addCleanup(done.set)
        busy = ThreadGroup.add_thread(self.group, done.wait)
        idle = threading.Thread(target=int)
        self.group.threads.append(idle)

        ThreadGroup.add_thread(self.group, int).join()
        ThreadGroup.add_thread(self.group, int).join()
        self.assertEqual([busy, idle], self.group.threads[:2])
        self.assertEqual(3, len(self.group.threads))

    def test_second_load_patches_nothing(self):
        """Each load of the plugins would add a layer."""
        patched = ThreadGroup.add_thread
        self.plugin_module('_engine.heat_patches').prune_finished_threads()
        self.assertIs(patched, ThreadGroup.add_thread)
