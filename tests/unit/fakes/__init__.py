# SPDX-License-Identifier: Apache-2.0

"""Services as far as the plugin can see them.

They behave as read in Senlin 16.0.0 and python-zaqarclient; the functional
tests meet the real ones.
"""

from tests.unit.fakes import clock
from tests.unit.fakes import journal
from tests.unit.fakes import names
from tests.unit.fakes import nova
from tests.unit.fakes import senlin
from tests.unit.fakes import zaqar

WAITING = names.WAITING

Clock = clock.Clock
Journal = journal.Journal
Nova = nova.Nova
Senlin = senlin.Senlin
Zaqar = zaqar.Zaqar

make_uuid = names.make_uuid
