# SPDX-License-Identifier: Apache-2.0

"""The drain agent in real guests, against the real queue and the real hook."""

import uuid

import pytest

from tests.functional import tenant

OLD_MESSAGES = 10000


@pytest.fixture(scope='module')
def stack(project):
    return project.create_library(
        1, user_data=(tenant.TEMPLATES / 'check.sh').read_text())


def test_agent_proves_that_a_drain_would_work(project, stack):
    """Whoever builds an image would learn of a mistake from its users."""
    [server] = stack.members()
    report = project.guest(server) / 'var/lib/check.txt'
    tenant.wait_for('the check to end', lambda: (
        report.exists() and 'status' in report.read_text()))

    text = report.read_text()
    assert text.endswith('status 0\n'), text
    assert ['ok'] * 5 == [line.split()[0] for line in
                          text.splitlines()[:-1]], text
    tenant.wait_for('the event', lambda: (
        'Signal: TEST, by the signal URL: drain-agent check.'
        in stack.events('hook')))
    assert {} == stack.pending()
    assert 'ACTIVE' == project.servers()[server]


def test_old_messages_do_not_hide_the_one_that_matters(project, stack):
    """A server that joins a busy queue would read for minutes."""
    queue = stack.output('hook_queue_name')
    for _number in range(0, OLD_MESSAGES, 500):
        project.post_messages(queue, [
            {'resource_id': str(uuid.uuid4()),
             'lifecycle_action_token': str(uuid.uuid4())}] * 500)
    [first] = stack.members()
    # This one has to find its place; the other one has been there.
    stack.scale_out()
    # A node has no server at first.
    [second] = tenant.wait_for('the second server', lambda: (
        stack.members() - {first, None}))
    tenant.wait_for('its agent', lambda: 'info server' in (
        project.agent_log(second)))

    stack.scale_in(2)
    tenant.wait_for('both to go', lambda: not (
        {first, second} & set(project.servers())))

    events = stack.events('hook')
    for server in (first, second):
        [event] = [e for e in events if 'CONTINUE for server ' + server in e]
        assert 'drained in ' in event
