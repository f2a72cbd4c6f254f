# SPDX-License-Identifier: Apache-2.0

"""IDs and words of Senlin, as its fake has them."""

import uuid

# Not one that Heat or openstacksdk would ever request by themselves.
ENDPOINT = 'http://senlin.example.com'

WAITING = 'WAITING_LIFECYCLE_COMPLETION'
DELETION_POLICY = 'senlin.policy.deletion-1.1'
FINISHED = ('SUCCEEDED', 'FAILED', 'CANCELLED')


def make_uuid():
    """Return a new ID."""
    return str(uuid.uuid4())
