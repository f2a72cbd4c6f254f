# SPDX-License-Identifier: Apache-2.0

"""A cluster scales with what its servers tell a real Prometheus server."""

import shutil

import pytest

from tests.functional import metrics
from tests.functional import tenant

pytestmark = pytest.mark.skipif(
    not shutil.which('prometheus'), reason='Prometheus is not installed')


def tell(stack, sessions):
    """Let every server of a cluster tell a number of sessions."""
    # The one that is being made has no server yet.
    for server in filter(None, stack.members()):
        folder = stack.project.guest(server) / 'var/www'
        if folder.exists():
            (folder / 'metrics').write_text('sessions %d\n' % sessions)


def test_query_scales_the_cluster(project):
    """Who has Prometheus and no Gnocchi would have to scale by hand.

    Prometheus finds the servers by itself. Together with the other cluster
    this one is not idle, and it must not be asked about.
    """
    both = [metrics.create(project, 'prometheus', size, wait=False,
                           user_data=tenant.TEMPLATES / 'exporter.sh',
                           scale_out_threshold=40, scale_in_threshold=10)
            for size in (2, 1)]
    stack, other = both
    for created in both:
        created.wait('CREATE_COMPLETE')

    def measure(own, others):
        tell(stack, own)
        tell(other, others)

    metrics.scale_in(stack, lambda: measure(3, 90))
    metrics.scale_out(stack, lambda: measure(50, 20))
