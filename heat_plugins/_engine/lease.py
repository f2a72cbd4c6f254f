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

# Half of the key of a lease; the sync points of Heat itself have the number of
# a resource there.
_ENTITY = 'lifecycle-hook'

# A lease expires, because an engine that died cannot release its own. This is
# twice what one request to Senlin may take.
LEASE_SECONDS = 60

# The work under a lease takes about a second.
_POLL_SECONDS = 0.2


@contextlib.contextmanager
def hold(context, stack_id, name, seconds=LEASE_SECONDS):
    """Wait until no other engine holds a lease, and hold it.

    The lease is a sync point of Heat's database, which Heat deletes with the
    stack at the latest.

    :param name: of the lease, at most 36 characters.
    :param seconds: until the lease of another holder has expired; the same
        for all holders of this name.
    """
    while (token := acquire(context, stack_id, name, seconds)) is None:
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not release(context, name, token):
            LOG.warning('lease "%(name)s" of stack %(stack)s ended after '
                        '%(seconds)d seconds, before its holder was done.',
                        {'name': name, 'stack': stack_id, 'seconds': seconds})


def acquire(context, stack_id, name, seconds=LEASE_SECONDS):
    """Try once to acquire a lease.

    :returns: the token of this holder, None if another engine holds the
        lease. The token is the row's atomic key. It starts at random, because
        a holder whose lease has expired may find the row of a later holder
        under the same name.
    """
    key = _key(name)
    token = secrets.randbits(30)
    with contextlib.suppress(db_exceptions.DBDuplicateEntry):
        sync_point.SyncPoint.create(context, {
            **key, 'stack_id': stack_id, 'atomic_key': token})
        return token
    row = sync_point.SyncPoint.get_by_key(context, **key)
    if row is None:
        return None
    if row.atomic_key == token:
        # Heat has repeated the creation, because the connection to the
        # database was lost after the row had been written.
        return token
    acquired_at = timeutils.normalize_time(row.updated_at or row.created_at)
    if (timeutils.is_older_than(acquired_at, seconds) and
            sync_point.SyncPoint.update_input_data(
                context, **key, atomic_key=row.atomic_key, input_data={})):
        # Heat counts each change of the row.
        return row.atomic_key + 1
    return None


@db_api.retry_on_db_error
@db_api.context_manager.writer
def release(context, name, token):
    """Delete the row of a lease.

    :returns: whether this holder still held the lease.
    """
    return bool(context.session.query(models.SyncPoint).filter_by(
        **_key(name), atomic_key=token).delete())


def _key(name):
    return {'entity_id': _ENTITY, 'traversal_id': name, 'is_update': False}
