# SPDX-License-Identifier: Apache-2.0

"""What HAProxy is told of a load balancer, and Octavia of HAProxy."""

import pathlib
import socket
import subprocess

from octavia.common import data_models
from octavia_lib.api.drivers import data_models as provider_models
from octavia_lib.api.drivers import exceptions
import pytest

from sandbox.balancers import configuration
from sandbox.balancers import process
from sandbox.balancers import provider_driver
from sandbox.balancers import statuses

BACKEND = 'the-pool:the-listener'

# Of the load balancers that run; that of the other tests is only written.
ADDRESS = '127.0.0.1'


def member(name, **options):
    return data_models.Member(**{
        'id': name, 'ip_address': '127.77.0.20', 'protocol_port': 8080,
        'weight': 1, 'enabled': True, 'provisioning_status': 'ACTIVE',
        **options})


def monitor(**options):
    return data_models.HealthMonitor(**{
        'id': 'the-monitor', 'type': 'HTTP', 'delay': 5, 'timeout': 4,
        'fall_threshold': 3, 'rise_threshold': 2, 'http_method': 'GET',
        'url_path': '/health', 'expected_codes': '200-299', 'enabled': True,
        'provisioning_status': 'ACTIVE', **options})


def balancer(*members, health=None, pool_options=(), listener_options=(),
             **options):
    pool = data_models.Pool(**{
        'id': 'the-pool', 'protocol': 'HTTP', 'lb_algorithm': 'ROUND_ROBIN',
        'enabled': True, 'members': list(members), 'health_monitor': health,
        'provisioning_status': 'ACTIVE', **dict(pool_options)})
    listener = data_models.Listener(**{
        'id': 'the-listener', 'protocol': 'HTTP', 'protocol_port': 80,
        'connection_limit': -1, 'enabled': True, 'default_pool': pool,
        'timeout_client_data': 50000, 'timeout_member_connect': 5000,
        'timeout_member_data': 50000, 'provisioning_status': 'ACTIVE',
        **dict(listener_options)})
    return data_models.LoadBalancer(**{
        'id': 'the-balancer', 'enabled': True, 'listeners': [listener],
        'pools': [pool], 'vip': data_models.Vip(ip_address='127.77.0.10'),
        'provisioning_status': 'ACTIVE', **options})


def render(*args, **kwargs):
    return configuration.render(balancer(*args, **kwargs), '/run/socket',
                                '/a folder/states')


def lines(text):
    return [line.strip() for line in text.splitlines()]


def test_folder_with_a_space_is_one_word():
    """In such a clone HAProxy would refuse every configuration."""
    assert 'server-state-file "/a folder/states"' in lines(render())


def test_listener_has_its_address_and_sends_to_its_pool():
    """Clients would find nobody, or somebody else."""
    text = render(member('one', weight=7), health=monitor(),
                  listener_options={'connection_limit': 100})

    assert {'frontend the-listener', 'bind 127.77.0.10:80', 'maxconn 100',
            'default_backend ' + BACKEND, 'backend ' + BACKEND,
            'server one 127.77.0.20:8080 weight 7 check inter 5s fall 3 rise 2'
            } <= set(lines(text))


@pytest.mark.parametrize('health,expected', [
    (monitor(), ['timeout check 4s', 'option httpchk',
                 'http-check send meth GET uri /health',
                 'http-check expect status 200-299']),
    (monitor(http_version=1.1, domain_name='example',
             expected_codes='200, 204'),
     ['timeout check 4s', 'option httpchk',
      'http-check send meth GET uri /health ver HTTP/1.1 hdr Host example',
      'http-check expect status 200,204']),
    (monitor(type='TCP'), ['timeout check 4s']),
    (monitor(enabled=False), []),
    (monitor(provisioning_status='PENDING_DELETE'), []),
    (None, []),
])
def test_health_is_checked_as_the_monitor_says(health, expected):
    """A server that drains would go on getting clients."""
    text = render(member('one'), health=health)

    assert expected == [line for line in lines(text)
                        if 'check' in line or 'httpchk' in line
                        if not line.startswith('server ')]
    [server] = [line for line in lines(text) if line.startswith('server ')]
    assert bool(expected) == (' check ' in server)


@pytest.mark.parametrize('options,words', [
    ({'enabled': False}, 'disabled'), ({'backup': True}, 'backup'),
    ({'monitor_address': '127.77.0.21', 'monitor_port': 9},
     'addr 127.77.0.21 port 9')])
