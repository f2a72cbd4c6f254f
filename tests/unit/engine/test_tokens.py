# SPDX-License-Identifier: Apache-2.0

"""Cache of Keystone tokens."""

from unittest import mock

from tests.unit import base


class _Context:
    """What matters here of the context that comes with a signal."""

    def __init__(self, trust_id):
        self.trust_id = trust_id
        self.own = object()
        self.keystone_session = mock.Mock(auth=self.own)


class TokenTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.tokens = self.plugin_module('_engine.tokens')
        self.tokens._auth_plugins.clear()

    def shared(self, trust_id):
        context = _Context(trust_id)
        self.tokens.reuse_auth_plugin(context)
        return context

    def test_signals_of_one_stack_share_a_token(self):
        """A hundred guests would have a hundred tokens made and checked."""
        first, second = self.shared('trust'), self.shared('trust')

        self.assertIs(first.own, first.keystone_session.auth)
        self.assertIs(first.own, second.keystone_session.auth)

    def test_stacks_share_no_token(self):
        """A signal would act for the owner of another stack."""
        self.shared('trust')

        # Those without a trust act for whoever has asked.
        for trust_id in ('other', None, None):
            context = self.shared(trust_id)
            self.assertIs(context.own, context.keystone_session.auth)

    def test_memory_has_a_bound(self):
        """An engine of months would remember every stack of the site."""
        for number in range(1000):
            self.shared(str(number))

        self.assertLessEqual(len(self.tokens._auth_plugins), 256)
