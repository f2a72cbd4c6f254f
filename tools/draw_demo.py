#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Draw a recorded run of the demo as a terminal.

Each server is a lane from its first session to its deletion, and wide while it
drains. The recording is the timeline.json of a run. `tox -e genref` runs this
program; with --check it writes nothing and fails when the picture is not what
it would draw. To record anew, run the demo and copy its timeline.json.
"""

import html
import itertools
import json
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from demo import timeline  # noqa: E402
from tools import generated  # noqa: E402

FOLDER = pathlib.Path('doc', 'source', 'images', 'demo')
RECORDING = FOLDER / 'timeline.json'
PICTURE = FOLDER / 'timeline.svg'

COMMAND = './run demo'
_LEGEND = 'a lane is a server, wide while it drains'

_WIDTH = 660
_BAR = 36
_ROW = 20
_BASELINE = 14
_MARGIN = 24
_TIME = 96
_LANES = 122
_LANE = 18
_TEXT_GAP = 16
_SERVER_COLUMN = 80

# Colours on white and on black, and one for each of the servers.
_LIGHT = {'page': '#fdfdfc', 'bar': '#eceff3', 'line': '#c9d0da',
          'text': '#1d2433', 'small': '#5a6478', 'good': '#13795f',
          'bad': '#c22f2f', 'server0': '#c25a00', 'server1': '#2f6fde',
          'server2': '#7a4fd0'}
_DARK = {'page': '#12161d', 'bar': '#1b212b', 'line': '#39424f',
         'text': '#e8ecf3', 'small': '#a3aec0', 'good': '#4fc3a8',
         'bad': '#ff7b72', 'server0': '#f79646', 'server1': '#6ea0f7',
         'server2': '#ae8df0'}
_SERVERS = 3


def main():
    return generated.main(__doc__.splitlines()[0], draw_all, FOLDER, '.svg',
                          'Not what the recording of the demo looks like')


def draw_all():
    """The picture by its path in the repository."""
    return {str(PICTURE): draw(json.loads((REPO / RECORDING).read_text()))}


def rows(events):
    """Return events as [(event, its servers)]; ends of sessions are counted.

    :param events: of a timeline, earliest first.
    """
    found = []
    for result, run in itertools.groupby(events, lambda e: e.get('result')):
        run = list(run)
        if result is None:
            found += [(event, [event['server']] if 'server' in event else [])
                      for event in run]
        else:
            found.append((dict(run[-1], text=_ended(len(run), result)),
                          list(dict.fromkeys(e['server'] for e in run))))
    return found


def _ended(number, result):
    sessions = '1 session' if number == 1 else f'{number} sessions'
    return f'{sessions} finished' if result == 'finished' else (
        f'{sessions} CUT')


def draw(recording):
    """Return the SVG of a run.

    :param recording: what the demo has written.
    """
    shown = rows(recording['events'])
    lanes = {server: lane for lane, server in enumerate(dict.fromkeys(
        event['server'] for event, _servers in shown
        if event['event'] == 'server_deleted'))}
    report = timeline.report(recording['summary'])
    top = _BAR + _ROW * 2
    bottom = top + _ROW * len(shown) + _ROW // 2
    height = bottom + _ROW * (len(report) + 1)
    parts = _window(height, f'OpenStack {recording["release"]}')
    parts += [_text(_MARGIN, _BAR + _ROW + 4, f'$ {COMMAND}', 'strong'),
              _text(_WIDTH - _MARGIN, _BAR + _ROW + 4, _LEGEND, 'small',
                    anchor='end')]
    parts += _lanes(shown, lanes, top)
    for number, (event, servers) in enumerate(shown):
        parts += _line(event, servers, lanes, top + _ROW * number)
    for number, line in enumerate(report, 1):
        parts.append(_text(
            _MARGIN, bottom + _ROW * number, line,
            'strong' if number == 1 else 'small'))
    said = '. '.join(f'{event["t"]:.1f} s: {event["text"]}'
                     for event, _servers in shown)
    return _document(height, parts, f'{said}. {". ".join(report)}.')


def _window(height, title):
    return [
        f'<rect class="page edge" x="0.5" y="0.5" width="{_WIDTH - 1}" '
        f'height="{height - 1}" rx="10"/>',
        f'<path class="bar" d="M1 {_BAR}V11a10 10 0 0 1 10-10H{_WIDTH - 11}'
        f'a10 10 0 0 1 10 10V{_BAR}z"/>',
        *(f'<circle class="button" cx="{_MARGIN + 18 * i}" cy="18" r="5.5"/>'
          for i in range(3)),
        _text(_WIDTH / 2, 22.5, title, 'small', anchor='middle')]


def _lanes(shown, lanes, top):
    """A line for the life of each server, and a wide one for its drain."""
    parts = []
    for server, lane in lanes.items():
        own = {event['event']: top + _ROW * row + _ROW / 2
               for row, (event, servers) in enumerate(shown)
               if servers == [server] and 'result' not in event}
        ends = [('lane', top + _ROW / 2, own['server_deleted'])]
        if 'agent_told' in own:
            ends.append(('lane wide', own['agent_told'],
                         own.get('signal_accepted', own['server_deleted'])))
        parts += [f'<path class="{style} {_colour(lane)}" '
                  f'd="M{_lane_x(lane)} {start:g}V{end:g}"/>'
                  for style, start, end in ends]
    return parts


def _line(event, servers, lanes, y):
    base = y + _BASELINE
    after_lanes = _LANES + _LANE * len(lanes) + _TEXT_GAP
    style = {'cut': 'bad strong', 'finished': 'good'}.get(
        event.get('result'), 'plain')
    parts = [_text(_TIME, base, f'{event["t"]:.1f} s', 'small', anchor='end')]
    for server in servers:
        lane = lanes[server]
        if event['event'] == 'server_deleted':
            x, middle = _lane_x(lane), y + _ROW / 2
            parts.append(f'<path class="cross {_colour(lane)}" '
                         f'd="M{x - 4:g} {middle - 4:g}l8 8m0-8l-8 8"/>')
        else:
            radius = 2.5 if 'result' in event else 4.5
            parts.append(f'<circle class="{_colour(lane)}" '
                         f'cx="{_lane_x(lane)}" cy="{y + _ROW / 2:g}" '
                         f'r="{radius}"/>')
    if len(servers) == 1 and 'result' not in event:
        parts.append(_text(after_lanes, base, servers[0][:8],
                           _colour(lanes[servers[0]])))
    parts.append(_text(after_lanes + _SERVER_COLUMN, base, event['text'],
                       style))
    return parts


def _lane_x(lane):
    return _LANES + _LANE * lane


def _colour(lane):
    return f'server{lane % _SERVERS}'


def _text(x, y, words, style, anchor=None):
    place = f' text-anchor="{anchor}"' if anchor else ''
    return (f'<text class="{style}" x="{x:g}" y="{y:g}"{place}>'
            f'{html.escape(words, quote=False)}</text>')


def _document(height, parts, described):
    return '\n'.join([
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}">',
        '<title>A recorded run of the demo</title>',
        f'<desc>{html.escape(described)}</desc>',
        f'<style>{_style()}</style>',
        *parts,
        '</svg>']) + '\n'


def _style():
    def colours(of):
        rules = [f'text{{fill:{of["text"]}}}',
                 f'.page{{fill:{of["page"]}}}',
                 f'.bar{{fill:{of["bar"]}}}',
                 f'.edge{{stroke:{of["line"]}}}',
                 f'.button{{fill:{of["line"]}}}']
        # The text of a class comes after the class "text".
        rules += [f'.{name},text.{name}{{fill:{of[name]}}}'
                  for name in ('small', 'good', 'bad')]
        for lane in range(_SERVERS):
            name = f'server{lane}'
            rules.append(f'.{name},text.{name}{{fill:{of[name]}}}'
                         f'path.{name}{{stroke:{of[name]}}}')
        return ''.join(rules)

    return (
        'text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'
        '"DejaVu Sans Mono","Liberation Mono",monospace;font-size:13px;'
        'white-space:pre}'
        '.strong{font-weight:600}.lane{stroke-width:1.5}'
        '.wide{stroke-width:7;stroke-opacity:.45}.cross{stroke-width:2}'
        + colours(_LIGHT)
        + f'@media(prefers-color-scheme:dark){{{colours(_DARK)}}}')


if __name__ == '__main__':
    sys.exit(main())
