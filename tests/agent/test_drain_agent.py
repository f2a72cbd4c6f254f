# SPDX-License-Identifier: Apache-2.0

"""The drain agent does its job, and says so truthfully."""

import datetime
import io
import json
import pathlib
import re
import subprocess
import time
import types
import urllib.error
import uuid

import pytest

from tests.agent import conftest
from tests.agent import fake_cloud
from tools import ship_agent


def _alive(pid):
    try:
        stat = pathlib.Path('/proc/%d/stat' % pid).read_text()
    except OSError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


# Being told

@pytest.mark.parametrize('python', conftest.each_python())
def test_told_then_drains_then_signals(python, guest, cloud):
    """Without this on an image's Python its servers die with their users."""
    guest.handler('50-app', 'env')
    cloud.post(guest.message)

    guest.start(python)

    signal_ = guest.wait_for_signal()
    expected = dict(fake_cloud.contract('signal'),
                    lifecycle_action_token=guest.token,
                    reason=signal_['reason'])
    assert expected == signal_
    assert re.fullmatch('drained in [0-9]+ s', signal_['reason'])
    guest.wait_until_completed()
    log = guest.log()
    for line in ('LIFECYCLE_ACTION_TOKEN=' + guest.token,
                 'LIFECYCLE_SERVER_ID=' + guest.message['resource_id'],
                 'LIFECYCLE_NODE_ID=' + guest.message['node_id'],
                 'LIFECYCLE_RESOURCE_ID=' + guest.message['resource_id'],
                 'LIFECYCLE_TRANSITION_TYPE=termination'):
        assert ' info 50-app| %s\n' % line in log
    assert 'Traceback' not in log
    assert [] == cloud.refused


def test_literal_contract(guest, cloud):
    """Both sides are tested against the same files: ours are these."""
    guest.message = fake_cloud.contract('hook_message')
    cloud.post(guest.message)

    guest.start()

    signal_ = guest.wait_for_signal()
    expected = fake_cloud.contract('signal')
    assert expected.keys() == signal_.keys()
    assert (expected['lifecycle_action_token']
            == signal_['lifecycle_action_token'])


def test_message_that_comes_later_is_heard_at_once(guest, cloud):
    """A drain that starts late has less time than the hook promised."""
    guest.handler('50-app')
    guest.start()
    guest.wait_for_polls()
    assert [] == guest.runs()

    cloud.post(guest.message)

    guest.wait_for_signal()
    assert ['50-app'] == guest.runs()


def test_deadline_is_told_and_counts_from_the_posting(guest, cloud):
    """A handler that trusts a late deadline is cut off in its middle."""
    guest.handler('50-app', 'echo deadline=$LIFECYCLE_DEADLINE')
    guest.config['timeout'] = 100
    cloud.post(guest.message, age=40)
    before = time.time()

    guest.start()

    guest.wait_until_completed()
    after = time.time()
    deadline = int(guest.log().split('deadline=')[1].split()[0])
    # 100 s from the posting, 40 s ago, with 10 s kept back for the signal.
    assert 60 == guest.state()['last']['end']
    assert 50 == guest.state()['last']['deadline']
    assert before + 50 - 1 < deadline < after + 50


def test_little_of_a_long_timeout_is_kept_back(guest, cloud):
    """A handler that has a day would be stopped hours before its end."""
    guest.config['timeout'] = 86400
    cloud.post(guest.message)

    guest.start()

    guest.wait_until_completed()
    drain = guest.state()['last']
    assert (86400, 86400 - 15) == (drain['end'], drain['deadline'])


def test_message_arrives_as_it_is(guest, cloud):
    """What no environment can hold would keep each handler from running."""
    guest.handler('50-app', 'env')
    cloud.post(dict(guest.message, **{
        'lifecycle_note': 'one\0two\nthree', 'long': 'x' * 5000, 'n' * 64: 1,
        'n' * 65: 1, 'Upper': 1, 'a-b': 1, '1st': 1, '': 1, 'a=b': 1}))

    guest.start()

    assert 'drained' in guest.wait_for_signal()['reason']
    guest.wait_until_completed()
    found = guest.state()['last']['env']
    assert 'onetwothree' == found.pop('LIFECYCLE_NOTE')
    assert 4096 * 'x' == found.pop('LIFECYCLE_LONG')
    assert '1' == found.pop('LIFECYCLE_' + 64 * 'N')
    assert {'LIFECYCLE_ACTION_TOKEN', 'LIFECYCLE_SERVER_ID',
            'LIFECYCLE_NODE_ID', 'LIFECYCLE_RESOURCE_ID',
            'LIFECYCLE_TRANSITION_TYPE'} == set(found)


def test_server_is_named_in_capital_letters(guest, cloud):
    """IDs are compared in lower case; another writer may not know that."""
    guest.message['resource_id'] = guest.message['resource_id'].upper()
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()


