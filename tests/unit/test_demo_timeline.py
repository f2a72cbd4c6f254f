# SPDX-License-Identifier: Apache-2.0

"""The demo must be able to fail: a cut session, a step out of order."""

import pytest

from demo import timeline

CHAIN = ('hook_message', 'agent_told', 'handler_started', 'handler_ended',
         'signal_accepted', 'server_deleted')


def run(server='a', without=(), late=None, session_end=5.5, cut=False):
    """A run with one drain, a second a step, altered as a test wants it."""
    line = timeline.Timeline(say=lambda text: None, clock=lambda: 0)
    line.add('sessions_opened', '', at=1, sessions=1)
    line.add('alarm', '', at=2)
    for t, event in enumerate(CHAIN, 3):
        if event not in without:
            line.add(event, '', server, at=20 if event == late else t)
    line.add('session_ended', '', server, at=session_end,
             result='cut' if cut else 'finished')
    return timeline.summarize(line, with_hook=True)


def test_a_good_run_is_in_order():
    """A correct drain would fail the demo."""
    summary = run()

    assert (1, 1, 0, 1, True) == (
        summary['sessions_total'], summary['sessions_finished'],
        summary['sessions_cut'], summary['drains_completed'],
        summary['order_ok'])
    assert 1 == summary['seconds_alarm_to_message']
    assert 2 == summary['seconds_message_to_handler']
    assert 2 == summary['seconds_handler_end_to_deletion']


@pytest.mark.parametrize('event', CHAIN[:-1])
def test_a_missing_step_is_a_problem(event):
    """A server that was never told, or never answered, would go unseen."""
    assert not run(without=(event,))['order_ok']


@pytest.mark.parametrize('event', CHAIN[:-1])
def test_a_late_step_is_a_problem(event):
    """A server deleted before its drain had ended would go unseen."""
    assert not run(late=event)['order_ok']


def test_a_session_that_outlives_its_server_is_a_problem():
    """That cannot be, so the measure itself would be wrong."""
    assert not run(session_end=30)['order_ok']


def test_a_drain_without_open_sessions_proves_nothing():
    """The demo would pass on a cluster that is always idle."""
    assert not run(session_end=3)['order_ok']


def test_cut_sessions_are_counted():
    """The one figure that the demo is for."""
    assert 1 == run(cut=True)['sessions_cut']


def test_a_message_before_the_alarm_is_a_problem():
    """Something else than the alarm would have scaled the cluster."""
    line = timeline.Timeline(say=lambda text: None, clock=lambda: 0)
    line.add('hook_message', '', 'a', at=1)
    line.add('alarm', '', at=2)

    assert not timeline.summarize(line, with_hook=True)['order_ok']


def test_without_hook_no_order_is_asked_for():
    """The counter-experiment would fail for the wrong reason."""
    line = timeline.Timeline(say=lambda text: None, clock=lambda: 0)
    line.add('server_deleted', '', 'a', at=1)

    summary = timeline.summarize(line, with_hook=False)
    assert summary['order_ok']
    assert not summary['drains_completed']
