# SPDX-License-Identifier: Apache-2.0

"""Who looks at the clock for drains that nobody waits for."""

import json
import subprocess
import sys
import types
from unittest import mock

from heat.common import exception
import oslo_messaging

from tests.unit import base

GROUP = {'stack': {'tenant': 't', 'stack_id': 's', 'stack_name': 'n',
                   'path': ''}, 'name': 'group'}


class Hook:
    """A hook with drains, of which one may be over."""

    def __init__(self, *drains, outcome=None):
        self._drains = drains
        self._outcome = outcome
        self.left = []

    def drains(self):
        return dict(enumerate(self._drains))

    def outcome(self, _drain):
        return self._outcome

    def leave(self, drain):
        self.left.append(drain)


def drain(group=GROUP, is_posted=True, age=60):
    return types.SimpleNamespace(group=group, is_posted=is_posted, age=age)


class _End(BaseException):
    """Ends the loop of a thread that has none."""


class TickerTest(base.PluginTestCase):

    def setUp(self):
        super().setUp()
        self.ticker = self.plugin_module('native._wakeups')
        self.now = 0
        self.hooks = mock.Mock(return_value=[])
        self.patchobject(self.ticker._drains.Hook, 'of_groups',
                         new=self.hooks)
        client = self.patchobject(self.ticker.rpc_client, 'EngineClient')
        self.signal = client.return_value.resource_signal
        self.patchobject(self.ticker, 'time', new=mock.Mock(
            monotonic=lambda: self.now))
        self.patchobject(self.ticker._news, 'wait', new=self._wait)
        self.addCleanup(self.ticker._news.clear)
        self.patchobject(self.ticker, '_told', new={})
        self.actions = ['CREATE']
        self.rows = self.patchobject(
            self.ticker.resource_objects.Resource, 'get_all_active_by_stack',
            side_effect=lambda *_args: dict(enumerate(
                types.SimpleNamespace(name=name, action=action)
                for name, actions in (('other', ['CREATE']),
                                      ('group', self.actions))
                for action in actions)))

    def _wait(self, seconds):
        self.now += seconds
        if self.now > self.end:
            raise _End

    def told(self):
        """Names of the groups that were told, in that order."""
        return [call.args[2] for call in self.signal.call_args_list]

    def run_for(self, seconds):
        self.end = self.now + seconds
        self.assertRaises(_End, self.ticker._run)

    def test_group_is_told_of_what_is_over(self):
        """A server would outlive its timeout, and its answer."""
        self.hooks.return_value = [Hook(drain(), outcome='over')]

        self.run_for(2)
        self.assertEqual(['group'], self.told())

    def test_nobody_is_told_of_what_goes_on(self):
        """Every group would be woken once a second."""
        self.hooks.return_value = [Hook(drain()),
                                   Hook(drain(group=None), outcome='over')]

        self.run_for(60)
        self.assertEqual([], self.told())

    def test_message_that_is_not_posted_is_remembered(self):
        """An engine that died before the post would leave a silent drain."""
        self.hooks.return_value = [Hook(drain(is_posted=False))]

        self.run_for(2)
        self.assertEqual(['group'], self.told())

    def test_answer_that_comes_at_once_is_told_at_once(self):
        """Nobody is told of it in the seconds after the group was told."""
        hook = Hook(outcome='over')
        hook.drains = mock.Mock(side_effect=[
            {0: drain(is_posted=False, age=0.1)}, {0: drain(age=0.8)}])
        self.hooks.return_value = [hook]
        times = []
        self.signal.side_effect = lambda *_args: times.append(self.now)

        self.run_for(2)
        self.assertEqual([2], times)

    def test_answer_after_a_removal_is_told_at_once(self):
        """Who lets go just after another would go two seconds later."""
        hook = Hook(outcome='over')
        # One is over, goes, and the next one is over.
        hook.drains = mock.Mock(side_effect=[
            {0: drain()}, {}, {1: drain()}, {}])
        self.hooks.return_value = [hook]
        times = []
        self.signal.side_effect = lambda *_args: times.append(self.now)
        self.patchobject(self.ticker, '_PERIOD', new=0.5)

        self.run_for(2)
        self.assertEqual([0.5, 1.5], times)

    def test_group_that_is_busy_is_told_again(self):
        """What it has not heard would be lost."""
        self.hooks.return_value = [Hook(drain(), drain(), outcome='over')]

        self.run_for(5)
        self.assertEqual(3, len(self.told()))

    def test_group_that_was_busy_is_told_as_soon_as_it_is_free(self):
        """Who drains in no time would go after two seconds."""
        self.patchobject(self.ticker, '_start')
        self.hooks.return_value = [Hook(drain(), outcome='over')]
        times = []
        self.signal.side_effect = lambda *_args: (
            times.append(self.now), times[1:] or self.ticker.is_free(
                GROUP['stack']['stack_id'], GROUP['name']))
        self.patchobject(self.ticker, '_PERIOD', new=0.5)

        self.run_for(3)
        self.assertEqual([0.5, 1, 3], times)

    def test_group_that_has_gone_is_told_no_more(self):
        """Each engine would ring at an empty house for ever."""
        hook = Hook(drain(), drain(), outcome='over')
        self.hooks.return_value = [hook]
        self.signal.side_effect = exception.EntityNotFound(entity='Stack',
                                                           name='n')

        self.run_for(2)
        self.assertEqual(2, len(hook.left))

    def test_group_that_cannot_listen_now_is_told_again(self):
        """A guest's answer would be refused while its stack is deleted."""
        hook = Hook(drain(), outcome='over')
        self.hooks.return_value = [hook]
        self.signal.side_effect = [
            exception.NotSupported(feature='Signal during DELETE'),
            oslo_messaging.MessagingTimeout(), None, None]

        self.run_for(15)
        self.assertEqual([], hook.left)
        # After one, four and eight seconds, and then every second one.
        self.assertEqual(4, len(self.told()))

    def test_group_that_takes_no_signal_gets_none(self):
        """Heat would store an event for each, until all others are gone."""
        self.hooks.return_value = [Hook(drain(), outcome='over')]
        for self.actions in (['SUSPEND'], ['DELETE']):
            self.run_for(100)
            self.assertEqual([], self.told())
        # One query in half a minute.
        self.assertTrue(6 <= self.rows.call_count <= 8, self.rows.call_count)
        self.rows.assert_called_with(mock.ANY, 's')

        # Of a group that was replaced the old one is still being deleted.
        self.actions = ['DELETE', 'CREATE']
        self.run_for(31)
        self.assertTrue(self.told())

    def test_group_without_a_row_is_told(self):
        """Heat knows best whether it has gone."""
        self.hooks.return_value = [Hook(drain(), outcome='over')]
        self.actions = []

        self.run_for(2)
        self.assertEqual(['group'], self.told())

    def test_group_that_refuses_is_told_ever_more_rarely(self):
        """Hundreds of engines would fill a log, and the events of a stack."""
        self.hooks.return_value = [Hook(drain(), outcome='over')]
        times = []

        def refuse(*_args):
            times.append(self.now)
            raise exception.NotSupported(feature='Signal')
        self.signal.side_effect = refuse
        self.run_for(3000)
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        self.assertEqual([4, 8, 16, 32, 64, 128, 256, 300, 300], gaps[:9])

        # And as soon as ever once it takes one.
        self.signal.side_effect = lambda *_args: times.append(self.now)
        del times[:]
        self.run_for(310)
        self.assertEqual(2, times[2] - times[1])

    def test_outage_ends_no_thread(self):
        """After the first one nobody would look at the clock."""
        self.hooks.side_effect = [base.HeatError('no database'),
                                  [Hook(drain(), outcome='over')]]

        self.run_for(3)
        self.assertEqual(['group'], self.told())

    def test_drains_of_a_dead_engine_are_found(self):
        """Each would look at what it has begun itself, only."""
        self.run_for(100)
        scans = self.hooks.call_count
        self.assertTrue(3 <= scans <= 5, scans)

        # And at once at what has just begun here.
        self.ticker._news.set()
        self.run_for(2)
        self.assertFalse(self.ticker._news.is_set())

    def test_one_more_load_starts_no_other_ticker(self):
        """Each load of the plugins would add a layer to Heat's start."""
        start = self.ticker.service.EngineService.start

        self.ticker.arm()
        self.assertIs(start, self.ticker.service.EngineService.start)


def test_ticker_runs_in_the_worker_and_not_in_the_launcher(tmp_path):
    """A worker would inherit the connections and locks of its launcher."""
    run = subprocess.run(
        [sys.executable, '-m', 'tests.unit.forking_engine', str(tmp_path)],
        cwd=base.REPO, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    threads = dict(json.loads(line) for line in run.stdout.splitlines()
                   if line.startswith('['))

    assert 'drain-ticker' not in threads['launcher']
    assert 1 == threads['worker'].count('drain-ticker')