@pytest.mark.parametrize('body', (
    'text', 5, None, ['list'], {}, {'resource_id': 'mine'},
    {'resource_id': 'mine', 'lifecycle_action_token': None},
    {'resource_id': 'other', 'lifecycle_action_token': 'x'},
    {'lifecycle_action_token': 'x'}), ids=str)
def test_other_messages_are_ignored(body, guest, cloud):
    """Every member reads the same queue, and tenants post to it too."""
    guest.handler('50-app')
    if isinstance(body, dict) and body.get('resource_id') == 'mine':
        body = dict(body, resource_id=guest.message['resource_id'])
    cloud.post(body)
    guest.start()
    guest.wait_for_polls()
    assert ([], []) == (guest.runs(), cloud.signals)

    cloud.post(guest.message)

    guest.wait_for_signal()
    assert ['50-app'] == guest.runs()


def test_only_the_named_member_drains(guest, neighbour, cloud):
    """Otherwise one scale-in would empty the whole cluster."""
    guest.handler('50-app')
    neighbour.handler('50-app')
    guest.start()
    neighbour.start()

    cloud.post(neighbour.message)

    assert (neighbour.token
            == neighbour.wait_for_signal()['lifecycle_action_token'])
    guest.wait_for_polls()
    assert ([], ['50-app']) == (guest.runs(), neighbour.runs())


def test_two_members_drain_at_once(guest, neighbour, cloud):
    """A scale-in by two must not take twice as long, or lose one."""
    # Each ends when both have begun.
    meet = 'touch %(root)s/$LIFECYCLE_SERVER_ID; ' \
        'until [ $(ls %(root)s | wc -l) = 2 ]; do sleep 0.05; done'
    root = guest.root / 'meeting'
    root.mkdir()
    guest.handler('50-app', meet % {'root': root})
    neighbour.handler('50-app', meet % {'root': root})
    cloud.post(guest.message)
    cloud.post(neighbour.message)

    guest.start()
    neighbour.start()

    guest.wait_for_signal(2)
    assert ({guest.token, neighbour.token}
            == {s['lifecycle_action_token'] for s in cloud.signals})


def test_message_that_comes_twice_drains_once(guest, cloud):
    """Senlin and a retry can both post; an application drains once."""
    guest.handler('50-app')
    cloud.post(guest.message)
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_signal()

    cloud.post(guest.message)
    guest.wait_for_polls()

    assert (['50-app'], 1) == (guest.runs(), len(cloud.signals))


def test_second_drain_on_the_same_page_is_not_lost(guest, cloud):
    """A scale-in that follows a rolled back one must be heard as well."""
    guest.handler('50-app')
    # Too slow for the next look at the whole queue to find it.
    guest.config['interval'] = 1
    second = dict(guest.message, lifecycle_action_token=str(uuid.uuid4()))
    cloud.post(guest.message)
    cloud.post(second)

    guest.start()

    assert (second['lifecycle_action_token']
            == guest.wait_for_signal(2)['lifecycle_action_token'])
    assert ['50-app', '50-app'] == guest.runs()


def test_told_again_while_it_drains(guest, cloud):
    """Senlin asks anew when its engine died; messages live 300 s only."""
    go_on = guest.root / 'go-on'
    guest.handler('50-app', 'until [ -e %s ]; do sleep 0.05; done' % go_on)
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_runs('50-app')
    second = dict(guest.message, lifecycle_action_token=str(uuid.uuid4()))
    cloud.post(second)
    conftest.wait_for(lambda: len(guest.state()['drains']) == 2,
                      'the second message to be seen')

    del cloud.messages[:]
    go_on.touch()

    assert [guest.token, second['lifecycle_action_token']] == [
        guest.wait_for_signal(number)['lifecycle_action_token']
        for number in (1, 2)]


def test_stale_message_does_not_drain(guest, cloud):
    """Its hook has given up: a server that is still here is to stay."""
    guest.handler('50-app')
    cloud.post(guest.message, age=61)

    guest.start()

    guest.wait_for_log('too late')
    # On Redis the first message comes again with every poll.
    guest.wait_for_polls(10)
    assert ([], []) == (guest.runs(), cloud.signals)
    assert 1 == guest.log().count('too late')


# The place in the queue

def test_page_after_page_without_pause(guest, cloud):
    """A crowded queue must not delay the one message that matters."""
    # A single pause would be longer than the test waits for the signal.
    guest.config['interval'] = 60
    guest.config['timeout'] = 3600
    pages = 12
    for _ in range(pages * cloud.largest_page):
        cloud.post({'resource_id': 'other'})
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()
    assert pages < len(cloud.polls)


