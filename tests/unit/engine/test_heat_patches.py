# SPDX-License-Identifier: Apache-2.0

"""Patches of Heat: their effect, and whether Heat still needs them."""

from concurrent import futures
import sys
import threading
import unittest

from heat.engine.hot import functions
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


class YaqlTest(base.PluginTestCase):

    def test_threads_do_not_mix_their_expressions(self):
        """A stack would fail for no reason, or a group scale the other way."""
        # The plugin is loaded by that.
        self.plugin_class('OS::Hooks::AutoScalingGroup')
        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1e-5)

        def evaluate(number):
            low, high = number % 3, 1 + number % 2
            return functions.Yaql(None, 'yaql', {
                'expression': '$.data.low < $.data.high and %d = %d'
                              % (number, number),
                'data': {'low': low, 'high': high}}).result() == (low < high)
        with futures.ThreadPoolExecutor(6) as pool:
            self.assertTrue(all(pool.map(evaluate, range(300))))

    def test_second_load_patches_nothing(self):
        """The next expression would wait for ever."""
        self.plugin_class('OS::Hooks::AutoScalingGroup')
        parse = functions.Yaql._parse
        self.addCleanup(setattr, functions.Yaql, '_parse', parse)

        self.plugin_module(
            '_engine.heat_patches').serialize_yaql_parser()
        self.assertIs(parse, functions.Yaql._parse)
