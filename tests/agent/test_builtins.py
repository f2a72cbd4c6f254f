# SPDX-License-Identifier: Apache-2.0

"""What an application gets from its drain agent without writing a script."""

import json
import os
import socket
import time
import types
from urllib import error
from urllib import request

import pytest

from tests.agent import conftest


def has_ipv6():
    """Return True if this machine has the loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
    except OSError:
        return False
    return True


HAS_IPV6 = has_ipv6()
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason='there is no IPv6')


@pytest.fixture
def systemctl(guest):
    """A systemctl that notes what it is told; a test may make it fail."""
    tools = guest.root / 'tools'
    tools.mkdir()
    script = tools / 'systemctl'
    script.write_text('#!/bin/sh\necho "$*" $$ >>%s/runs\n'
                      '! [ -e %s/fails ]\n' % (guest.root, tools))
    script.chmod(0o755)
    guest.path = '%s:%s' % (tools, os.environ['PATH'])
    return tools


def calls(guest):
    return [line.rpartition(' ')[0] for line in
            (guest.root / 'runs').read_text().splitlines()]


def ask(place):
    """Status and body of a health endpoint, None if nobody answers."""
    try:
        with request.urlopen('http://%s/' % place, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except error.HTTPError as answer:
        return answer.code, answer.read().decode()
    except OSError:
        return None


def settings(guest, **changes):
    """Write settings as an application's user data does: afterwards."""
    folder = guest.root / 'agent.d'
    folder.mkdir(exist_ok=True)
    (folder / '60-later.json').write_text(json.dumps(changes))


def test_settings_that_come_later_count(guest, cloud, listener):
    """The agent is installed before the application that it drains."""
    agent = guest.start()
    guest.wait_for_polls()

    settings(guest, wait_ports=['%s:%d' % listener.getsockname()])
    guest.wait_for_log('new settings, starting again')
    with socket.create_connection(listener.getsockname()):
        cloud.post(guest.message)
        guest.wait_for_log('handler wait_ports: started')

        assert [] == cloud.signals
        assert agent.poll() is None


def test_settings_of_no_use_that_come_later_are_left(guest, cloud):
    """A typing error would make a server deaf that has listened."""
    guest.handler('50-app')
    agent = guest.start()
    guest.wait_for_polls()

    settings(guest, on_failure='ROLL BACK')
    guest.wait_for_log("error new settings are of no use: 'on_failure'")
    guest.wait_for_polls(20)
    cloud.post(guest.message)

    guest.wait_for_signal()
    assert agent.poll() is None
    assert 1 == guest.log().count('new settings')


# Connections

def test_open_connections_are_waited_for(guest, cloud, listener):
    """A server without a drain of its own would cut what is open."""
    place = '%s:%d' % listener.getsockname()
    guest.settings['wait_ports'] = [place]
    with socket.create_connection(listener.getsockname()):
        served, _ = listener.accept()
        cloud.post(guest.message)
        guest.start()
        guest.wait_for_log('handler wait_ports: started')
        guest.wait_for_polls(20)
        assert [] == cloud.signals
    # The client is gone; the server has not closed its side yet.
    guest.wait_for_polls(20)
    assert [] == cloud.signals

    served.close()

    assert 'drained' in guest.wait_for_signal()['reason']


def test_connections_of_others_are_not_waited_for(guest, cloud, listener):
    """The time of the drain would be spent on a backup or an SSH session."""
    address, port = listener.getsockname()
    guest.settings['wait_ports'] = [9, '127.0.0.1:%d' % port]
    with socket.create_connection((address, port)):
        cloud.post(guest.message)
        guest.start()

        assert 'drained' in guest.wait_for_signal()['reason']