def test_options_of_a_member_are_kept(options, words):
    """Octavia would promise what HAProxy does not do."""
    text = render(member('one', **options), health=monitor())

    [server] = [line for line in lines(text) if line.startswith('server ')]
    assert server.endswith(words)


@pytest.mark.parametrize('options', [
    {'enabled': False}, {'provisioning_status': 'PENDING_DELETE'}])
def test_listener_that_is_off_is_not_served(options):
    """A port that was closed would stay open."""
    assert render(member('one'), listener_options=options) is None


def test_member_that_is_deleted_is_left_out():
    """Its address may be another server's by now."""
    text = render(member('one', provisioning_status='PENDING_DELETE'),
                  member('two'))

    assert 'server two' in text
    assert 'server one' not in text


def test_configuration_is_known_by_its_content():
    """Octavia would say ACTIVE while the old configuration is served."""
    one, two = render(member('one')), render(member('two'))

    assert configuration.described(one) == configuration.described(
        render(member('one')))
    assert configuration.described(one) != configuration.described(two)


@pytest.mark.parametrize('persistence', [
    None, data_models.SessionPersistence(type='SOURCE_IP'),
    data_models.SessionPersistence(type='HTTP_COOKIE'),
    data_models.SessionPersistence(type='APP_COOKIE', cookie_name='id')])
@pytest.mark.parametrize('protocol', ['HTTP', 'TCP'])
def test_haproxy_takes_what_it_is_told(tmp_path, persistence, protocol):
    """A reload would fail, and the load balancer end in ERROR."""
    if not process.program():
        pytest.skip('HAProxy is not installed.')
    if protocol == 'TCP' and 'COOKIE' in getattr(persistence, 'type', ''):
        pytest.skip('Octavia refuses it.')
    config = tmp_path / 'haproxy.cfg'
    config.write_text(configuration.render(
        balancer(member('one', backup=True), member('two', enabled=False),
                 health=monitor(http_version=1.1, domain_name='x'),
                 pool_options={'session_persistence': persistence,
                               'protocol': protocol},
                 listener_options={
                     'protocol': protocol,
                     'insert_headers': {} if protocol == 'TCP' else {
                         name: 'true' for name in configuration.HEADERS}}),
        tmp_path / 'socket', tmp_path / 'states'))
    (tmp_path / 'states').write_text(process.NO_STATES)

    check = subprocess.run([process.program(), '-c', '-f', config],
                           capture_output=True, text=True, check=False)

    assert 0 == check.returncode, check.stderr
    assert 'WARNING' not in check.stderr


STAT = """# pxname,svname,qcur,status,
the-listener,FRONTEND,,OPEN,
the-pool:the-listener,one,0,%s,
the-pool:the-listener,two,0,%s,
the-pool:the-listener,BACKEND,0,UP,
"""


@pytest.mark.parametrize('one,two,members,pool', [
    ('UP', 'UP', ('ONLINE', 'ONLINE'), 'ONLINE'),
    ('UP 1/3', 'DOWN 1/2', ('ONLINE', 'ERROR'), 'DEGRADED'),
    ('DOWN', 'DOWN', ('ERROR', 'ERROR'), 'ERROR'),
    ('no check', 'no check', ('NO_MONITOR', 'NO_MONITOR'), 'ONLINE'),
    ('MAINT', 'DRAIN', ('OFFLINE', 'DRAINING'), 'ONLINE'),
])
def test_octavia_is_told_what_haproxy_sees(one, two, members, pool):
    """Who looks at Octavia would not see that a server drains."""
    report = statuses.operating(balancer(member('one'), member('two')),
                                statuses.parse(STAT % (one, two)))

    assert list(members) == [entry['operating_status']
                             for entry in report['members']]
    assert [pool, pool] == [report[kind][0]['operating_status']
                            for kind in ('pools', 'loadbalancers')]


def test_member_that_haproxy_does_not_have_is_offline():
    """Octavia would keep what it was told before."""
    report = statuses.operating(balancer(member('one')), {})

    assert [{'id': 'one', 'operating_status': 'OFFLINE'}] == report['members']