def test_place_is_kept_over_a_restart(guest, cloud):
    """Reading everything again makes a restart slow on a busy queue."""
    for _ in range(3):
        last = cloud.post({'resource_id': 'other'})
    agent = guest.start()
    conftest.wait_for(lambda: guest.state_file.exists()
                      and guest.state()['marker'] == last, 'the marker')
    agent.terminate()
    agent.wait(10)
    del cloud.polls[:]

    guest.start()

    guest.wait_for_polls(1)
    assert last == cloud.polls[0]['marker']


def test_quiet_queue_costs_no_writes(guest, cloud):
    """On Redis the first message comes again with every poll."""
    cloud.post({'resource_id': 'other'})
    guest.start()
    guest.wait_for_polls()
    before = guest.state_file.stat().st_mtime_ns

    guest.wait_for_polls(40)

    assert before == guest.state_file.stat().st_mtime_ns


def test_expired_messages_do_not_make_the_agent_deaf(guest, cloud):
    """Zaqar on Redis shows nothing behind a page of expired messages.

    It happens to a guest that was paused, and without zaqar-gc it lasts.
    """
    guest.handler('50-app')
    for _ in range(3):
        cloud.post({'resource_id': 'other'})
    guest.start()
    guest.wait_for_polls()
    # More than the largest page.
    cloud.messages += [(str(uuid.uuid4()), None)] * (
        cloud.largest_page + 1)
    cloud.messages[:] = [(identity, None) for identity, _ in cloud.messages]

    cloud.post(guest.message)

    guest.wait_for_signal()
    assert ['50-app'] == guest.runs()


def test_claimed_messages_are_seen(guest, cloud):
    """Zaqar hides what a tenant's other tool has claimed, unless asked."""
    for _ in range(3):
        cloud.post({'resource_id': 'other'})

    guest.start()

    guest.wait_for_polls()
    assert 'true' == cloud.polls[-1]['include_claimed']
    assert [] == cloud.refused


def test_whole_queue_is_read_after_a_failure(guest, cloud):
    """A marker that a queue refuses would make the agent deaf for good."""
    for _ in range(3):
        cloud.post({'resource_id': 'other'})
    guest.start()
    conftest.wait_for(lambda: 'marker' in (cloud.polls or [{}])[-1],
                      'a poll with a marker')
    cloud.queue_status = 503
    guest.wait_for_log('queue: HTTP 503')
    failed = len(cloud.polls)

    guest.wait_for_polls(2)

    assert [] == [poll for poll in cloud.polls[failed:] if 'marker' in poll]


def test_smaller_pages_are_taken_as_well(guest, cloud):
    """An operator may allow fewer messages a page than Zaqar does."""
    cloud.largest_page = 10
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()
    assert ['limit' in poll for poll in cloud.polls[:2]] == [True, False]


# Trouble with the queue

def test_refusal_closes_its_connection():
    """Each refused poll would hold a socket until Python tidies up."""
    body = io.BytesIO(b'no')
    error = urllib.error.HTTPError('http://x/', 403, 'Forbidden', {}, body)

    assert 'HTTP 403' == conftest.load_agent().describe(error)

    assert body.closed


def test_servers_look_apart_and_never_late():
    """A cluster would ask at once, or a server be told after the interval."""
    module = conftest.load_agent()
    agent = types.SimpleNamespace(failures={}, config={'interval': 1})

    waits = [module.Agent.pace(agent, 'queue') for _ in range(1000)]

    assert 0.8 <= min(waits) < 0.85
    assert 0.95 < max(waits) <= 1


def test_unreachable_queue_recovers_by_itself(guest, cloud):
    """An agent that gives up, or shouts every second, is switched off."""
    guest.handler('50-app')
    cloud.queue_status = 503
    guest.start()
    guest.wait_for_polls(5)

    cloud.post(guest.message)
    cloud.queue_status = 200

    guest.wait_for_signal()
    assert 1 == guest.log().count('queue: HTTP 503')
    assert 1 == guest.log().count('queue: works again')


def test_queue_that_hangs_holds_up_no_drain(guest, cloud):
    """A drained server would be paid for, or miss its deadline."""
    go_on = guest.root / 'go-on'
    guest.handler('50-app', 'until [ -e %s ]; do sleep 0.05; done' % go_on)
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_runs('50-app')

    cloud.queue_answers.clear()
    go_on.touch()

    guest.wait_for_signal()
    cloud.queue_answers.set()


def test_queue_gets_little_time_in_a_drain(guest, monkeypatch):
    """A handler would be stopped late while the agent waits for Zaqar."""
    module = conftest.load_agent()
    agent = guest.load(module)
    seconds = []

    def fetch(url, timeout, **options):
        seconds.append(timeout)
        return '{}'
    monkeypatch.setattr(module, 'fetch', fetch)

    agent.poll()
    agent.state['drains'] = [{}]
    agent.poll()

    assert [10, 1] == seconds


