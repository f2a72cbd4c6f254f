# SPDX-License-Identifier: Apache-2.0

"""Expressions of YAQL in stacks that are made at the same time."""

from concurrent import futures
import sys

from heat.engine.hot import functions

from tests.unit import base


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

        self.plugin_module('_yaql').take_turns()
        self.assertIs(parse, functions.Yaql._parse)
