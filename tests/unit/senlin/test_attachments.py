# SPDX-License-Identifier: Apache-2.0

"""Cache of the clusters that a hook is attached to."""

from tests.unit import base


class AttachmentsTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.attachments = self.plugin_module('senlin._attachments')
        self.attachments._attached.clear()
        self.asked = 0

    def is_attached(self, answer=True, hook='hook', cluster='cluster'):
        def fetch():
            self.asked += 1
            return answer
        return self.attachments.is_hook_attached(hook, cluster, fetch)

    def test_senlin_is_asked_once_for_many_signals(self):
        """Half of its work would be the same question."""
        for _signal in range(100):
            self.assertTrue(self.is_attached())

        self.assertEqual(1, self.asked)

    def test_yes_holds_for_a_moment(self):
        """A hook that was taken off would take signals for ever."""
        self.is_attached()
        self.time.sleep(9)
        self.assertTrue(self.is_attached(False))
        self.time.sleep(2)

        self.assertFalse(self.is_attached(False))

    def test_no_holds_for_nobody(self):
        """The hook may be put on the cluster the next moment."""
        self.assertFalse(self.is_attached(False))

        self.assertTrue(self.is_attached())

    def test_answer_is_of_one_hook_and_one_cluster(self):
        """A guest could end the drains of another's cluster."""
        self.is_attached()

        self.assertFalse(self.is_attached(False, hook='other'))
        self.assertFalse(self.is_attached(False, cluster='other'))
