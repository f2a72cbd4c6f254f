# SPDX-License-Identifier: Apache-2.0

"""Who may end a drain: the guest of this hook, once, and nobody else."""

import uuid

import pytest

from tests.functional import tenant


@pytest.fixture(scope='module')
def ours(project):
    return project.create_silent(size=2, drain_timeout=100)


@pytest.fixture(scope='module')
def theirs(project):
    return project.create_silent(size=1, drain_timeout=100)


def test_foreign_and_forged_tokens_are_refused(project, ours, theirs,
                                               engine_log):
    """Anybody with a signal URL could end the drains of all others."""
    theirs.scale_in()
    [(server, token)] = tenant.wait_for(
        'the drain', lambda: list(theirs.pending().items()))

    for body in ({'lifecycle_action_token': token},
                 {'lifecycle_action_token': str(uuid.uuid4())},
                 {'lifecycle_action_token': 'x' * 5000},
                 {'lifecycle_action_token': token,
                  'lifecycle_action_result': 'ABANDON'},
                 {}, [], 'text', 17, None):
        ours.signal(body)
    refusals = tenant.wait_for('the refusals', lambda: [
        line for line in engine_log().splitlines()
        if 'signal refused' in line][7:])

    assert refusals
    assert 'Traceback' not in engine_log()
    assert {server: token} == theirs.pending()
    assert 'ACTIVE' == project.servers()[server]
    assert any('belongs to no cluster with this hook' in event
               for event in ours.events('hook'))

    # Heat's own API refuses this one, and logs that with a traceback.
    assert not ours.signal(b'{"not json').ok

    theirs.signal({'lifecycle_action_token': token})
    tenant.wait_for('the deletion', lambda: server not in project.servers())


def test_signal_that_comes_twice_is_harmless(project, ours, engine_log):
    """An agent repeats a signal whose answer it has not seen."""
    ours.scale_in()
    [(server, token)] = tenant.wait_for(
        'the drain', lambda: list(ours.pending().items()))
    [other] = ours.members() - {server}

    for _time in range(5):
        assert ours.signal({'lifecycle_action_token': token,
                            'reason': 'all done'}).ok
    tenant.wait_for('the deletion', lambda: server not in project.servers())
    assert ours.signal({'lifecycle_action_token': token}).ok

    assert 'ACTIVE' == project.servers()[other]
    assert 'Traceback' not in engine_log()
    assert 1 == sum('all done' in event for event in ours.events('hook'))


def test_no_secret_reaches_the_log_or_an_event(local, ours):
    """Whoever reads logs could end drains."""
    config = ours.agent_config()
    signature = config['signal_url'].rpartition('Signature=')[2]
    log = local.processes.log('heat').read_text()

    # The CFN API logs the requests it is sent; that is Heat's own doing.
    lines = [line for line in log.splitlines()
             if 'POST /v1/signal/' not in line]
    assert not [line for line in lines if signature in line]
    assert config['queue']['signature'] not in log
    assert not [e for e in ours.events('hook')
                if signature in e or config['queue']['signature'] in e]
