# SPDX-License-Identifier: Apache-2.0

from tests.unit import base


class QuoteTest(base.PluginTestCase):

    def test_length(self):
        """An event would lose its end, or a guest fill it alone."""
        quote = self.plugin_module('_signal').quote

        self.assertEqual('x' * 120, quote('x' * 120))
        self.assertEqual('x' * 117 + '...', quote('x' * 121))