@pytest.mark.parametrize('page', (
    [], 'text', b'[' * 100000, {'messages': 5},
    {'links': [{}]},
    {'messages': [], 'links': [{'rel': 'next', 'href': '/x'}]}),
    ids=lambda page: str(page)[:40])
def test_nonsense_instead_of_a_page(page, guest, cloud):
    """A proxy's error page with status 200 must not end the agent."""
    cloud.page = page
    agent = guest.start()
    guest.wait_for_log('warning queue')
    cloud.page = None

    cloud.post(guest.message)

    guest.wait_for_signal()
    assert agent.poll() is None


def test_queue_that_is_not_there_yet(guest, cloud, tmp_path):
    """Guests boot faster than a control plane that was restarted."""
    port = cloud.server_port
    cloud.shutdown()
    cloud.server_close()
    guest.start()
    guest.wait_for_log('queue: Connection refused')

    later = fake_cloud.FakeCloud(port)
    try:
        later.post(guest.message)
        conftest.wait_for(lambda: later.signals, 'the signal')
    finally:
        later.shutdown()
        later.server_close()


# Handlers

def test_handlers_run_in_name_order(guest, cloud):
    """Leave the load balancer first, then wait, then stop."""
    for name in ('20-b', '10-a', '30-c'):
        guest.handler(name)
    guest.handler('15-not-executable', mode=0o644)
    (guest.handlers / '16-folder').mkdir()
    cloud.post(guest.message)

    guest.start()

    assert 'drained' in guest.wait_for_signal()['reason']
    assert ['10-a', '20-b', '30-c'] == guest.runs()


def test_no_handler_is_said(guest, cloud):
    """A missing handler that reads as success is found by users, late."""
    cloud.post(guest.message)

    guest.start()

    assert ('no handler in %s' % guest.handlers
            == guest.wait_for_signal()['reason'])


def test_failure_is_said_and_the_others_run(guest, cloud):
    """Success logged after failure is the sin of this field."""
    guest.handler('10-bad', 'exit 3')
    guest.handler('20-crash', 'kill -9 $$')
    guest.handler('30-good')
    (guest.handlers / '40-broken').write_text('#!/no/such/shell\n')
    (guest.handlers / '40-broken').chmod(0o755)
    cloud.post(guest.message)

    guest.start()

    assert {
        'lifecycle_action_token': guest.token,
        'lifecycle_action_result': 'CONTINUE',
        'reason': '10-bad failed with exit status 3; '
                  '20-crash was killed by signal 9; '
                  '40-broken cannot be run: No such file or directory',
    } == guest.wait_for_signal()
    assert ['10-bad', '20-crash', '30-good'] == guest.runs()
    assert 'warning handler 10-bad: failed' in guest.log()
    assert '10-bad: succeeded' not in guest.log()


def test_failure_can_mean_rollback(guest, cloud):
    """Whose data counts more than a server wants to keep the server."""
    guest.config['on_failure'] = 'ROLLBACK'
    guest.handler('10-bad', 'exit 1')
    cloud.post(guest.message)

    guest.start()

    assert 'ROLLBACK' == guest.wait_for_signal()['lifecycle_action_result']


def test_output_is_logged_line_by_line_as_it_comes(guest, cloud):
    """The log is all that is left of a server that is gone."""
    guest.handler('50-app', r"printf 'one\033[1m\ntwo\377'; sleep 30")
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_log(' info 50-app| one [1m\n')
    assert [] == cloud.signals


def test_process_left_behind_does_not_hold_up_the_signal(guest, cloud):
    """A handler may start something that keeps its output open."""
    guest.handler('50-app', 'sleep 30 &')
    cloud.post(guest.message)

    guest.start()

    assert 'drained' in guest.wait_for_signal()['reason']


# One process leaves the handler's group, the others lose its environment.
_STUBBORN = '''
trap "" TERM
setsid sh -c 'echo far $$ >>%(runs)s; sleep 60' &
env -i sh -c 'echo child $$ >>%(runs)s; sleep 60' &
exec env -i sleep 60
'''


def test_overrun_is_stopped_with_all_its_processes(guest, cloud):
    """A signal that misses the timeout freezes the cluster until then."""
    guest.config['timeout'] = 6
    guest.handler('50-app', _STUBBORN % {'runs': guest.root / 'runs'})
    guest.handler('60-next')
    cloud.post(guest.message)
    guest.start()
    conftest.wait_for(lambda: len(guest.runs()) == 3, 'all its processes')
    drain = guest.drain()

    signal_ = guest.wait_for_signal()

    elapsed = time.monotonic() - drain['clock']['mono']
    assert drain['deadline'] < elapsed
    assert ('50-app was stopped at the deadline; '
            '60-next was not run: no time left' == signal_['reason'])
    assert ['50-app', 'child', 'far'] == sorted(guest.runs())
    assert not any(_alive(pid) for pid in guest.handler_pids())


