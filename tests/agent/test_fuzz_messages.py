# SPDX-License-Identifier: Apache-2.0

"""Ten thousand answers of a queue that is broken, or that others post on."""

import argparse
import contextlib
import importlib.util
import io
import json
import math
import os
import types
import uuid

import hypothesis
from hypothesis import strategies as st
import pytest

from tests.agent import conftest
from tests.agent import fake_cloud
from tests import json_values

SERVER = fake_cloud.contract('hook_message')['resource_id']
TOKEN = fake_cloud.contract('hook_message')['lifecycle_action_token']
OTHER = str(uuid.UUID(int=6, version=4))


class Opener:
    """Hands out what the queue answers, without a network."""

    raw = b''

    @contextlib.contextmanager
    def open(self, _request, timeout):
        assert 0 < timeout <= 10
        yield io.BytesIO(self.raw)


@pytest.fixture
def agent(tmp_path):
    """An agent as a module, that has looked for nothing yet."""
    spec = importlib.util.spec_from_file_location('agent', conftest.AGENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.OPENER = Opener()
    said = []
    # As the real one does, but for the clock and the system call.
    module.log = lambda level, text, *values: said.append((
        level, text % values))
    config = fake_cloud.contract('agent_config')
    config.update({key: usual for key, (usual, _) in module.SETTINGS.items()})
    args = argparse.Namespace(
        config=str(tmp_path / 'agent.json'), run_dir=str(tmp_path),
        state_dir=str(tmp_path), handlers=str(tmp_path / 'drain.d'))
    agent = module.Agent(
        config, module.State(str(tmp_path / 'state.json')), args)
    agent.server_id = SERVER
    return types.SimpleNamespace(
        module=module, said=said, look=agent.poll, state=agent.state,
        file=tmp_path / 'state.json')


# What may be posted: bodies more and less like Senlin's.
_TOKENS = st.one_of(
    st.sampled_from([TOKEN, TOKEN, OTHER, '', TOKEN + '\0', TOKEN + '\n']),
    json_values.values)
_SERVERS = st.one_of(
    st.sampled_from([SERVER, SERVER, SERVER.upper(), OTHER, SERVER + ' ',
                     '', '*']),
    json_values.values)
BODIES = st.one_of(
    json_values.objects({
        'lifecycle_action_token': _TOKENS, 'resource_id': _SERVERS,
        'node_id': json_values.values,
        'lifecycle_transition_type': json_values.values,
        'server_id': json_values.values, 'x\n': json_values.values}),
    json_values.values)

# What a broken Zaqar may make of it.
_AGES = st.one_of(st.integers(0, 400), st.integers(0, 400),
                  json_values.values)
_MESSAGES = st.one_of(
    json_values.objects({'body': BODIES, 'age': _AGES, 'ttl': _AGES,
                         'id': json_values.texts}),
    json_values.objects({'body': BODIES, 'age': st.integers(0, 400)}),
    json_values.values)
_LINKS = json_values.objects({
    'rel': st.one_of(st.sampled_from(['next', 'self']), json_values.values),
    'href': st.one_of(
        st.sampled_from(['/v2/queues/q/messages?marker=1', '/?marker=',
                         '//[', '/?marker=%00', '/?marker=%ff', '?']),
        st.builds('/?marker='.__add__, json_values.texts),
        json_values.values)})
_PAGES = json_values.objects({
    'messages': st.one_of(st.lists(_MESSAGES, max_size=4),
                          json_values.values),
    'links': st.one_of(st.lists(_LINKS, max_size=2), json_values.values)})


def _cut(raw, where):
    return raw[:int(len(raw) * where)]


# What is ours, among what is not.
_OURS = st.fixed_dictionaries(
    {'body': st.fixed_dictionaries(
        {'lifecycle_action_token': st.sampled_from([TOKEN, OTHER]),
         'resource_id': st.sampled_from([SERVER, SERVER.upper()])},
        optional={'node_id': json_values.values})},
    optional={'age': st.integers(0, 299)})
_NEARLY_OURS = st.fixed_dictionaries(
    {'body': st.fixed_dictionaries(
        {'lifecycle_action_token': _TOKENS, 'resource_id': _SERVERS},
        optional={'server_id': json_values.values,
                  'x\n': json_values.values})},
    optional={'age': _AGES})
_MIXED = st.builds(
    lambda messages: {'messages': messages, 'links': []},
    st.lists(st.one_of(_OURS, _NEARLY_OURS, _MESSAGES),
             min_size=1, max_size=4))

_DOCUMENTS = st.one_of(_PAGES, _MIXED, _MIXED, json_values.values)
ANSWERS = st.one_of(
    st.builds(json_values.wire, _DOCUMENTS),
    st.builds(json_values.wire, _DOCUMENTS),
    st.builds(_cut, st.builds(json_values.wire, _PAGES), st.floats(0, 1)),
    st.binary(max_size=60),
    st.builds(lambda depth, text: text * depth,
              st.sampled_from([100, 990, 100000]),
              st.sampled_from([b'[', b'{"messages":', b'9', b'"', b'\0',
                               b'\xff', b'[{"body":'])))


def wanted(raw):
    """Return the tokens of the drains that an answer may begin."""
    try:
        page = json.loads(raw.decode('utf-8', 'replace'))
    except (ValueError, RecursionError):
        return set()
    if not isinstance(page, dict) or not isinstance(
            page.get('messages'), list):
        return set()
    return {message['body']['lifecycle_action_token']
            for message in page['messages'] if is_ours(message)}


def is_ours(message):
    """Whether a message is one of a hook, for this server, and in time."""
    if not isinstance(message, dict) or not isinstance(
            message.get('body'), dict):
        return False
    token = message['body'].get('lifecycle_action_token')
    server = message['body'].get('resource_id')
    age = message.get('age', 0)
    return (token in (TOKEN, OTHER) and
            isinstance(server, str) and server.lower() == SERVER and
            isinstance(age, (int, float)) and -math.inf < age < 300)


def test_no_answer_but_a_valid_one_begins_a_drain(agent):
    """Servers would drain, or agents die, by whatever is on a queue.

    The state on the disk is as it was too: an agent that is started again
    would believe it.
    """
    began = []

    @json_values.examples(json_values.EXAMPLES)
    @hypothesis.given(ANSWERS)
    def look(raw):
        agent.state.update(marker='', drains=[], completed=[], last={},
                           draining=False)
        agent.file.unlink(missing_ok=True)
        del agent.said[:]
        agent.module.OPENER.raw = raw

        pause = agent.look()

        assert 0 <= pause <= 20
        assert all(level in ('info', 'warning') for level, _ in agent.said)
        drains = agent.state['drains']
        assert {drain['env'][agent.module.TOKEN] for drain in drains} <= (
            wanted(raw))
        assert not agent.state['draining'] and not agent.state['last']
        if agent.file.exists():
            kept = json.loads(agent.file.read_text())
            assert kept['drains'] == json.loads(json.dumps(drains))
            assert kept['drains'] or kept['marker']
        for drain in drains:
            assert 0 < drain['end'] <= 300
            assert SERVER == drain['env']['LIFECYCLE_SERVER_ID']
            assert all(key.startswith('LIFECYCLE_') and key.isprintable()
                       for key in drain['env'])
        began.append(bool(drains))
    look()

    assert any(began)
    assert not all(began)


def test_one_bad_message_hides_no_good_one(agent):
    """Whoever may post on the queue could keep every server from draining."""
    good = {'age': 1, 'body': fake_cloud.contract('hook_message')}

    @json_values.examples(1000)
    @hypothesis.given(_MESSAGES)
    def look(message):
        agent.state.update(marker='', drains=[], completed=[])
        agent.module.OPENER.raw = json_values.wire(
            {'messages': [message, good]})
        try:
            # The real agent has more room on its stack than it has here.
            json.loads(b'[' * 20 + agent.module.OPENER.raw + b']' * 20)
        except (ValueError, RecursionError):
            # No Zaqar has taken it.
            return

        agent.look()

        assert TOKEN in {drain['env'][agent.module.TOKEN]
                         for drain in agent.state['drains']}
    look()


def test_agent_outlives_them_all(guest):
    """What is fed to a part of the agent may not be what it meets."""
    pages = []

    @json_values.examples(200)
    @hypothesis.given(ANSWERS)
    def collect(raw):
        pages.append(raw)
    collect()
    guest.handler('50-app')
    # Of age, so that none of them is for this server.
    pages = [page for page in pages if not wanted(page)]
    process = guest.start()
    for page in pages:
        guest.cloud.page = page
        guest.wait_for_polls(1)
        # Without trouble in between, the agent would ask ever less often.
        guest.cloud.page = {'messages': []}
        guest.wait_for_polls(1)
    assert [] == guest.runs()
    guest.cloud.page = None
    guest.cloud.post(guest.message)

    signal = guest.wait_for_signal()

    assert 'CONTINUE' == signal['lifecycle_action_result']
    assert ['50-app'] == guest.runs()
    assert process.poll() is None
    assert 'Traceback' not in guest.log()
    assert os.path.exists(guest.state_file)


def test_bodies_of_others_are_left_alone(guest):
    """Somebody else's message would run the handlers of this server."""
    bodies = []

    @json_values.examples(300)
    @hypothesis.given(BODIES)
    def collect(body):
        raw = json_values.wire(body)
        # Python's own tools, with which the fake works, go no deeper.
        if b'[' * 100 not in raw and b'{"x":' * 100 not in raw:
            bodies.append(body)
    collect()
    guest.handler('50-app')
    for body in bodies:
        if not is_ours({'body': body}):
            guest.cloud.post(body)
    guest.cloud.post(guest.message)
    guest.start()

    assert guest.token == guest.wait_for_signal()['lifecycle_action_token']
    assert ['50-app'] == guest.runs()
    assert 1 == len(guest.cloud.signals)
    assert 'Traceback' not in guest.log()
