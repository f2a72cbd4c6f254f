# SPDX-License-Identifier: Apache-2.0

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
        self.known = self.plugin_module('_engine.tokens')
        self.known._auths.clear()

    def shared(self, trust_id):
        context = _Context(trust_id)
        self.known.share_token(context)
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

        self.assertLessEqual(len(self.known._auths), 256)


class GuardedTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.known = self.plugin_module('_engine.tokens')
        self.known._guarded.clear()
        self.asked = 0

    def is_guarded(self, answer=True, hook='hook', cluster='cluster'):
        def ask():
            self.asked += 1
            return answer
        return self.known.is_guarded(hook, cluster, ask)

    def test_senlin_is_asked_once_for_many_signals(self):
        """Half of its work would be the same question."""
        for _signal in range(100):
            self.assertTrue(self.is_guarded())

        self.assertEqual(1, self.asked)

    def test_yes_holds_for_a_moment(self):
        """A hook that was taken off would take signals for ever."""
        self.is_guarded()
        self.time.sleep(9)
        self.assertTrue(self.is_guarded(False))
        self.time.sleep(2)

        self.assertFalse(self.is_guarded(False))

    def test_no_holds_for_nobody(self):
        """The hook may be put on the cluster the next moment."""
        self.assertFalse(self.is_guarded(False))

        self.assertTrue(self.is_guarded())

    def test_answer_is_of_one_hook_and_one_cluster(self):
        """A guest could end the drains of another's cluster."""
        self.is_guarded()

        self.assertFalse(self.is_guarded(False, hook='other'))
        self.assertFalse(self.is_guarded(False, cluster='other'))