@needs_ipv6
@pytest.mark.parametrize('written', ('[::1]:%d', '::1:%d', '%d'))
def test_ipv6(written, guest, cloud):
    """Half of the connections would be cut."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(('::1', 0))
        listener.listen()
        guest.settings['wait_ports'] = [written % listener.getsockname()[1]]
        with socket.create_connection(listener.getsockname()[:2]):
            cloud.post(guest.message)
            guest.start()
            guest.wait_for_log('handler wait_ports: started')
            guest.wait_for_polls(20)

            assert [] == cloud.signals


def test_connection_that_stays_is_said(guest, cloud, listener):
    """The reader of the event must know what was cut, or kept the server."""
    guest.config['timeout'] = 3
    guest.settings.update(on_failure='ROLLBACK',
                          wait_ports=['%s:%d' % listener.getsockname()])
    with socket.create_connection(listener.getsockname()):
        cloud.post(guest.message)
        guest.start()

        assert {
            'lifecycle_action_token': guest.token,
            'lifecycle_action_result': 'ROLLBACK',
            'reason': 'wait_ports had connections left at the deadline: 1',
        } == guest.wait_for_signal()


# Units

def test_unit_is_stopped_when_the_handlers_are_done(guest, cloud, systemctl):
    """A service that stops gracefully needs no script at all."""
    guest.settings['stop_units'] = ['nginx.service', 'app.service']
    guest.handler('50-app')
    cloud.post(guest.message)

    guest.start(PATH=guest.path)

    assert 'drained' in guest.wait_for_signal()['reason']
    guest.wait_until_completed()
    guest.wait_for_polls()
    assert ['50-app', 'stop nginx.service app.service'] == calls(guest)


def test_unit_is_started_again_when_the_server_stays(guest, cloud, systemctl):
    """A server that is kept would be in the cluster and serve nobody."""
    guest.settings.update(stop_units=['app.service'], on_failure='ROLLBACK')
    (systemctl / 'fails').touch()
    cloud.post(guest.message)

    guest.start(PATH=guest.path)

    signal = guest.wait_for_signal()
    assert 'ROLLBACK' == signal['lifecycle_action_result']
    assert 'stop_units failed with exit status 1' == signal['reason']
    conftest.wait_for(lambda: 'start app.service' in calls(guest),
                      'the start of the unit')


def test_no_unit_is_started_where_none_was_stopped(guest, cloud, systemctl):
    """Each ROLLBACK would put an error into the log, or start a unit."""
    guest.settings.update(on_failure='ROLLBACK')
    guest.handler('50-app', 'exit 1')
    cloud.post(guest.message)

    guest.start(PATH=guest.path)

    guest.wait_until_completed()
    guest.wait_for_polls()
    assert ['50-app'] == calls(guest)


def test_machine_without_systemd_is_said(guest, cloud):
    """A unit that was not stopped must not read as success."""
    guest.settings['stop_units'] = ['app.service']
    cloud.post(guest.message)

    guest.start(PATH='/nowhere')

    assert ('stop_units cannot be run: No such file or directory'
            == guest.wait_for_signal()['reason'])


# Health

def free_port():
    """Return a port that nothing listens on, of either family."""
    with socket.create_server(
            ('', 0), dualstack_ipv6=HAS_IPV6,
            family=socket.AF_INET6 if HAS_IPV6 else socket.AF_INET) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def place(guest):
    """Where the health endpoint of the guest is."""
    place = '127.0.0.1:%d' % free_port()
    guest.settings.update(health=place,
                          marker_file=str(guest.root / 'new/draining'))
    return place


def test_health_turns_before_anything_else(guest, cloud, place):
    """A load balancer would send new users to a server that goes."""
    go_on = guest.root / 'go-on'
    marker = guest.root / 'new/draining'
    guest.handler('50-app', 'ls %s; until [ -e %s ]; do sleep 0.05; done'
                  % (marker, go_on))
    guest.start()
    conftest.wait_for(lambda: ask(place) == (200, 'in service\n'),
                      'a healthy endpoint')
    assert not marker.exists()

    cloud.post(guest.message)
    guest.wait_for_log('50-app| %s' % marker)
    assert (503, 'draining\n') == ask(place)
    # Killed and started again, it is as before.
    guest.kill()
    marker.unlink()
    guest.start()
    guest.wait_for_runs('50-app', '50-app')
    assert (503, 'draining\n') == ask(place)
    assert marker.exists()

    # And it stays so until the server is gone.
    go_on.touch()
    guest.wait_until_completed()
    assert (503, 'draining\n') == ask(place)
    guest.kill()
    marker.unlink()
    guest.start()
    conftest.wait_for(lambda: ask(place), 'the endpoint')
    assert (503, 'draining\n') == ask(place)
    guest.wait_for_polls()
    assert marker.exists()


def test_server_that_stays_is_healthy_again(guest, cloud, place):
    """A server that was kept would get no work any more."""
    guest.settings['on_failure'] = 'ROLLBACK'
    guest.handler('50-app', 'exit 1')
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()
    for _start in range(2):
        conftest.wait_for(lambda: ask(place) == (200, 'in service\n'),
                          'a healthy endpoint')
        # The endpoint answers from the state, the file follows it.
        conftest.wait_for(lambda: not (guest.root / 'new/draining').exists(),
                          'the marker to go')
        guest.wait_until_completed()
        # An agent that starts anew sees it in the same way.
        guest.kill()
        guest.start()
        guest.wait_for_polls()


def test_client_that_says_nothing_holds_up_nobody(guest, cloud, place):
    """One stuck probe would make every other one fail."""
    guest.start()
    conftest.wait_for(lambda: ask(place), 'the endpoint')
    host, port = place.split(':')

    with socket.create_connection((host, int(port))):
        assert (200, 'in service\n') == ask(place)
    head = request.Request('http://%s/any/path' % place, method='HEAD')
    with request.urlopen(head, timeout=5) as answer:
        assert (200, b'') == (answer.status, answer.read())


@needs_ipv6
@pytest.mark.parametrize('written, answering', (
    ('%d', {'127.0.0.1', '[::1]'}), (':%d', {'127.0.0.1', '[::1]'}),
    ('127.0.0.1:%d', {'127.0.0.1'}), ('[::1]:%d', {'[::1]'}),
    ('::1:%d', {'[::1]'})))
def test_health_answers_over_ipv4_and_ipv6(written, answering, guest):
    """A load balancer of the other family would see a dead server."""
    port = free_port()
    guest.settings['health'] = written % port

    guest.start()

    for host in answering:
        conftest.wait_for(lambda at='%s:%d' % (host, port): ask(at),
                          'an answer at ' + host)
    # By now each address that is served is bound.
    guest.wait_for_polls()
    for host in {'127.0.0.1', '[::1]'} - answering:
        assert ask('%s:%d' % (host, port)) is None
    assert 'error' not in guest.log()


def serve_health(module, monkeypatch, place):
    """Serve the health endpoint of a loaded agent; return what it logs."""
    said = []
    monkeypatch.setattr(module, 'log', lambda *words: said.append(words))
    module.Agent.serve_health(types.SimpleNamespace(
        state={'draining': False}, config={'health': place}))
    return said


def test_health_needs_no_ipv6(monkeypatch):
    """A kernel without IPv6 would leave the load balancer without answer."""
    module = conftest.load_agent()
    monkeypatch.setattr(module, 'IF_INET6', '/nowhere')
    port = free_port()

    said = serve_health(module, monkeypatch, port)

    assert (200, 'in service\n') == ask('127.0.0.1:%d' % port)
    assert ask('[::1]:%d' % port) is None
    assert [] == said


def test_health_of_a_name_that_has_one_address_twice(monkeypatch):
    """The log would have an error where all is well.

    It is so with two lines for "localhost" in /etc/hosts.
    """
    module = conftest.load_agent()
    once = socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo',
                        lambda *args: 2 * once(*args))
    place = '127.0.0.1:%d' % free_port()

    said = serve_health(module, monkeypatch, place)

    assert (200, 'in service\n') == ask(place)
    assert [] == said


# The marker

@pytest.fixture
def rebooted(guest):
    """A guest that was rebooted in the middle of a drain."""
    guest.settings['marker_file'] = str(guest.root / 'new/draining')
    guest.kill_in_handler('sleep 60')
    guest.change_clock(boot='another')
    (guest.root / 'new/draining').unlink()
    return guest


def test_marker_comes_before_the_server_is_identified(rebooted):
    """The application would serve until the metadata service answers."""
    module = conftest.load_agent()
    marker = rebooted.root / 'new/draining'
    found = []

    def identify(*args):
        found.append(marker.exists())
        raise SystemExit
    module.identify = identify

    with pytest.raises(SystemExit):
        rebooted.load(module).run()

    assert [True] == found


def test_marker_can_be_made_before_the_application_starts(rebooted):
    """What starts the agent can wait for this, and the application for it.

    The drain itself is left to the agent.
    """
    before = rebooted.state()

    code, text = rebooted.ask('mark')

    assert 0 == code, text
    assert (rebooted.root / 'new/draining').exists()
    assert before == rebooted.state()
    assert ['50-app'] == rebooted.runs()


def test_no_marker_is_made_in_a_server_that_does_not_drain(guest):
    """A new server would never serve."""
    marker = guest.root / 'draining'
    guest.settings['marker_file'] = str(marker)
    marker.touch()

    code, text = guest.ask('mark')

    assert 0 == code, text
    assert not marker.exists()


def test_port_that_is_taken_stops_no_drain(guest, cloud, listener):
    """The load balancer notices; the sessions would not survive it."""
    guest.settings['health'] = '%s:%d' % listener.getsockname()
    cloud.post(guest.message)

    guest.start()

    guest.wait_for_signal()
    assert 'error health %s: Address already in use' % (
        guest.settings['health']) in guest.log()


def test_load_balancers_get_time_to_notice(guest, cloud, place):
    """A handler that stops serving at once cuts what is still sent to it."""
    guest.settings['drain_delay'] = 1
    guest.handler('50-app')
    cloud.post(guest.message)
    began = time.monotonic()

    guest.start()

    guest.wait_for_runs('50-app')
    assert time.monotonic() - began >= 1
    assert 'drained' in guest.wait_for_signal()['reason']
    guest.wait_until_completed()
    assert {'50-app': '', 'drain_delay': ''} == guest.state()['last']['steps']
