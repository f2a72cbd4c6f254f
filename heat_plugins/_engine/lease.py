# SPDX-License-Identifier: Apache-2.0

"""Distributed lock with a lease, in Heat's database."""

import contextlib
import secrets
import time

from heat.db import api as db_api
from heat.db import models
from heat.objects import sync_point
from oslo_db import exception as db_exceptions
from oslo_log import log as logging
from oslo_utils import timeutils

LOG = logging.getLogger(__name__)

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
    while (mark := _acquire(context, stack_id, name, lease)) is None:
        time.sleep(_PERIOD)
    try:
        yield
    finally:
        if not _release(context, name, mark):
            LOG.warning('lease "%(name)s" of stack %(stack)s ended after '
                        '%(seconds)d seconds, before its holder was done.',
                        {'name': name, 'stack': stack_id, 'seconds': lease})


def _acquire(context, stack_id, name, lease):
    """Return the mark of the holder that this engine is now, else None.

    The mark is the row's atomic key. It starts at random, because a holder
    whose lease ended may find the row of a later holder under the same name.
    """
    key = _key(name)
    mark = secrets.randbits(30)
    with contextlib.suppress(db_exceptions.DBDuplicateEntry):
        sync_point.SyncPoint.create(context, {
            **key, 'stack_id': stack_id, 'atomic_key': mark})
        return mark
    theirs = sync_point.SyncPoint.get_by_key(context, **key)
    if theirs is None:
        return None
    if theirs.atomic_key == mark:
        # Heat has repeated the creation, because the connection to the
        # database was lost after the row had been written.
        return mark
    taken_at = timeutils.normalize_time(theirs.updated_at or
                                        theirs.created_at)
    if (timeutils.is_older_than(taken_at, lease) and
            sync_point.SyncPoint.update_input_data(
                context, **key, atomic_key=theirs.atomic_key, input_data={})):
        # Heat counts each change of the row.
        return theirs.atomic_key + 1
    return None


@db_api.retry_on_db_error
@db_api.context_manager.writer
def _release(context, name, mark):
    """Return True if the row was still that of this holder, and delete it."""
    return bool(context.session.query(models.SyncPoint).filter_by(
        **_key(name), atomic_key=mark).delete())


def _key(name):
    return {'entity_id': _ENTITY, 'traversal_id': name, 'is_update': False}
