# SPDX-License-Identifier: Apache-2.0

"""Sessions cut: a server with live sessions is scaled in."""

import asyncio
import socket
import sys
import threading

from bench import figures
from sandbox import cloud

SESSIONS = cloud.REPO / 'examples' / 'sessions'
# The client of the sessions lies beside their server.
sys.path.insert(0, str(SESSIONS))
import client  # noqa: E402

NAME = 'sessions_cut'
TITLE = 'How many sessions does a scale-in cut?'

PORT = 7000
# Seconds of the shortest and the longest session; the scale-in comes early in
# all of them.
LENGTHS = (15, 45)
QUICK_LENGTHS = (8, 20)
# Seconds between two words of a session. The default of five a second would
# measure the two cores.
TICK = 1


def run(context):
    """Return the result, see `bench.figures.result`."""
    number = context.pick(200, 20)
    groups = context.scaling.create(_user_data())
    rows, bars, cuts = [], {}, {}
    for name, text in (('hooked', 'with the hook'),
                       ('unhooked', 'without')):
        context.say('%d sessions, %s' % (number, text))
        sessions = _scale_in(context, groups[name], number)
        states = [session.state for session in sessions]
        cuts[name] = states.count(client.State.CUT)
        finished = states.count(client.State.FINISHED)
        rows.append([text, len(sessions), finished, cuts[name]])
        bars[text] = [('finished', finished), ('cut', cuts[name])]
    return figures.result(
        ['Scale-in', 'Sessions', 'Finished', 'Cut'], rows,
        [figures.goal('sessions cut with the hook', cuts['hooked'], 0)],
        {'kind': 'bars', 'title': TITLE, 'y': 'Sessions', 'series': bars})


def _user_data():
    text = (SESSIONS / 'user_data.sh').read_text()
    for name, path in (('__SERVER__', 'server.py'),
                       ('__AGENT_SETTINGS__', 'agent.json')):
        text = text.replace(name, (SESSIONS / path).read_text())
    return text


def _scale_in(context, group, number):
    """Open sessions on the only member, let it go, return the sessions."""
    [server] = context.grow(group, 1)
    address = context.address(server)
    context.wait('%s to serve' % address, lambda: _serves(address))
    shortest, longest = context.pick(LENGTHS, QUICK_LENGTHS)
    sessions = [
        client.Session(address, shortest + (longest - shortest) * i / number,
                       PORT, TICK) for i in range(number)]
    thread = threading.Thread(
        target=lambda: asyncio.run(client.run_sessions(sessions)),
        daemon=True)
    thread.start()
    context.wait('%d sessions' % number, lambda: all(
        session.opened for session in sessions))
    context.empty(group)
    # Those that were cut notice it, those that are not come to their end.
    thread.join(longest + 2 * client.SILENCE)
    return sessions


def _serves(address):
    with socket.socket() as probe:
        return probe.connect_ex((address, PORT)) == 0
