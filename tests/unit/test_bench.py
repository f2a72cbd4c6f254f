# SPDX-License-Identifier: Apache-2.0

"""The benchmark must not flatter: its arithmetic, and how it reads logs."""

import contextlib
import re
import types

import pytest

from bench import __main__ as bench
from bench import context
from bench import figures
from bench import growth
from bench import logs
from bench import render
from bench import summary
from sandbox import cloud

NOVA = (
    '2026-11-27 15:23:51.735 616 INFO nova.osapi_compute.wsgi.server '
    '[None req-1 user project - - default default] 127.0.0.1 "%s '
    '/v2.1/servers/%s HTTP/1.1" status: 204 len: 401 time: 0.25\x1b[00m')
SENLIN = (
    '2026-11-27 15:22:53.156 618 INFO eventlet.wsgi.server [-] 127.0.0.1 - - '
    '[27/Nov/2026 15:22:53] "POST /v1/clusters/c/actions HTTP/1.1" 202 580 '
    '0.020554')
ZAQAR = (
    '2026-11-27 15:30:31.%03d 49 INFO wsgi [None req-4 - - - - - -] 127.0.0.1 '
    '- - [27/Nov/2026:15:30:31 +0000] "%s /v2/queues/%s HTTP/1.1" 200 668 "-" '
    '"%s"')
AGENT = 'Python-urllib/3.11'
SERVER = '0f0c0a1e-1111-4222-8333-944455556666'


@pytest.mark.parametrize('percent,expected', [
    (50, 10), (95, 19), (99, 20), (100, 20), (0, 1)])
def test_a_percentile_is_a_sample(percent, expected):
    """A figure between two samples would be one that nobody has seen."""
    samples = list(range(20, 0, -1))

    assert expected == figures.percentile(samples, percent)


def test_a_percentile_of_few_samples_is_the_worst():
    """Too few drains would look better than many."""
    assert 3 == figures.p95([1, 3, 2])


def test_no_sample_is_no_figure():
    """A measurement that saw nothing would report a perfect zero."""
    with pytest.raises(ValueError):
        figures.percentile([], 95)


@pytest.mark.parametrize('idle,idle_seconds,expected', [
    (0, 10, 10), (5, 10, 9), (0, 0, 10), (100, 10, 0)])
def test_what_is_asked_anyhow_costs_no_member(idle, idle_seconds, expected):
    """The idle cloud's requests would be blamed on the drains."""
    assert expected == figures.per_member(100, idle, 20, idle_seconds, 10)


def test_growth_is_measured_against_what_cannot_be_saved():
    """A long drain or a slow Senlin would look like a slow hook."""
    assert 1.25 == figures.growth_ratio(20, slowest_drain=10, deletion=6)


def test_a_goal_at_its_limit_is_met():
    """Rounding would turn a figure as printed into a miss."""
    assert figures.goal('x', 1.0004, 1.0)['met']
    assert not figures.goal('x', 1.001, 1.0)['met']


def test_nova_was_asked_before_it_answered():
    """The time that Nova takes would count as ours."""
    lines = [NOVA % ('GET', SERVER), NOVA % ('DELETE', SERVER),
             NOVA.replace(':51.', ':59.') % ('DELETE', SERVER)]
    requests = logs.requests(lines)

    [(server, asked)] = logs.deletions(requests).items()

    assert SERVER == server
    assert requests[1].answered - 0.25 == asked


def test_nova_behind_another_server_is_read():
    """The server in front knows no duration, so Nova would seem slow."""
    own = NOVA.replace(' HTTP/1.1"', '"') % ('DELETE', SERVER)
    front = ZAQAR.replace('/v2/queues/%s', '/v2.1/servers/%s') % (
        1, 'DELETE', SERVER, 'openstacksdk')
    requests = logs.requests([own, front])

    [(server, asked)] = logs.deletions(requests).items()

    assert SERVER == server
    assert requests[0].answered - 0.25 == asked


def test_polls_of_agents_are_told_from_what_a_drain_asks():
    """Requests a member would grow with the size of the cluster."""
    count = logs.count(logs.requests([
        SENLIN,
        ZAQAR % (1, 'GET', 'q/messages?echo=true', AGENT),
        ZAQAR % (2, 'GET', 'q/messages?echo=true', 'zaqarclient'),
        ZAQAR % (3, 'POST', 'q/messages', 'zaqarclient'),
        ZAQAR % (4, 'POST', 'q/messages?echo=true', AGENT),
        ZAQAR % (5, 'GET', 'q/stats', AGENT),
        'a line of something else']))

    assert {True: 1, False: 5} == count


