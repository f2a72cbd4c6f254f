# SPDX-License-Identifier: Apache-2.0

"""The picture of the demo shows what was recorded, and all of it."""

import json
import re
from xml.etree import ElementTree

from demo import timeline
from tests.unit import base
from tools import draw_demo
from tools import generated

SVG = '{http://www.w3.org/2000/svg}'


def recorded(*events):
    """What the demo writes about a run of these (event, server, details)."""
    line = timeline.Timeline(say=lambda text: None, clock=lambda: 0)
    line.add('sessions_opened', '2 sessions', at=1, sessions=2)
    for t, (event, server, details) in enumerate(events, 2):
        line.add(event, event, server, at=t, **details)
    return {'release': '2026.2', 'events': line.events,
            'summary': timeline.summarize(line, with_hook=False)}


def ended(server, result):
    return 'session_ended', server, {'result': result}


def texts(picture):
    return [element.text for element
            in ElementTree.fromstring(picture).iter(f'{SVG}text')]


def test_picture_is_up_to_date():
    """The README would show another run than the recorded one."""
    assert [] == generated.stale(draw_demo.draw_all(), draw_demo.FOLDER,
                                 '.svg')


def test_recording_is_a_drain_of_the_newest_line():
    """The README would promise what nobody has seen."""
    summary = json.loads((base.REPO / draw_demo.RECORDING).read_text())[
        'summary']

    assert summary['order_ok']
    assert 0 == summary['sessions_cut']
    assert summary['sessions_total'] == summary['sessions_finished']
    assert summary['servers_deleted'] == summary['drains_completed']


def test_every_event_is_drawn_or_counted():
    """A picture could leave out the session that was cut."""
    recording = json.loads((base.REPO / draw_demo.RECORDING).read_text())
    others = [event['text'] for event in recording['events']
              if 'result' not in event]

    words = texts(draw_demo.draw(recording))
    finished = [int(match[1]) for match in
                (re.match(r'(\d+) sessions? finished', text)
                 for text in words) if match]

    assert recording['summary']['sessions_finished'] == sum(finished)
    assert others == [text for text in words if text in others]
    assert timeline.report(recording['summary']) == words[-len(
        timeline.report(recording['summary'])):]


def test_cut_sessions_are_not_counted_as_finished():
    """The picture of a run without a hook would look like a good one."""
    words = texts(draw_demo.draw(recorded(
        ended('a', 'finished'), ended('b', 'cut'), ended('a', 'cut'),
        ('server_deleted', 'a', {}), ('server_deleted', 'b', {}))))

    assert '1 session finished' in words
    assert '2 sessions CUT' in words


def test_lane_is_wide_while_a_server_drains():
    """A server that was deleted without a drain would seem to have one."""
    picture = draw_demo.draw(recorded(
        ('agent_told', 'a', {}), ('signal_accepted', 'a', {}),
        ('server_deleted', 'a', {}), ('server_deleted', 'b', {})))

    lanes = [path.get('class') for path
             in ElementTree.fromstring(picture).iter(f'{SVG}path')
             if path.get('class').startswith('lane')]
    assert ['lane server0', 'lane wide server0', 'lane server1'] == lanes


def test_reader_without_a_picture_gets_the_words():
    """A screen reader would say nothing but the name of a file."""
    picture = ElementTree.fromstring(draw_demo.draw(recorded(
        ('server_deleted', 'a', {}))))

    assert 'img' == picture.get('role')
    assert picture.find(f'{SVG}title').text
    assert '2.0 s: server_deleted' in picture.find(f'{SVG}desc').text


def test_markup_in_a_text_stays_text():
    """A recording with a "<" in a reason would draw nothing at all."""
    recording = recorded(('server_deleted', 'a', {}))
    recording['events'][-1]['text'] = '<a> & "b"'

    assert '<a> & "b"' in texts(draw_demo.draw(recording))
