# SPDX-License-Identifier: Apache-2.0

"""Somebody has to look at the clock: Heat has no timers for resources.

Each engine looks at the drains that groups have begun, and sends the group a
signal when there is something to do. Whoever of them comes second finds it
done.
"""

import collections
import functools
import threading
import time

from heat.common import context as heat_context
from heat.common import exception
from heat.engine import resource
from heat.engine import service
from heat.objects import resource as resource_objects
from heat.rpc import client as rpc_client
from oslo_log import log as logging

from .. import _retry
from . import _drains

LOG = logging.getLogger(__name__)

# Seconds between two looks at the drains that this engine knows of, and into
# the whole database for those of an engine that has died.
_PERIOD = 1
_SCAN_PERIOD = 30

# Seconds until a group that has not done what it should is told again. It is
# deaf while it makes or removes members, as Heat's own is. Of many guests that
# answer at once it hears once.
_PATIENCE = 2

# Seconds until a group is notified again that takes no signal, since it is
# suspended or being deleted, and at the most until one that refuses them.
_DEAF_SECONDS = 30
_MAX_BACKOFF_SECONDS = 300

_lock = threading.Lock()
_thread = None
# Set when there is something to look at before a second is over.
_news = threading.Event()
# {what a group is told by: (when it was told last, seconds until it is told
# again)}, of drains that are due.
_told = {}


def look():
    """Look now, at drains that have just begun or ended as well."""
    _news.set()
    _start()


def is_free(stack_id, name):
    """Look now, at a group that may have been too busy to hear."""
    _told.pop((stack_id, name), None)
    look()


def _tell(drains, waited):
    """Let a group look at its drains, if it can.

    :param drains: [(hook, drain)], none of which waits if the group has gone.
    :param waited: seconds since it was told before.
    :returns: seconds until it is to be told again, should they still be due.
    """
    group = drains[0][1].group
    # The engine that takes it acts for the owner of the stack.
    context = heat_context.RequestContext(
        is_admin=True, project_id=group['stack']['tenant'])
    if _is_deaf(context, group):
        return _DEAF_SECONDS
    try:
        rpc_client.EngineClient().resource_signal(
            context, group['stack'], group['name'], {})
    except exception.EntityNotFound:
        for hook, drain in drains:
            hook.leave(drain)
    except _retry.ENGINE_ERRORS as error:
        LOG.info('drains: %s', _retry.describe(error))
        return min(2 * waited, _MAX_BACKOFF_SECONDS)
    return _PATIENCE


def _is_deaf(context, group):
    """Return True if Heat would refuse any signal to a group.

    For each signal that Heat refuses it stores an event, and of a stack it
    keeps a thousand.
    """
    # A group that is replaced has a row of that name as well.
    rows = [row for row in
            resource_objects.Resource.get_all_active_by_stack(
                context, group['stack']['stack_id']).values()
            if row.name == group['name']]
    return bool(rows) and all(
        row.action in resource.Resource.no_signal_actions for row in rows)


def arm():
    """Start the ticker with each engine that serves requests.

    heat-engine loads the plugins before it forks its workers. What asks the
    database or the message bus that early leaves its connections, and locks
    that nobody holds any more, to all workers that are forked later.
    """
    start = service.EngineService.start
    if getattr(start, 'has_ticker', False):
        return

    @functools.wraps(start)
    def start_with_ticker(engine):
        start(engine)
        _start()
    start_with_ticker.has_ticker = True
    service.EngineService.start = start_with_ticker


def _start():
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, daemon=True,
                                       name='drain-ticker')
            _thread.start()


def _run():
    # Its own: that of a request belongs to the thread of the request.
    context = heat_context.get_admin_context()
    hooks, scanned = [], None
    while True:
        _news.wait(_PERIOD)
        try:
            if (_news.is_set() or scanned is None or
                    time.monotonic() > scanned + _SCAN_PERIOD):
                _news.clear()
                hooks = _drains.Hook.of_groups(context)
                scanned = time.monotonic()
            due = _due(hooks)
            # Whoever has done what was due hears of the next answer at once.
            for key in _told.keys() - due.keys():
                _told.pop(key, None)
            for key, drains in due.items():
                at, wait = _told.get(key, (None, _PATIENCE))
                if at is None or time.monotonic() >= at + wait:
                    # Before: while it is told, is_free() may be called.
                    _told[key] = time.monotonic(), _PATIENCE
                    wait = _tell(drains, wait)
                    if wait != _PATIENCE:
                        _told[key] = time.monotonic(), wait
        except Exception as error:
            # The next look may find a database that answers.
            LOG.warning('drains: %s', _retry.describe(error))


def _due(hooks):
    """Return {what a group is told by: [(hook, drain of it that is due)]}."""
    due = collections.defaultdict(list)
    for hook in hooks:
        for drain in hook.drains().values():
            if drain.group and _is_due(hook, drain):
                due[drain.group['stack']['stack_id'],
                    drain.group['name']].append((hook, drain))
    return due


def _is_due(hook, drain):
    if drain.is_posted:
        return hook.outcome(drain) is not None
    # Whoever has just begun it posts its message now. To be told of that, a
    # group would not be told of an answer that comes as soon.
    return drain.age > _PATIENCE