def test_messages_are_those_of_the_queue_in_their_order():
    """Another hook's message would count as this one's."""
    posts = logs.posts(logs.requests([
        ZAQAR % (100, 'POST', 'q/messages', 'zaqarclient'),
        ZAQAR % (200, 'POST', 'other/messages', 'zaqarclient'),
        ZAQAR % (300, 'GET', 'q/messages', 'zaqarclient'),
        ZAQAR % (400, 'POST', 'q/messages', 'zaqarclient')]), 'q')

    assert 2 == len(posts)
    assert 0.3 == round(posts[1] - posts[0], 3)


def test_a_drain_is_read_from_the_log_of_its_agent():
    """The handler's own words decide when it ran, not the agent's."""
    events = logs.drain([
        '2026-11-27T15:00:00.100Z info drain 0c0a1e00: told, 299 s left\n',
        '2026-11-27T15:00:00.200Z info handler 50-bench: started\n',
        '2026-11-27T15:00:00.350Z info 50-bench| runs 1795791600.300000000\n',
        '2026-11-27T15:00:00.450Z info 50-bench| ends 1795791600.400000000\n',
        '2026-11-27T15:00:00.500Z info handler 50-bench: succeeded\n',
        '2026-11-27T15:00:00.600Z info signal accepted: CONTINUE, reason\n',
        'no line of the agent\n'])

    assert ['agent_told', 'handler_started', 'runs', 'ends', 'handler_ended',
            'signal_accepted'] == list(events)
    assert (1795791600.3, 1795791600.4) == (events['runs'], events['ends'])


def test_a_line_is_read_when_it_is_whole(tmp_path):
    """A torn line would lose a request, and the member would cost less."""
    path = tmp_path / 'log'
    path.write_text('old\n')
    tail = logs.Tail(path)
    with path.open('a') as log:
        log.write('first\nsec')
    assert ['first'] == tail.lines()

    with path.open('a') as log:
        log.write('ond\n')

    assert ['second'] == tail.lines()
    assert [] == tail.lines()


def test_spans_are_of_members_that_have_both_events():
    """One member that was not seen would end the run."""
    round_ = context.Round(
        {'a': {'waits': 1.0, 'runs': 1.5}, 'b': {'runs': 9.0}}, 0, 9, {}, {},
        ({}, {}, 0), 0, (0, 0))

    assert [0.5] == context.spans([round_], 'waits', 'runs')
    with pytest.raises(context.BenchError):
        context.spans([round_], 'waits', 'gone')


def test_a_member_costs_what_the_idle_cloud_does_not():
    """Capacity would be planned for what is asked without a drain, twice."""
    round_ = context.Round(
        {'a': {}, 'b': {}}, 100, 120, {'zaqar': 44}, {'zaqar': 2.0},
        ({'zaqar': 20}, {'zaqar': 0.5}, 50), 10, (0, 0))

    cost = growth._cost(round_)

    assert {'zaqar': 2} == cost['requests']
    assert {'zaqar': 0.5} == cost['cpu']
    assert 5 == cost['polls_a_second']
    assert 0.01 == cost['zaqar_cpu_of_a_poll']


def results(**result):
    machine = {'cores': 2, 'processor': 'one', 'memory_gib': 8,
               'system': 'Linux', 'python': '3.11'}
    return {'told': {'title': 'How soon?', 'date': '2026-11-27',
                     'quick': False, 'seconds': 9, 'machine': machine,
                     **result}}


def test_a_missed_goal_is_told():
    """Who reads the terminal would believe that all is well."""
    shown = render.text(results(**figures.result(
        ['At once', 'Median'], [[10, 0.5]],
        [figures.goal('told, 95 %', 1.2, 1.0, 's')], None)))

    assert 'MISSED 1.2 s (at most 1 s): told, 95 %' in shown
    assert '10       0.50' in shown


def test_what_was_not_measured_is_told():
    """A measurement that failed would be missing without a word."""
    assert 'Not measured: no cloud' in render.text(results(error='no cloud'))