def test_only_what_was_pending_changes():
    """An object in ERROR would become ACTIVE with its neighbour's change."""
    report = statuses.provisioning(balancer(
        member('new', provisioning_status='PENDING_CREATE'),
        member('old', provisioning_status='PENDING_DELETE'),
        member('bad', provisioning_status='ERROR'),
        provisioning_status='PENDING_UPDATE'))

    assert [{'id': 'new', 'provisioning_status': 'ACTIVE'},
            {'id': 'old', 'provisioning_status': 'DELETED'}
            ] == report['members']
    assert ['ACTIVE'] == [entry['provisioning_status']
                          for entry in report['loadbalancers']]


def test_everything_below_goes_with_the_load_balancer():
    """Pools and quotas would be left behind by a deletion that cascades."""
    report = statuses.provisioning(balancer(
        member('one'), health=monitor(),
        provisioning_status='PENDING_DELETE'))

    kinds = ('members', 'healthmonitors', 'pools', 'listeners',
             'loadbalancers')
    assert dict.fromkeys(kinds, ['DELETED']) == {
        kind: [entry['provisioning_status'] for entry in entries]
        for kind, entries in report.items()}


def test_change_that_haproxy_refuses_is_an_error():
    """Octavia would call it served, or wait for ever."""
    report = statuses.provisioning(
        balancer(provisioning_status='PENDING_UPDATE'), failed=True)

    assert ['ERROR'] == [entry['provisioning_status']
                         for entry in report['loadbalancers']]


@pytest.mark.parametrize('ask,message', [
    (lambda driver: driver.pool_create(provider_models.Pool(
        protocol='UDP', lb_algorithm='ROUND_ROBIN')), 'protocol UDP'),
    (lambda driver: driver.health_monitor_create(
        provider_models.HealthMonitor(type='PING')), 'type PING'),
    (lambda driver: driver.listener_create(provider_models.Listener(
        protocol='HTTP', insert_headers={'X-SSL-Client-DN': 'true'})),
     'header X-SSL-Client-DN'),
])
def test_what_is_not_done_is_refused(ask, message):
    """A template that works on a cloud would seem to work here."""
    with pytest.raises(exceptions.UnsupportedOptionError, match=message):
        ask(provider_driver.HaproxyDriver())


def test_missing_haproxy_is_told(monkeypatch):
    """A load balancer would end in ERROR, with the reason in a log."""
    monkeypatch.setattr(process, 'program', lambda: None)

    with pytest.raises(exceptions.DriverError, match='install the Debian'):
        provider_driver.HaproxyDriver().loadbalancer_create(
            provider_models.LoadBalancer())


@pytest.fixture
def haproxy(tmp_path):
    if not process.program():
        pytest.skip('HAProxy is not installed.')
    haproxy = process.Haproxy(tmp_path, pathlib.Path(tmp_path, 'socket'))
    yield haproxy
    haproxy.remove()


@pytest.fixture
def unused_port():
    with socket.create_server((ADDRESS, 0)) as probe:
        return probe.getsockname()[1]


def served(haproxy, *members, port):
    return configuration.render(
        balancer(*members, health=monitor(type='TCP'),
                 listener_options={'protocol_port': port},
                 vip=data_models.Vip(ip_address=ADDRESS)),
        haproxy.control, haproxy.states)


def test_refused_configuration_leaves_the_old_one(haproxy, unused_port):
    """One wrong member would take the whole service down."""
    haproxy.apply(served(haproxy, member('one'), port=unused_port))

    for _attempt in range(2):
        with pytest.raises(process.Failed, match='HAProxy refuses'):
            haproxy.apply('nonsense')

    assert haproxy.running()
    assert 'one' in haproxy.ask('show stat')


def test_reload_keeps_what_is_known_of_servers(haproxy, unused_port):
    """A server that drains would get clients again with every change."""
    with socket.create_server((ADDRESS, 0)) as application:
        one = member('one', ip_address=ADDRESS,
                     protocol_port=application.getsockname()[1])
        haproxy.apply(served(haproxy, one, port=unused_port))
        # As it was seen by checks that ended with the old worker; the new
        # one needs two good ones, five seconds apart.
        haproxy.ask('disable health %s/one' % BACKEND)
        haproxy.ask('set server %s/one health down' % BACKEND)

        haproxy.apply(served(haproxy, one, member('two'), port=unused_port))

        servers = statuses.parse(haproxy.ask('show stat'))
    assert servers[(BACKEND, 'one')].startswith('DOWN')
    assert (BACKEND, 'two') in servers
