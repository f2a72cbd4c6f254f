# SPDX-License-Identifier: Apache-2.0

"""Each source of a metric scales a cluster, through its own real alarms.

One cluster goes from source to source by updates of its stack, as a site does
that changes its mind; every test begins and ends with two servers.
"""

import time

import pytest

from sandbox import bootstrap
from sandbox.services import gnocchi
from tests.functional import ceilometer
from tests.functional import metrics
from tests.functional import tenant


class Sessions:
    """The metric of the application, on the resource of the stack's ID."""

    def __init__(self, stack):
        self._stack = stack
        self._told = None
        self._request('/resource/generic', {
            'id': stack.id, 'metrics': {'sessions': {
                'archive_policy_name': bootstrap.ARCHIVE_POLICY}}})

    def measure(self, value):
        """Tell the value now, once in a second."""
        now = int(time.time())
        if now != self._told:
            self._request(
                '/resource/generic/%s/metric/sessions/measures'
                % self._stack.id, [{'timestamp': now, 'value': value}])
            self._told = now

    def _request(self, path, body):
        project = self._stack.project
        project.connection.session.post(
            project.local.cloud.url(gnocchi.PORT, '/v1' + path), json=body)


@pytest.fixture(scope='module')
def stacks(project):
    """Two clusters; the second one is there to be left alone."""
    both = [metrics.create(project, 'gnocchi', 2, wait=False,
                           scale_out_threshold=40, scale_in_threshold=10),
            metrics.create(project, 'cpu', 1, wait=False)]
    for stack in both:
        stack.wait('CREATE_COMPLETE')
    return both


@pytest.fixture(scope='module')
def sessions(stacks):
    return Sessions(stacks[0])


@pytest.fixture(scope='module')
def measuring(project):
    return ceilometer.Ceilometer(project)


def test_metric_of_the_application(stacks, sessions):
    """The number of sessions says more than any load, and would be unheard.

    The resource of the metric is made after the stack.
    """
    stack, _ = stacks

    metrics.scale_in(stack, lambda: sessions.measure(3))
    metrics.scale_out(stack, lambda: sessions.measure(50))


def test_cpu_of_the_servers_of_this_cluster(stacks, measuring):
    """Another cluster's load would keep this one's idle servers, or add some.

    Together with the busy other one the two are not idle, and together with
    the idle other one the one that is left is not busy.
    """
    stack, other = stacks
    [foreign] = other.members()
    metrics.use(stack, 'cpu', scale_out_threshold=70, scale_in_threshold=20)

    def measure(own, others):
        measuring.measure({**dict.fromkeys(stack.members(), own),
                           foreign: others})

    metrics.scale_in(stack, lambda: measure(5, 99))
    metrics.scale_out(stack, lambda: measure(95, 1))


def test_composite_waits_for_both_to_be_low(stacks, sessions, measuring):
    """Quiet sessions would be drained away because they cost no CPU.

    From the CPU alone to both is an update of the same alarms, in which Heat
    would drop their actions.
    """
    stack, _ = stacks
    metrics.use(stack, 'composite')

    def measure(percent, number):
        measuring.measure(dict.fromkeys(stack.members(), percent))
        sessions.measure(number)

    seen = set()

    def decided():
        measure(5, 20)
        now = stack.alarms()
        # The other one is "ok" when Aodh knows both values. Of the times after
        # that, the second one begins with them, and the third one ends it.
        if {alarm['state'] for alarm in now.values()} == {'ok'}:
            seen.add(now['scale_in_alarm']['evaluate_timestamp'])
        return len(seen) > 2
    tenant.wait_for('a decision against scaling in', decided)
    assert 2 == len(stack.members()) == stack.capacity()

    metrics.scale_in(stack, lambda: measure(5, 3))
    # The CPU stays low.
    metrics.scale_out(stack, lambda: measure(5, 50))