def test_handler_has_time_to_clean_up(guest, cloud):
    """KILL right after TERM would leave half-written files behind."""
    cleaned = guest.root / 'cleaned'
    guest.config['timeout'] = 600
    guest.handler('50-app', 'trap "sleep 3; touch %s; exit" TERM\n'
                  'while :; do sleep 0.05; done' % cleaned)
    cloud.post(guest.message)
    agent = guest.start()
    guest.wait_for_runs('50-app')

    agent.terminate()
    agent.wait(60)

    assert cleaned.exists()


# Killed and restarted

def test_killed_during_a_handler_carries_on(guest, cloud):
    """What had finished is not run twice; what had not is run again."""
    go_on = guest.root / 'go-on'
    guest.handler('10-first')
    guest.handler('20-second', 'until [ -e %s ]; do sleep 0.05; done' % go_on)
    guest.handler('30-third')
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_runs('10-first', '20-second')

    guest.kill()
    guest.start()
    guest.wait_for_runs('10-first', '20-second', '20-second')
    orphan, successor = guest.handler_pids()[1:]
    conftest.wait_for(lambda: not _alive(orphan),
                      'the end of the handler that lost its agent')
    assert _alive(successor)
    go_on.touch()

    assert 'drained' in guest.wait_for_signal()['reason']
    assert (['10-first', '20-second', '20-second', '30-third']
            == guest.runs())


def kill_before_the_signal(guest, cloud):
    """Kill the agent after a drain; return the signal that was refused."""
    guest.handler('50-app')
    cloud.signal_status = 500
    cloud.post(guest.message)
    guest.start()
    refused = guest.wait_for_signal()
    guest.kill()
    return refused


def test_killed_before_the_signal_sends_it_after_restart(guest, cloud):
    """A drained server that never says so is waited for in vain."""
    first = kill_before_the_signal(guest, cloud)
    # As if the restart had taken long: the drain had not.
    guest.change_clock(mono=-30)
    del cloud.signals[:]
    cloud.signal_status = 200

    guest.start()

    assert first == guest.wait_for_signal()
    guest.wait_until_completed()
    assert ['50-app'] == guest.runs()


def test_late_signal_is_sent_all_the_same(guest, cloud):
    """Clocks differ: the hook may still wait when ours says it is over."""
    first = kill_before_the_signal(guest, cloud)
    guest.change_clock(mono=-1000)
    del cloud.signals[:]

    guest.start()

    guest.wait_for_log('error signal: given up')
    assert [first] == cloud.signals


def test_clock_set_back_before_a_restart(guest, cloud):
    """A handler that was given another hour would outlive its hook."""
    guest.config['timeout'] = 3
    guest.kill_in_handler('sleep 60')
    # Of an earlier boot, when the clock was an hour ahead.
    guest.change_clock(boot='another', wall=3600)

    guest.start()

    assert ('50-app was stopped at the deadline'
            == guest.wait_for_signal()['reason'])


@pytest.mark.parametrize('seconds', (3600, -3600))
def test_clock_that_is_set_changes_no_deadline(seconds, guest, cloud):
    """A time server that is late would cut the sessions, or double them."""
    go_on = guest.root / 'go-on'
    guest.kill_in_handler('until [ -e %s ]; do sleep 0.05; done' % go_on)
    guest.change_clock(wall=seconds)

    guest.start()
    guest.wait_for_runs('50-app', '50-app')
    left = guest.drain()['end'] - (
        time.monotonic() - guest.drain()['clock']['mono'])
    assert 50 < left <= 60
    go_on.touch()

    assert 'drained' in guest.wait_for_signal()['reason']


def test_rebooted_server_carries_on(guest, cloud):
    """A reboot in the middle of a drain must not look like its end."""
    guest.kill_in_handler('[ -e %s ] || sleep 60' % (guest.root / 'go-on'))
    # The monotonic clock begins anew, and the boot has taken a while.
    guest.change_clock(boot='another', mono=10 ** 6, wall=-20)
    (guest.root / 'go-on').touch()

    guest.start()

    assert guest.wait_for_signal()['reason'].startswith('drained in 2')


def test_drain_survives_its_message(guest, cloud):
    """Messages live 300 s, drains can take a day."""
    guest.kill_in_handler('[ -e %s ] || sleep 60' % (guest.root / 'go-on'))
    del cloud.messages[:]
    (guest.root / 'go-on').touch()

    guest.start()

    assert guest.token == guest.wait_for_signal()['lifecycle_action_token']


