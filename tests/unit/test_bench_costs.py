# SPDX-License-Identifier: Apache-2.0

"""What the costs of one come to for ten thousand."""

import pytest

from bench import costs

ONE = {'poll': dict.fromkeys(costs.SERVICES, 0.002),
       'waited second': dict.fromkeys(costs.SERVICES, 0.01),
       'signal': dict.fromkeys(costs.SERVICES, 0.5)}


def test_load_of_polls_is_linear():
    """A site would be planned too small, or nobody would dare."""
    def cores(**site):
        return costs.at_scale(ONE, drains=0, **site)['zaqar']

    assert pytest.approx(20) == cores(servers=10000, interval=1)
    assert pytest.approx(2) == cores(servers=1000, interval=1)
    assert pytest.approx(2) == cores(servers=10000, interval=10)


def test_drains_cost_by_their_number_and_length():
    """Who only looks at the quiet site has too few engines at night."""
    def cores(**site):
        return costs.at_scale(ONE, servers=0, **site)['heat']

    assert pytest.approx(0.5) == cores(drains=3600, drain=0)
    assert pytest.approx(1.1) == cores(drains=3600, drain=60)
