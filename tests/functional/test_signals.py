# SPDX-License-Identifier: Apache-2.0

"""Who may end a drain: the guest of this hook, once, and nobody else."""

from concurrent import futures
import uuid

import pytest

from tests.functional import secrets_in_logs
from tests.functional import tenant

# Of those sent at once.
MANY = 1000


@pytest.fixture(scope='module')
def ours(project):
    return project.create_silent(size=3, drain_timeout=150)


@pytest.fixture(scope='module')
def theirs(project):
    return project.create_silent(size=1, drain_timeout=150)


@pytest.fixture(scope='module')
def strangers(local):
    """A stack in another project."""
    other = tenant.Tenant(local, 'sandbox-other')
    yield other.create_silent(size=1, drain_timeout=150)
    other.delete_stacks()


@pytest.mark.core
def test_foreign_and_forged_tokens_are_refused(project, ours, theirs,
                                               strangers, engine_log):
    """Anybody with a signal URL could end the drains of all others."""
    theirs.scale_in()
    strangers.scale_in()
    [(server, token)] = theirs.wait_for_drains(1).items()
    [elsewhere] = strangers.wait_for_drains(1).values()

    bodies = [{'lifecycle_action_token': token},
              {'lifecycle_action_token': token,
               'lifecycle_action_result': 'ROLLBACK'},
              {'lifecycle_action_token': elsewhere},
              {'lifecycle_action_token': str(uuid.uuid4())},
              {'lifecycle_action_token': 'x' * 5000},
              {'lifecycle_action_token': token,
               'lifecycle_action_result': 'ABANDON'},
              {}, [], 'text', 17, None]
    for body in bodies:
        ours.signal(body)
    tenant.wait_for('the refusals', lambda: (
        engine_log().count('signal refused') == len(bodies)))

    assert 'Traceback' not in engine_log()
    assert {server: token} == theirs.pending()
    assert [elsewhere] == list(strangers.pending().values())
    assert 'ACTIVE' == project.servers()[server]
    said = ('belongs to no cluster with this hook' if tenant.WITH_SENLIN else
            'nobody waits for a drain with the token')
    assert any(said in event for event in ours.events('hook'))

    # Heat's own API refuses these two, and logs the first with a traceback.
    assert not ours.signal(b'{"not json').ok
    assert not ours.signal({'lifecycle_action_token': token,
                            'reason': 'x' * 2 ** 20}).ok

    theirs.signal({'lifecycle_action_token': token})
    strangers.signal({'lifecycle_action_token': elsewhere})
    tenant.wait_for('the deletion', lambda: server not in project.servers())


def test_fifty_copies_of_a_signal_do_what_one_does(project, ours, engine_log):
    """An agent repeats a signal whose answer it has not seen."""
    ours.scale_in()
    [(server, token)] = ours.wait_for_drains(1).items()
    others = ours.members() - {server}

    with futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ours.signal, [
            {'lifecycle_action_token': token, 'reason': 'all done'}] * 50))
    assert all(answer.ok for answer in answers)
    tenant.wait_for('the deletion', lambda: server not in project.servers())
    # And one that comes too late.
    assert ours.signal({'lifecycle_action_token': token}).ok

    assert {s: 'ACTIVE' for s in others}.items() <= project.servers().items()
    assert 'Traceback' not in engine_log()
    assert 1 == sum('all done' in event for event in ours.events('hook'))


def test_many_signals_at_once_lose_none(project, ours, engine_log):
    """The one that counts would be lost among those that do not."""
    ours.scale_in()
    [(server, token)] = ours.wait_for_drains(1).items()
    bodies = [{'lifecycle_action_token': str(uuid.uuid4())}
              for _number in range(MANY)]
    bodies.insert(MANY // 2, {'lifecycle_action_token': token})

    with futures.ThreadPoolExecutor(100) as pool:
        url = ours.agent_config()['signal_url']
        # Heat 27 has so many threads for a stack, and says 500 to the others,
        # so a signal is sent again, as an agent does. Not the answers: each
        # would keep its connection open, and Heat takes a thousand.
        assert all(pool.map(lambda body: tenant.wait_for(
            'the signal', lambda: ours.signal(body, url).ok), bodies))
    tenant.wait_for('the deletion', lambda: server not in project.servers())
    tenant.wait_for('the refusals', lambda: (
        engine_log().count('signal refused') == MANY))
    # Heat's own are in the way of those that find no thread.
    assert not tenant.WITH_SENLIN or 'Traceback' not in engine_log()


def test_no_secret_reaches_the_log_or_an_event(local, ours):
    """Whoever reads logs could end drains."""
    secrets = set(secrets_in_logs.of_hook(ours.agent_config()).values())
    log = ''.join(log.read_text() for log in local.logs('heat'))

    # The CFN API logs the requests it is sent; that is Heat's own doing.
    lines = [line for line in log.splitlines()
             if 'POST /v1/signal/' not in line]
    assert secrets
    assert not [line for line in [*lines, *ours.events('hook')]
                if any(secret in line for secret in secrets)]