def test_completed_drain_is_not_run_after_restart(guest, cloud):
    """A replayed message must not drain a server that was kept."""
    guest.handler('50-app')
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_signal()
    guest.wait_until_completed()
    guest.kill()

    guest.start()
    guest.wait_for_polls()

    assert ['50-app'] == guest.runs()


def test_stopped_politely_takes_its_handler_along(guest, cloud):
    """A restart for an update must not leave two handlers at work."""
    guest.handler('50-app', '[ -e %s ] || sleep 60' % (guest.root / 'go-on'))
    cloud.post(guest.message)
    agent = guest.start()
    guest.wait_for_runs('50-app')

    agent.terminate()

    assert 0 == agent.wait(10)
    assert not _alive(guest.handler_pids()[0])
    assert guest.token == (
        guest.drain()['env']['LIFECYCLE_ACTION_TOKEN'])
    (guest.root / 'go-on').touch()
    guest.start()
    guest.wait_for_signal()
    assert ['50-app', '50-app'] == guest.runs()


def test_last_hundred_tokens_are_remembered(guest, cloud):
    """Old messages would drain a server again, or fill its disk."""
    tokens = [str(uuid.uuid4()) for _ in range(120)]
    guest.state_dir.mkdir()
    guest.state_file.write_text(json.dumps(dict(
        conftest.load_agent().STATE, client_id=str(uuid.uuid4()),
        completed=tokens)))
    cloud.post(dict(guest.message, lifecycle_action_token=tokens[-99]))
    cloud.post(guest.message)

    guest.start()

    guest.wait_until_completed()
    assert tokens[-99:] + [guest.token] == guest.state()['completed']
    assert 1 == len(cloud.signals)


@pytest.mark.parametrize('torn', (
    '', '\0' * 512, '{"client_id": "x", "mark', '[]', '{"drains": 5}',
    '{"client_id": 1, "marker": 2, "completed": 3, "drains": 4}'), ids=repr)
def test_torn_state_file(torn, guest, cloud):
    """A disk that was full or lost power must not end all drains."""
    guest.handler('50-app')
    guest.state_dir.mkdir()
    guest.state_file.write_text(torn)
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()
    guest.wait_until_completed()
    assert ['50-app'] == guest.runs()


def test_state_that_cannot_be_written(guest, cloud):
    """On a full disk an application can still drain."""
    guest.handler('50-app')
    guest.state_dir.mkdir()
    # Neither root nor anybody else can open a folder for writing.
    (guest.state_dir / 'state.json.new').mkdir()
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()
    assert 'error %s' % guest.state_file in guest.log()


def test_disk_that_is_full(guest, cloud):
    """What can be kept in memory is enough for a drain."""
    guest.handler('50-app')
    cloud.post(guest.message)

    # Every write to a file fails, in the agent and in its handlers.
    guest.start(shell='ulimit -f 0; trap "" XFSZ; exec "$@"')

    assert 'CONTINUE' == guest.wait_for_signal()['lifecycle_action_result']
    assert not guest.log()


def test_second_agent_gives_way(guest, cloud):
    """Two agents would run each handler twice, at the same time."""
    guest.start()
    guest.wait_for_polls()

    second = guest.start()

    assert 1 == second.wait(10)
    assert 'another agent runs' in guest.log()


def test_new_agent_starts_while_an_old_handler_lives(guest, cloud):
    """The lock dies with the agent, not with what the agent started."""
    guest.kill_in_handler('sleep 60')

    agent = guest.start()

    guest.wait_for_runs('50-app', '50-app')
    assert agent.poll() is None


# The signal

def test_heartbeats_while_a_handler_is_at_work(guest, cloud):
    """A hook with "heartbeat_timeout" would take the server for dead."""
    def heartbeats():
        return sum(signal_['lifecycle_action_result'] == 'HEARTBEAT'
                   for signal_ in cloud.signals)

    guest.config['heartbeat'] = 0.05
    guest.handler('50-app', 'until [ -e %s ]; do sleep 0.02; done'
                  % (guest.root / 'go-on'))
    cloud.post(guest.message)
    guest.start()

    guest.wait_for_signal(3)
    assert {'lifecycle_action_token': guest.token,
            'lifecycle_action_result': 'HEARTBEAT'} == cloud.signals[0]
    (guest.root / 'go-on').touch()
    guest.wait_until_completed()

    conftest.wait_for(lambda: any(
        signal_['lifecycle_action_result'] == 'CONTINUE'
        for signal_ in cloud.signals), 'the answer')
    # One may still be on its way.
    guest.wait_for_polls()
    number = heartbeats()
    guest.wait_for_polls(10)
    assert number == heartbeats()


