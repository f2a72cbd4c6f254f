# SPDX-License-Identifier: Apache-2.0

"""Bad parameters are refused by Heat's engine itself, with a sentence.

The same table as on the local cloud, without what only a service can know.
"""

from heat.common import exception
import pytest

from tests import bad_parameters

# A group's validation asks Glance and Nova about its members, so the other
# front door is for tests/functional.
ROWS = [row for row in bad_parameters.rows(bad_parameters.CLUSTER)
        if not row.live]


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.id)
def test_bad_parameters_are_refused(heat, row):
    """Nobody waits for servers to learn of a slip in a number."""
    with pytest.raises(exception.StackValidationFailed) as refusal:
        stack = heat.stack(row.template, parameters=row.parameters)
        stack.timeout_mins = 10
        stack.validate()

    said = str(refusal.value)
    assert row.fits(said), said


def test_good_parameters_are_not_refused(heat):
    """An engine that refuses everything would pass the test above."""
    for template in {row.template for row in ROWS}:
        heat.stack(template).validate()


def test_table_is_long():
    """What issue after issue would bring to light is looked for here."""
    assert 150 <= len(ROWS)
    assert len(ROWS) == len({row.id for row in ROWS})
