# SPDX-License-Identifier: Apache-2.0

"""Side effects of loading the plugin."""

from heat.engine.hot import functions
from heat.engine import service

from tests.unit import base


class OnLoadTest(base.PluginTestCase):

    @staticmethod
    def patched():
        """Return what the plugin replaces in Heat."""
        group = getattr(service, 'ThreadGroup', None)
        return (functions.Yaql._parse, service.EngineService.start,
                group and group.add_thread)

    def test_every_effect_takes_place(self):
        """Drains would never end, or stacks fail for no reason."""
        self.plugin_module('on_load')

        for function in filter(None, self.patched()):
            self.assertTrue(hasattr(function, '__wrapped__'), function)

    def test_effects_take_place_once(self):
        """Each load of the plugins would add a layer, or a thread."""
        on_load = self.plugin_module('on_load')
        before = self.patched()

        for _load in range(3):
            self.assertEqual({}, on_load.resource_mapping())
        self.assertEqual(before, self.patched())
