# SPDX-License-Identifier: Apache-2.0

"""Groups that scale with a metric, as the tests see them."""

from sandbox import bootstrap
from sandbox import cloud
from sandbox import intervals
from tests.functional import tenant

PERIOD = intervals.GNOCCHI_FAST_GRANULARITY
ENVIRONMENTS = cloud.REPO / 'environments'
# What the local cloud has, as fine as it has it, and alarms that fire once.
SETTINGS = dict(metric='sessions', granularity=PERIOD, cpu_granularity=PERIOD,
                metric_scale_out_threshold=40, metric_scale_in_threshold=10)


def create(project, source, size, user_data=tenant.TEMPLATES / 'gate.sh',
           **options):
    """A group of the library that scales with a source, up to its size.

    :param user_data: path of a script with the drain handler of gate.sh.
    """
    return project.create_stack(
        tenant.DOOR, environments=[ENVIRONMENTS / (source + '.yaml')],
        defaults=SETTINGS,
        repeat_actions=False, image=bootstrap.IMAGE, flavor=bootstrap.FLAVOR,
        network=bootstrap.NETWORK, min_size=1, max_size=size,
        desired_capacity=size, drain_timeout=tenant.PATIENCE,
        user_data=user_data.read_text(), **options)


def scale_in(stack, measure):
    """See a low metric drain one of two servers, and delete it then."""
    project = stack.project
    before = stack.members()

    def draining():
        measure()
        return [server for server in before if project.is_draining(server)]
    [victim] = tenant.wait_for('a drain', draining)
    assert victim in project.servers()
    project.release(victim)
    tenant.wait_for('the deletion', lambda: victim not in project.servers())
    tenant.wait_for('the group to have shrunk', lambda: (
        stack.is_at_rest() and stack.members() == before - {victim}))


def scale_out(stack, measure):
    """See a high metric add a server."""
    def grown():
        measure()
        return stack.is_at_rest() and len(stack.members()) == 2
    tenant.wait_for('the second server', grown)


def use(stack, source, **parameters):
    """Let a group scale with another source."""
    stack.update(environments=[ENVIRONMENTS / (source + '.yaml')],
                 defaults=SETTINGS, **parameters)