def on_cloud(monkeypatch, servers=()):
    """Let a benchmark find a cloud with some servers."""
    monkeypatch.setattr(bench.lifecycle, 'LocalCloud', lambda *_args: (
        types.SimpleNamespace(
            cloud=types.SimpleNamespace(state='build/sandbox'),
            running=contextlib.nullcontext)))
    monkeypatch.setattr(bench.contexts, 'Context', lambda *_args: (
        types.SimpleNamespace(project=types.SimpleNamespace(
            servers=lambda: servers, delete_stacks=lambda: None))))


def test_servers_that_are_there_already_are_not_measured(monkeypatch):
    """What a killed run has left would poll beside those of the next one."""
    on_cloud(monkeypatch, servers=['a', 'b'])
    ran = []

    with pytest.raises(cloud.SandboxError, match='sandbox has 2 servers'):
        bench.measure([types.SimpleNamespace(
            NAME='a', TITLE='A?', run=ran.append)], True, False, ran.append,
            ran.append)

    assert [] == ran


@pytest.mark.parametrize('error,told,traceback', [
    (context.BenchError('No member.'), 'No member.', False),
    (KeyError('waits'), "KeyError: 'waits'; see ", True)])
def test_failed_measurement_takes_none_with_it(
        tmp_path, monkeypatch, error, told, traceback):
    """An hour of measurements would be lost with one of them."""
    def fail(_context):
        raise error

    monkeypatch.setattr(bench, 'BUILD', tmp_path)
    on_cloud(monkeypatch)
    lines = []

    measured = bench.measure([
        types.SimpleNamespace(NAME='a', TITLE='A?', run=fail),
        types.SimpleNamespace(NAME='b', TITLE='B?', run=lambda _context: {
            'rows': [[1]]})], True, False, lines.append, lambda _found: None)

    assert measured['a']['error'].startswith(told)
    assert [[1]] == measured['b']['rows']
    assert not any('Traceback' in line for line in lines)
    assert traceback == (tmp_path / 'a.traceback').exists()


def test_documentation_has_figures_and_pictures(tmp_path, monkeypatch):
    """The page would show the figures of the last run but one."""
    monkeypatch.setattr(render, 'PAGES', tmp_path / 'pages')
    monkeypatch.setattr(render, 'PICTURES', tmp_path / 'pictures')
    plots = [
        {'kind': 'steps', 'title': 't', 'x': 's', 'series': {'a': [1, 2]}},
        {'kind': 'lines', 'title': 't', 'series': {'a': [(1, 2), (5, 2)]}},
        {'kind': 'bars', 'title': 't', 'series': {'a': [('cut', 2)]}}]

    for plot in plots:
        paths = render.documentation({'2024.1': results(**figures.result(
            ['At once'], [[314159]], [figures.goal('x', 1, 1)], plot))})

        assert ['told-2024.1.svg', 'told-2024.1.inc', '2024.1.json',
                'summary.inc'] == [
            path.name for path in paths]
        assert '314159' in paths[1].read_text()
        assert '</svg>' in paths[0].read_text()


def test_figures_of_a_line_stay_beside_those_of_another(
        tmp_path, monkeypatch):
    """Who has run one line would take the other one off the page."""
    monkeypatch.setattr(render, 'PAGES', tmp_path / 'pages')
    monkeypatch.setattr(render, 'PICTURES', tmp_path / 'pictures')
    for line, seconds in (('2024.1', 0.25), ('2026.2', 0.75)):
        render.documentation({'2026.1': {}, line: results(**figures.result(
            ['At once', 'Drains', 'Median', '95 %'],
            [[1, 20, seconds, 0.9]], [], None))})

    page = (tmp_path / 'pages/summary.inc').read_text()

    assert ['Figure', '2024.1', '2026.2'] == page.splitlines()[3].split()
    assert re.search(r'One server is told, median, s +0\.25 +0\.75\n', page)
    assert '0.25' in (tmp_path / 'pages/told-2024.1.inc').read_text()
    assert '0.75' in (tmp_path / 'pages/told-2026.2.inc').read_text()


def test_small_sizes_are_no_figures_to_compare():
    """A run that only tried it would stand beside one of an hour."""
    assert {'told'} == set(summary.of(results(rows=[])))
    assert {} == summary.of(results(rows=[], quick=True))
