# SPDX-License-Identifier: Apache-2.0

"""What only one engine may do at a time, of all that Heat has."""

import contextlib
import time

from heat.objects import sync_point
from oslo_db import exception as db_exceptions
from oslo_utils import timeutils

# Half of the key of our rows; Heat's own have a resource's number there.
_ENTITY = 'lifecycle-hook'

# Seconds after which a claim is free for others, because an engine that died
# cannot give its own back. Twice what one request to Senlin may take.
LEASE = 60

# Seconds between two attempts. What is done under a claim takes a second.
_PERIOD = 0.2


@contextlib.contextmanager
def claim(context, stack_id, name, lease=LEASE):
    """Wait until no other engine does what this name stands for, then do it.

    Heat makes engines meet at a row of its database, which goes with the
    stack at the latest, and so do we.

    :param name: at most 36 characters.
    :param lease: seconds after which the claim of others is free, which is
        the same for all who claim this name.
    """
    while not _take(context, stack_id, name, lease):
        time.sleep(_PERIOD)
    try:
        yield
    finally:
        sync_point.SyncPoint.delete_all_by_stack_and_traversal(
            context, stack_id, name)


def _take(context, stack_id, name, lease):
    """Return whether it is ours now."""
    key = {'entity_id': _ENTITY, 'traversal_id': name, 'is_update': False}
    with contextlib.suppress(db_exceptions.DBDuplicateEntry):
        sync_point.SyncPoint.create(context, {
            **key, 'stack_id': stack_id, 'atomic_key': 0})
        return True
    theirs = sync_point.SyncPoint.get_by_key(context, **key)
    if theirs is None:
        return False
    taken_at = timeutils.normalize_time(theirs.updated_at or
                                        theirs.created_at)
    return bool(
        timeutils.is_older_than(taken_at, lease) and
        sync_point.SyncPoint.update_input_data(
            context, **key, atomic_key=theirs.atomic_key, input_data={}))
