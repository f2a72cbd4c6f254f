# SPDX-License-Identifier: Apache-2.0

"""What the faults ask of a group of Heat's, and how often."""

from unittest import mock

import pytest

from faults import scaled


class Stack:
    """A stack whose group has one server, until somebody says otherwise."""

    id = 'stack'

    def __init__(self):
        self.values = {'servers': ['old'], 'size': 1, 'draining': {},
                       'scale_in_url': 'in', 'scale_out_url': 'out'}
        self.metadata = {}
        self.project = mock.Mock(spec_set=['servers', 'heat'])
        self.project.servers.side_effect = lambda: {
            server: 'ACTIVE' for server in self.values['servers']}
        self.project.heat.resources.metadata.side_effect = (
            lambda *_: self.metadata)

    def output(self, name):
        return self.values[name]


@pytest.fixture
def stack():
    return Stack()


@pytest.fixture
def clock():
    with mock.patch.object(scaled.time, 'monotonic',
                           return_value=0) as clock:
        yield clock


@pytest.fixture
def post(clock):
    with mock.patch.object(scaled.requests, 'post') as post:
        yield post


def asked(post):
    return [call.args[0] for call in post.call_args_list]


def test_alarm_repeats_until_it_is_taken(stack, post, clock):
    """An engine dies after its answer, and nobody asks a second time."""
    group = scaled.Group(stack)

    assert not group.ask('old', 1)
    clock.return_value = 10
    assert not group.ask('old', 1)
    assert ['in'] == asked(post)

    clock.return_value = 31
    assert not group.ask('old', 1)
    assert ['in', 'in'] == asked(post)


@pytest.mark.parametrize('values', [
    {'draining': {'member': 'old'}}, {'servers': []}])
def test_alarm_is_silent_when_it_was_taken(stack, post, values):
    """A second server would drain, and the group be blamed for it."""
    stack.values.update(values)

    assert scaled.Group(stack).ask('old', 1)
    assert [] == asked(post)


@pytest.mark.parametrize('fails', [
    lambda post: post,
    lambda post: post.return_value.raise_for_status])
def test_request_that_fails_is_repeated_at_once(stack, post, fails):
    """The scale-in would come when the fault is over."""
    group = scaled.Group(stack)
    fails(post).side_effect = scaled.requests.HTTPError

    for _attempt in range(2):
        with pytest.raises(scaled.requests.HTTPError):
            group.ask('old', 1)

    assert ['in', 'in'] == asked(post)


def test_scale_out_asks_once_and_waits_for_the_server(stack, post):
    """A group that is slow would grow twice."""
    active = {'old': 'ACTIVE'}
    stack.project.servers.side_effect = lambda: dict(active)
    steps = iter([
        lambda: None,
        lambda: stack.values.update(size=2, servers=['old', 'new']),
        lambda: active.update(new='ACTIVE')])

    with mock.patch.object(scaled.tenant.time, 'sleep',
                           lambda _seconds: next(steps)()):
        scaled.Group(stack).scale_out(10)

    assert ['out'] == asked(post)
    assert [] == list(steps)


def test_scale_out_waits_for_the_end_of_the_step(stack, post):
    """The next alarm would be kept waiting, or dropped."""
    stack.metadata['scaling_in_progress'] = True
    post.side_effect = lambda *args, **kwargs: (
        stack.values.update(size=2) or mock.DEFAULT)

    naps = []

    def sleep(seconds):
        assert ['out'] == asked(post)
        naps.append(seconds)
        # The first one only lets it begin.
        if len(naps) == 2:
            stack.metadata.clear()
    with mock.patch.object(scaled.tenant.time, 'sleep', sleep):
        scaled.Group(stack).scale_out(10)

    assert 2 == len(naps)


def test_server_keeps_a_group_busy_until_it_is_gone(stack):
    """A group that forgets a server would need a second scale-in."""
    group = scaled.Group(stack)

    assert group.is_busy('old')
    assert not group.is_busy('another')
    stack.project.servers.side_effect = lambda: {'forgotten': 'ACTIVE'}
    assert group.is_busy('forgotten')


def test_line_has_what_its_senlin_says():
    """Clusters would be made where Heat only says that it has made them."""
    with mock.patch.object(scaled.releases, 'is_installed') as is_installed:
        is_installed.return_value = False
        assert scaled.Group is scaled.kind()
        is_installed.return_value = True
        assert scaled.Cluster is scaled.kind()
    is_installed.assert_called_with('senlin')


def test_tenant_repeats_a_delete_that_heat_may_have_dropped():
    """A drain would last until its timeout, though its guest is done."""
    assert scaled.Group.may_delete_again(gone=None, overdue=False)
    assert not scaled.Cluster.may_delete_again(gone=None, overdue=False)
    assert scaled.Cluster.may_delete_again(gone=30, overdue=False)
    assert scaled.Cluster.may_delete_again(gone=None, overdue=True)


def node(server, created_at):
    return mock.Mock(id='node-' + server, physical_id=server,
                     created_at=created_at)


@pytest.fixture
def cluster():
    stack = mock.Mock(spec_set=['project', 'nodes', 'cluster', 'cluster_id'])
    stack.nodes.return_value = {
        'new': node('new', '2026-01-02'), 'old': node('old', '2026-01-01')}
    return scaled.Cluster(stack)


def test_oldest_server_of_a_cluster_is_the_first(cluster):
    """The faults would watch a server that nobody drains."""
    assert ['old', 'new'] == cluster.servers()
    assert {'old', 'new', 'node-old', 'node-new'} == cluster.belongings()


def test_cluster_is_asked_until_senlin_has_taken_it(cluster):
    """A second server would drain, because the first answer was lost."""
    senlin = cluster.stack.project.connection.clustering
    cluster.stack.cluster.return_value.desired_capacity = 2
    senlin.scale_in_cluster.side_effect = [{}, {'action': 'a'}]

    assert not cluster.ask('old', 2)
    assert cluster.ask('old', 2)
    cluster.stack.cluster.return_value.desired_capacity = 1
    assert cluster.ask('old', 2)
    assert 2 == senlin.scale_in_cluster.call_count
