# SPDX-License-Identifier: Apache-2.0

"""Ten thousand signals that nobody of ours would send, and some that are."""

import copy
import json
import logging
import random
import uuid

import fixtures
import hypothesis
from hypothesis import strategies as st

from tests import json_values
from tests.unit import base
from tests.unit import fakes

TEMPLATE = '''
heat_template_version: wallaby
resources:
  hook:
    type: OS::Hooks::LifecycleHook
'''

TOKEN = 'lifecycle_action_token'
RESULT = 'lifecycle_action_result'

# What a token looks like that is not quite one.
DISGUISES = (
    str.upper, '{%s}'.__mod__, 'urn:uuid:%s'.__mod__, '%s\n'.__mod__,
    ' %s'.__mod__, '%s\0'.__mod__, '%s/'.__mod__, '../actions/%s'.__mod__,
    '%s?x=1'.__mod__, '%s#'.__mod__, ('-' * 9000 + '%s').__mod__,
    lambda token: token.replace('-', ''), lambda token: token[:8],
    lambda token: '%2e%2e/' + token, lambda token: [token],
    lambda token: {token: token}, lambda token: int(token[-8:], 16),
    lambda token: token.replace('a', 'а').replace('1', '１'))


class Records(logging.Handler):
    """Keeps what was logged since it was looked at last."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.kept = []

    def emit(self, record):
        self.kept.append(record)

    def take(self):
        taken, self.kept = self.kept, []
        return taken


class FuzzSignalsTest(base.ServiceTestCase):
    # Ten thousand examples on a machine that does other work too.
    patience = 1800

    def setUp(self):
        super().setUp()
        # Senlin chooses at random; here it chooses the same each time.
        numbers = random.Random(6)
        self.useFixture(fixtures.MonkeyPatch(
            'tests.unit.fakes.names.make_uuid',
            lambda: str(uuid.UUID(int=numbers.getrandbits(128), version=4))))
        self.hook = self.parse_stack(TEMPLATE)['hook']
        self.run_task(self.hook.create)
        self.senlin.guests_answer = False
        cluster = self.senlin.add_cluster(size=4)
        self.senlin.bind_hook(cluster, self.hook.FnGetRefId())
        foreign = self.senlin.add_cluster(size=1)
        self.senlin.bind_hook(foreign, self.senlin.add_hook())
        self.ours = [self.senlin.wait_for_guest(cluster, index)
                     for index in range(2)]
        over = self.senlin.wait_for_guest(cluster, 2)
        self.senlin.end(over, 'FAILED')
        self.others = [
            self.senlin.wait_for_guest(foreign), over,
            self.senlin.add_action('CLUSTER_SCALE_IN', cluster, 'INIT'),
            self.senlin.nodes_of(cluster)[0], cluster,
            self.hook.FnGetRefId(), str(uuid.UUID(int=6))]
        self.arranged = self.seen()
        self.asked = []
        self.senlin.before = lambda request: self.asked.append(request.path)
        # A log that all messages of all examples are kept in would be the
        # slowest part.
        self.records = Records()
        root = logging.getLogger()
        for logger in (logging.getLogger('heat.engine'), root):
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                self.addCleanup(logger.addHandler, handler)
            logger.addHandler(self.records)
            self.addCleanup(logger.removeHandler, self.records)
        self.records.take()

    def seen(self):
        return copy.deepcopy((self.senlin.actions, self.senlin.nodes,
                              self.senlin.clusters, self.senlin.policies,
                              self.senlin.bindings))

    def bodies(self):
        """Bodies of signals, more and less like ours."""
        tokens = st.one_of(
            st.sampled_from(self.ours), st.sampled_from(self.others),
            st.builds(lambda token, disguise: disguise(token),
                      st.sampled_from(self.ours + self.others),
                      st.sampled_from(DISGUISES)),
            json_values.values)
        results = st.one_of(
            st.sampled_from(['CONTINUE', 'ROLLBACK', 'TEST', None]),
            st.sampled_from(['continue', 'ABANDON', 'CONTINUE ', '', 0, [],
                             True, ['CONTINUE'], {'CONTINUE': 1}]),
            json_values.values)
        like_ours = json_values.objects({
            TOKEN: tokens, RESULT: results, 'reason': json_values.values})
        exact = st.fixed_dictionaries({
            TOKEN: st.sampled_from(self.ours + self.others),
            RESULT: st.sampled_from(['CONTINUE', 'ROLLBACK', 'TEST'])})
        return st.one_of(like_ours, like_ours, exact, json_values.values)

    def assertHarmless(self, body, deliver):
        """Deliver a signal, and find only what it may have done.

        :param deliver: called with the signal; returns what was said.
        """
        try:
            body = json.loads(json_values.wire(body))
        except (ValueError, RecursionError):
            # Heat's API does not get further.
            return 'unreadable'
        wanted = []
        if isinstance(body, dict) and body.get(RESULT) in (
                None, 'CONTINUE', 'ROLLBACK') and body.get(TOKEN) in self.ours:
            wanted = ['%s %s' % (
                'cancel' if body.get(RESULT) == 'ROLLBACK' else 'complete',
                body[TOKEN])]
        del self.journal[:], self.asked[:]

        said = deliver(body)

        self.assertEqual(wanted, self.journal)
        if wanted:
            (self.senlin.actions, self.senlin.nodes, self.senlin.clusters,
             self.senlin.policies, self.senlin.bindings) = copy.deepcopy(
                 self.arranged)
        elif self.seen() != self.arranged:
            self.fail('something has changed, and nobody was asked to')
        # An event holds 255 characters, and begins with a word of Heat's.
        self.assertLessEqual(len('Signal: %s' % said), 255, said)
        for path in self.asked:
            self.assertRegex(path, '^/v1/[a-z]+(/[a-z0-9-]{36}(/[a-z]+)?)?$')
        for record in self.records.take():
            text = record.getMessage()
            self.assertLess(record.levelno, logging.ERROR, text)
            self.assertIsNone(record.exc_info, text)
            self.assertTrue(text.isprintable(), text)
        return said

    def test_no_signal_but_a_valid_one_changes_anything(self):
        """A guest that was taken over would end the drains of others.

        What a handler raises becomes a traceback in the engine's log, and a
        guest could fill the disk with them.
        """
        outcomes = set()

        def deliver(body):
            try:
                return self.hook.handle_signal(body)
            except base.NoActionRequired:
                return ''

        @json_values.examples(json_values.EXAMPLES)
        @hypothesis.given(self.bodies())
        def look(body):
            said = self.assertHarmless(body, deliver) or 'nothing'
            outcomes.add(said.split()[0])
        look()

        # It was not the same nonsense all the time; "the desired capacity
        # counts that server again" comes after ROLLBACK.
        self.assertEqual(
            {'unreadable', 'nothing', 'refused:', 'TEST,', 'CONTINUE', 'the'},
            outcomes)

    def test_engine_takes_them_without_a_traceback(self):
        """Heat looks into a signal too, before the hook does and after."""
        def deliver(body):
            # Heat refuses it before it answers, and so without a trace.
            if isinstance(body, dict) and 'unset_hook' in body:
                self.assertRaises(base.InvalidBreakPointHook,
                                  self.hook._signal_check_hook, body)
                return ''
            self.hook._signal_check_action()
            self.hook._signal_check_hook(body)
            self.hook.signal(body, need_check=False)
            return ''

        more = st.one_of(self.bodies(), st.sampled_from(
            ['unset_hook', ['unset_hook'], {'unset_hook': 'pre-create'}]))

        @json_values.examples(300)
        @hypothesis.given(more)
        def look(body):
            self.assertHarmless(body, deliver)
        look()

        self.assertEqual(fakes.WAITING, self.senlin.status(self.ours[0]))