def test_lost_heartbeats_hold_up_nothing(guest, cloud, listener):
    """A Heat that hangs would keep the handlers from their end."""
    guest.config.update(heartbeat=0.05, timeout=2, signal_url=(
        'http://%s:%d/signal' % listener.getsockname()))
    guest.handler('50-app', 'sleep 60')
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_log('was stopped at the deadline')


def test_no_heartbeat_unless_it_is_asked_for(guest, cloud):
    """Senlin's hooks would hear what they do not understand."""
    guest.handler('50-app', 'sleep 0.3')
    cloud.post(guest.message)
    guest.start()

    assert 'CONTINUE' == guest.wait_for_signal()['lifecycle_action_result']


@pytest.mark.parametrize('status', (302, 403, 500))
def test_refused_signal_is_repeated(status, guest, cloud):
    """Heat restarts too; one lost signal costs a whole timeout."""
    guest.handler('50-app')
    cloud.signal_status = status
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_signal(3)
    assert 'signal accepted' not in guest.log()

    cloud.signal_status = 200

    guest.wait_for_log('signal accepted')
    guest.wait_until_completed()
    assert 1 == guest.log().count('signal: HTTP %d' % status)
    assert 1 == guest.log().count('signal: works again')
    assert all(cloud.signals[0] == signal_ for signal_ in cloud.signals)
    assert ['50-app'] == guest.runs()


def test_signal_is_repeated_while_nobody_listens(guest, cloud):
    """A control plane that is being upgraded refuses connections."""
    guest.handler('50-app')
    closed = fake_cloud.FakeCloud()
    closed.shutdown()
    closed.server_close()
    guest.config['signal_url'] = closed.origin + cloud.signal_path
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_log('signal: Connection refused')

    later = fake_cloud.FakeCloud(closed.server_port)
    try:
        later.signal_path = cloud.signal_path
        conftest.wait_for(lambda: later.signals, 'the signal')
    finally:
        later.shutdown()
        later.server_close()
    guest.wait_until_completed()


def test_accepted_signal_is_repeated_while_the_server_lives(guest, cloud):
    """Heat says that all is well before it does anything, and may die."""
    guest.handler('50-app')
    cloud.post(guest.message)
    guest.start()
    first = guest.wait_for_signal()
    assert first == guest.wait_for_signal(2)
    guest.kill()
    del cloud.signals[:]

    guest.start()

    assert first == guest.wait_for_signal()
    assert ['50-app'] == guest.runs()
    assert 1 == guest.log().count('signal accepted')


def test_repetitions_get_rarer(guest, monkeypatch):
    """A server that stays would keep Heat busy for its whole timeout."""
    module = conftest.load_agent()
    agent = guest.load(module)
    agent.state['last'] = {'signal': {}}
    agent.settings = module.settings(agent.args.config)
    clock, said = [0], []
    monkeypatch.setattr(module, 'time', types.SimpleNamespace(
        monotonic=lambda: clock[0], sleep=lambda seconds: None,
        time=time.time, strftime=time.strftime, gmtime=time.gmtime))

    def listen():
        clock[0] += 0.01
        return 0

    def say_again(drain):
        said.append(clock[0])
        if len(said) == 5:
            raise SystemExit
    agent.listen, agent.say_again = listen, say_again

    with pytest.raises(SystemExit):
        agent.run()

    gaps = [later - earlier for earlier, later in zip(said, said[1:])]
    assert all(1.8 < later / earlier < 2.2
               for earlier, later in zip(gaps, gaps[1:]))


@pytest.mark.parametrize('left, seconds', ((-5, 1), (0.5, 1), (3, 3),
                                           (3600, 10)))
def test_signal_gets_the_time_that_is_left(left, seconds, guest, monkeypatch):
    """A Heat that hangs would hold the agent beyond the hook's timeout."""
    module = conftest.load_agent()
    asked = []
    monkeypatch.setattr(module, 'fetch', lambda url, timeout, **options:
                        asked.append(timeout))

    guest.load(module).post({}, left)

    assert [seconds] == asked


def test_repetition_ends_with_the_timeout(guest, cloud):
    """A server that stays for good would signal for good."""
    guest.config['timeout'] = 2
    cloud.post(guest.message)
    guest.start()

    guest.wait_for_log('this server is still here, though its time is over')

    number = len(cloud.signals)
    guest.wait_for_polls(30)
    assert number == len(cloud.signals)


def test_signal_ends_with_the_timeout(guest, cloud):
    """An agent that never gives up is deaf to the next drain."""
    guest.config['timeout'] = 1
    cloud.signal_status = 500
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_log('error signal: given up')
    second = dict(guest.message, lifecycle_action_token=str(uuid.uuid4()))

    cloud.post(second)

    # The trouble with it is news again.
    guest.wait_for_log('signal: HTTP 500', times=2)
    cloud.signal_status = 200
    guest.wait_for_log('signal accepted')
    assert (second['lifecycle_action_token']
            == cloud.signals[-1]['lifecycle_action_token'])


