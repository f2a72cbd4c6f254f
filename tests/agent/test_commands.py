# SPDX-License-Identifier: Apache-2.0

"""What the drain agent shows to people and to programs."""

import json
import os
import re
import signal
import time

import pytest

from tests.agent import conftest


def status(guest):
    code, text = guest.ask('status', '--format', 'json')
    return code, json.loads(text)


@pytest.fixture
def draining(guest, cloud):
    """A guest in the middle of a drain."""
    guest.settings.update(wait_ports=[9], metrics_file=str(
        guest.root / 'drain_agent.prom'))
    guest.handler('50-app', 'until [ -e %s ]; do sleep 0.05; done'
                  % (guest.root / 'go-on'))
    cloud.post(guest.message)
    guest.start()
    guest.wait_for_runs('50-app')
    return guest


# status

def test_status_of_an_agent_that_listens(guest):
    """Whoever logs in wants to know whether this server will be told."""
    agent = guest.start()
    guest.wait_for_polls()

    code, text = guest.ask('status')

    assert 0 == code, text
    rows = dict(line.split(None, 1) for line in text.splitlines()
                if ' since ' not in line and ' poll ' not in line)
    assert '%s, from the configuration' % guest.config['server_id'] == (
        rows['Server'])
    assert 'works' == rows['Queue']
    assert 'none' == rows['Drain']
    assert re.search('^Last poll    [0-9]+ s ago$', text, re.M), text
    assert 'Listening    since 2' in text
    code, found = status(guest)
    assert (0, agent.pid, True) == (code, found['pid'], found['listens'])


def test_status_of_a_drain(draining):
    """Whoever waits for a server wants to know for what it waits."""
    code, text = draining.ask('status')

    assert 0 == code, text
    assert 'Drain        %s, ' % draining.token[:8] in text
    assert ' s left, at 50-app' in text
    assert 'Connections  0' in text
    # The whole token is not for everybody who can log in.
    assert draining.token not in text
    assert draining.token not in (draining.run_dir
                                  / 'status.json').read_text()

    (draining.root / 'go-on').touch()
    draining.wait_for_signal()
    draining.wait_until_completed()
    conftest.wait_for(lambda: not status(draining)[1]['drain'],
                      'the end of the drain')
    text = draining.ask('status')[1]
    assert 'Drain        over, the server is about to go' in text
    assert 'Last result  CONTINUE, drained in ' in text


def test_status_of_an_agent_that_is_deaf(guest, cloud):
    """An agent that runs and hears nothing looks like one that works."""
    guest.start()
    guest.wait_for_polls()
    cloud.queue_status = 404
    guest.wait_for_log('queue: HTTP 404')

    code, text = guest.ask('status')

    assert 1 == code
    assert 'Queue        HTTP 404' in text
    assert False is status(guest)[1]['listens']


def test_status_of_an_agent_that_hangs(guest):
    """Nobody would look at a server whose agent says that all is well."""
    agent = guest.start()
    guest.wait_for_polls()
    agent.send_signal(signal.SIGSTOP)
    path = guest.run_dir / 'status.json'

    for seconds, listens in ((30, True), (90, False)):
        then = time.time() - seconds
        os.utime(path, (then, then))

        code, found = status(guest)

        assert (not listens, listens) == (bool(code), found['listens'])


def test_status_without_an_agent(guest):
    """A file that a dead agent has left must not read as good news."""
    assert (1, 'No drain agent runs here: No such file or directory.\n'
            ) == guest.ask('status')
    guest.start()
    guest.wait_for_polls()
    guest.kill()

    code, text = guest.ask('status')

    assert 1 == code
    assert text.startswith('No drain agent runs here')


# check

def test_check_of_what_works(guest, cloud):
    """An image or a template is tried without draining anything."""
    guest.handler('50-app')
    guest.settings['wait_ports'] = [9]
    cloud.post(guest.message)

    code, text = guest.ask('check')

    assert 0 == code, text
    assert [['ok', 'configuration'], ['ok', 'server'], ['ok', 'queue'],
            ['ok', 'signal'], ['ok', 'handlers']] == [
        line.split()[:2] for line in text.splitlines()]
    assert '50-app, wait_ports' in text
    [signal] = cloud.signals
    assert 'TEST' == signal['lifecycle_action_result']
    assert 'lifecycle_action_token' not in signal
    assert [] == guest.runs()
    assert not guest.state_dir.exists()


@pytest.mark.parametrize('spoil, said', (
    (lambda guest, cloud: setattr(cloud, 'queue_status', 403),
     'failed  queue          HTTP 403'),
    (lambda guest, cloud: setattr(cloud, 'signal_status', 403),
     'failed  signal         HTTP 403'),
    (lambda guest, cloud: (guest.handlers / '50-app').unlink(),
     'failed  handlers       no handler in '),
    (lambda guest, cloud: guest.config.pop('signal_url'),
     "agent.json is of no use: 'signal_url'"),
    (lambda guest, cloud: guest.settings.update(health='x'),
     "agent.json is of no use: 'health'")), ids=range(5))
def test_check_of_what_does_not(spoil, said, guest, cloud):
    """The pipeline that builds an image goes by the exit status."""
    guest.handler('50-app')
    spoil(guest, cloud)

    code, text = guest.ask('check')

    assert 1 == code
    assert said in text
    assert 'Traceback' not in text
    for secret in (cloud.config['queue']['signature'], 'Signature='):
        assert secret not in text


def test_check_beside_an_agent_at_work(draining, cloud):
    """Somebody who has a look must not disturb the drain."""
    before = draining.state()

    code, text = draining.ask('check')

    assert 0 == code, text
    assert before['drains'][0]['env'] == draining.drain()['env']
    (draining.root / 'go-on').touch()
    assert draining.token in [
        draining.wait_for_signal(number).get('lifecycle_action_token')
        for number in (1, 2)]


# Metrics

def test_metrics_for_prometheus(draining, cloud):
    """A fleet of agents is watched by a monitoring system or by nobody."""
    path = draining.root / 'drain_agent.prom'

    def metrics():
        return dict(line.rsplit(' ', 1) for line in
                    path.read_text().splitlines() if line[0] != '#')

    first = metrics()
    assert '1' == first['drain_agent_draining']
    assert '0' == first['drain_agent_connections']
    assert '0' == first['drain_agent_drains_total{result="CONTINUE"}']
    assert '0' == first['drain_agent_poll_failures_total']

    (draining.root / 'go-on').touch()
    draining.wait_for_signal()
    conftest.wait_for(lambda: '1' == metrics()[
        'drain_agent_drains_total{result="CONTINUE"}'], 'the drain to count')
    last = metrics()
    assert (float(first['drain_agent_polls_total'])
            < float(last['drain_agent_polls_total']))
    assert float(last['drain_agent_last_poll_timestamp_seconds']) > 1e9
    names = {line.split()[2] for line in path.read_text().splitlines()
             if line.startswith('# TYPE')}
    assert {name.partition('{')[0] for name in last} == names