# Secrets, configuration, size

def test_secrets_stay_secret(guest, cloud):
    """Whoever has the signal URL can delete the server."""
    guest.handler('50-app', 'sleep 60')
    cloud.queue_status = 404
    agent = guest.start()
    guest.wait_for_log('queue: HTTP 404')
    cloud.queue_status = 200
    cloud.post(guest.message)
    guest.wait_for_runs('50-app')

    seen = guest.log()
    for pid in [agent.pid] + guest.handler_pids():
        for name in ('cmdline', 'environ'):
            path = pathlib.Path('/proc/%d/%s' % (pid, name))
            seen += path.read_bytes().decode('utf-8', 'replace')

    assert cloud.config['queue']['signature'] not in seen
    assert 'Signature' not in seen
    assert cloud.signal_path not in seen
    assert 0o700 == guest.state_dir.stat().st_mode & 0o777


@pytest.mark.parametrize('url', ('http://[/SECRET', 'SECRET',
                                 'http://127.0.0.1/a b SECRET\n'))
def test_mistyped_url_is_not_quoted(url, guest, cloud):
    """The messages of Python's own exceptions have the URL in them."""
    guest.config['queue'] = dict(guest.config['queue'], url=url)

    guest.start()

    guest.wait_for_log('warning queue: ')
    assert 'SECRET' not in guest.log()


@pytest.mark.parametrize('key', ('queue', 'signal_url', 'timeout'))
def test_incomplete_configuration_names_the_key(key, guest):
    """The reader of the log should not have to guess."""
    del guest.config[key]

    agent = guest.start()

    assert 1 == agent.wait(10)
    assert "agent.json is of no use: '%s'" % key in guest.log()
    assert 'Traceback' not in guest.log()


@pytest.mark.parametrize('text', ('{', '[1]', '"text"'))
def test_settings_that_cannot_be_read_are_named(text, guest):
    """Nobody would look for the error in a file that is in order."""
    (guest.root / 'agent.d').mkdir()
    (guest.root / 'agent.d/70-torn.json').write_text(text)

    assert 1 == guest.start().wait(10)
    assert 'agent.d/70-torn.json: ' in guest.log()
    assert 'Traceback' not in guest.log()


@pytest.mark.parametrize('key, value', (
    ('interval', 'often'), ('interval', -1), ('on_failure', 'ROLL BACK'),
    ('wait_ports', 80), ('wait_ports', ['http']), ('wait_ports', [0]),
    ('stop_units', 'nginx'), ('marker_file', 5), ('health', ':x'),
    ('health', ':70000'), ('metrics_file', []), ('log_format', 'xml'),
    ('drain_delay', None)), ids=str)
def test_setting_of_no_use_is_refused_at_once(key, value, guest):
    """Found at the first drain, a typing error costs a server's data."""
    guest.settings[key] = value

    assert 1 == guest.start().wait(10)
    assert "of no use: '%s'" % key in guest.log()
    assert 'Traceback' not in guest.log()


def test_log_can_be_json(guest, cloud):
    """Log shippers that parse need no rules for ours."""
    guest.handler('50-app', 'echo say \\"hello\\"')
    cloud.post(guest.message)
    guest.start(words=['--log-format', 'json'])
    guest.wait_for_signal()
    guest.wait_until_completed()

    lines = [json.loads(line) for line in guest.log().splitlines()]
    assert 'info' == lines[0]['level']
    datetime.datetime.strptime(lines[0]['time'], '%Y-%m-%dT%H:%M:%S.%fZ')
    assert '50-app| say "hello"' in [line['message'] for line in lines]


def test_log_lines_have_time_level_and_message(guest, cloud):
    """Log shippers cut lines at the first two spaces."""
    guest.handler('50-app', 'echo hello')
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_signal()
    guest.wait_until_completed()

    for line in guest.log().splitlines():
        when, level, message = line.split(' ', 2)
        datetime.datetime.strptime(when, '%Y-%m-%dT%H:%M:%S.%fZ')
        assert level in ('info', 'warning', 'error') and message


def test_agent_fits_beside_the_users_own_user_data():
    """Nova takes 64 KiB of user data, and we want a quarter at most."""
    shipped = ship_agent.SHIPPED.read_text()

    assert len(shipped) <= 16 * 1024
    assert conftest.AGENT.read_bytes() == ship_agent.unpack(shipped)


@pytest.mark.parametrize('python', conftest.each_python())
def test_compiles(python):
    """A syntax error is only seen when a server boots."""
    subprocess.run(
        [python, '-I', '-W', 'error', '-c',
         'import sys; compile(open(sys.argv[1]).read(), "agent", "exec")',
         str(conftest.AGENT)], check=True)
