# SPDX-License-Identifier: Apache-2.0

"""Drains that Heat waits for by itself, of servers that Senlin does not know.

They are data of a LifecycleHook in Heat's database, one entry for each server.
Whoever is about to delete the server, whoever hears its guest, and every
engine of Heat's see the same there, before and after any of them has died.
"""

import collections
import contextlib
import datetime
import re
import threading
import time
import uuid

from heat.common import exception
from heat.common.i18n import _
from heat.db import api as db_api
from heat.db import models
from heat.engine import resource
from heat.objects import resource as resource_objects
from heat.objects import resource_data
from heat.objects import stack as stack_objects
from oslo_serialization import jsonutils
from oslo_utils import timeutils
import sqlalchemy

from .. import _retry
from .. import _signal
from .._engine import lease

# Keys in the data of a hook: what it was made with, and, followed by the ID of
# a server, a drain.
SETTINGS = 'drain_settings'
_DRAIN = 'drain-'
# ... and, followed by the ID of its outermost stack, a stack with guards that
# have the hook. One entry serves all of them, because it is read with drains.
_USER = 'used-by-'

# The key in the data of a guard for the hooks that it has, in JSON.
GUARD_HOOKS = 'hooks'

# At the end of the reference ID of a hook, see LifecycleHook.
_UUID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z')

# What a drain has in its text of which a group wants to know.
_GROUP = '"group": {'

# The status of a server whose operating system runs, or is about to again.
_RUNNING = ('ACTIVE', 'REBOOT', 'HARD_REBOOT', 'PASSWORD', 'MIGRATING',
            'RESIZE', 'VERIFY_RESIZE')

_DELETED = (resource.Resource.DELETE, resource.Resource.COMPLETE)

# Seconds for which a drain that is over is remembered: whoever deletes its
# server again must not ask again, and a guest may repeat its answer.
_REMEMBERED = 3600

# Seconds for which all who wait with one hook share what one of them has read.
_SHARED = 1

# Seconds that a message has to live for Zaqar (18.0.0, min_message_ttl).
_MIN_TTL = 60

# Messages in one request: a few hundred bytes each, and Zaqar takes 256 KiB
# (18.0.0, max_messages_post_size).
_AT_ONCE = 100

_read_lock = threading.Lock()
# {ID of a hook's row: (when it was read, {server: Drain})}
_read = {}

_Drain = collections.namedtuple('_Drain', [
    'server', 'token', 'since', 'deadline', 'heard', 'is_posted', 'result',
    'reason', 'over', 'group'])


class Drain(_Drain):
    """A server that is asked to let go.

    :param server: ID of the server.
    :param token: with which its guest answers.
    :param since: when it was begun, in seconds since the epoch, as are
        `deadline`, `heard` (the last heartbeat) and `over` (when whoever
        waited took note of the result, None before).
    :param is_posted: whether its message is on the queue for certain.
    :param result: one of `_signal.RESULTS`, None while nobody knows.
    :param group: the group that wants to know of the result, {"stack": its
        identity, "name": the resource, "member": name of the member}; None if
        no group does.
    """

    __slots__ = ()

    @property
    def age(self):
        """Seconds since it was begun."""
        return now() - self.since

    @property
    def is_refused(self):
        """Whether the server stayed, and whoever had asked knows it."""
        return self.over is not None and self.result == _signal.ROLLBACK

    @property
    def is_abandoned(self):
        """Return True if nothing waits for its result any more.

        A waiter records a result at the deadline, later only if a service is
        away. Without one, the operation that waited was cancelled.
        """
        return self.result is None and (
            now() >= self.deadline + _retry.OUTAGE_SECONDS)

    @property
    def is_stale(self):
        """Return True if the next deletion of the server begins a new drain.

        A group still goes by its own drains, however late.
        """
        return self.is_refused or (self.is_abandoned and not self.group)


class Hook:
    """The drains of one LifecycleHook.

    :ivar context: of a request of the tenant's.
    :ivar id: of the hook's row.
    """

    def __init__(self, context, row, settings):
        self.context = context
        self.id = row.id
        self._stack_id = row.stack_id
        self._root_stack_id = row.root_stack_id
        self._reference = row.physical_resource_id
        self._users = {item.key[len(_USER):] for item in row.data
                       if item.key.startswith(_USER)}
        self.queue_name = settings['queue']
        self.timeout = settings['timeout']
        self._heartbeat_timeout = settings['heartbeat_timeout']
        self._default_result = settings['default_result']
        self.criteria = settings['criteria']

    @classmethod
    def find(cls, context, reference):
        """Return the hook with a reference ID, None if there is none.

        :param reference: what get_resource yields, in any stack of the
            project.
        """
        return next(filter(None, (cls._of(context, row) for row in
                                  _rows(context, reference))), None)

    @classmethod
    def _of(cls, context, row):
        if (row.action, row.status) == _DELETED:
            return None
        for item in row.data:
            if item.key == SETTINGS:
                return cls(context, row, jsonutils.loads(item.value))
        return None

    def add_user(self, root_stack_id):
        """Record that a stack has guards with this hook.

        :param root_stack_id: of the outermost stack. Heat itself deletes the
            guards in the stacks of the hook before the hook.
        """
        if root_stack_id in {self._root_stack_id, *self._users}:
            return
        for user in self._users:
            if self._get_stack(user) is None:
                self._delete(_USER + user)
        resource_data.ResourceData.set(self, _USER + root_stack_id, 'yes')

    def users(self):
        """Return the names of other stacks with guards that have this hook."""
        if not self._users:
            return []
        with db_api.context_manager.reader.using(self.context):
            row, data = models.Resource, models.ResourceData
            guards = self.context.session.query(
                row.root_stack_id, row.action, row.status, data.value).join(
                    data, data.resource_id == row.id).filter(
                        row.root_stack_id.in_(self._users),
                        data.key == GUARD_HOOKS).all()
        stacks = [self._get_stack(root_stack_id) for root_stack_id in {
            root_stack_id for root_stack_id, action, status, hooks in guards
            if (action, status) != _DELETED and
            self._reference in jsonutils.loads(hooks)}]
        return sorted(stack.name for stack in stacks if stack is not None)

    def _get_stack(self, stack_id):
        return stack_objects.Stack.get_by_id(self.context, stack_id,
                                             eager_load=False)

    @property
    def suits_senlin(self):
        """Whether it asks for nothing that Senlin does not know."""
        return (not self._heartbeat_timeout and
                self._default_result == _signal.CONTINUE)

    def is_running(self, nova, server):
        """Return True if a server has to be taken for running.

        Nova's status can be stale: after a crash of nova-compute it can be
        SHUTOFF while the server serves. So a heartbeat outweighs it: with a
        heartbeat timeout, a server that exists is asked, and its silence
        shows that it is not running.

        :param nova: Heat's plugin for Nova's client.
        """
        try:
            status = nova.get_status(nova.get_server(server))
        except exception.EntityNotFound:
            return False
        return self._heartbeat_timeout > 0 or status in _RUNNING

    def drains(self):
        """Return {server: Drain}, which may be a second old."""
        with _read_lock:
            at, found = _read.get(self.id, (None, None))
            if at is None or not 0 <= time.monotonic() - at < _SHARED:
                found = self.read()
                _read[self.id] = time.monotonic(), found
        return found

    def read(self):
        """Return {server: Drain}, as they are now."""
        try:
            data = resource_data.ResourceData.get_all(self)
        except exception.NotFound:
            # The hook has gone.
            return {}
        return {key[len(_DRAIN):]: _load(value) for key, value in data.items()
                if key.startswith(_DRAIN)}

    def draining(self):
        """Return {server: Drain} of those that go or have gone."""
        return {server: drain for server, drain in self.read().items()
                if not drain.is_refused}

    def pending(self):
        """Return what waits, as the hook's attribute of that name shows it."""
        return [{'lifecycle_action_token': drain.token, 'node_id': None,
                 'server': drain.server, 'since': _iso(drain.since)}
                for drain in self.read().values()
                if drain.result is None and not drain.is_abandoned]

    @classmethod
    def of_groups(cls, context):
        """Return the hooks of which groups want to know, of all projects."""
        with db_api.context_manager.reader.using(context):
            data = models.ResourceData
            ids = [row_id for row_id, in context.session.query(
                data.resource_id).filter(
                    data.key.like(_DRAIN + '%'),
                    data.value.like('%' + _GROUP + '%')).distinct()]
        rows = (resource_objects.Resource.get_obj(context, row_id)
                for row_id in ids)
        return [hook for hook in (cls._of(context, row) for row in rows)
                if hook]

    def begin(self, groups):
        """Begin the drains of servers, but for those that have been begun.

        :param groups: {server: the group that wants to know, or None}.
        :returns: {server: Drain} of them all.
        """
        with self._claim(*groups):
            known = self.read()
            self._forget_old_ones(known)
            begun = now()
            new = {server: Drain(server, str(uuid.uuid4()), begun,
                                 begun + self.timeout, begun, False, None,
                                 None, None, group)
                   for server, group in groups.items()
                   if server not in known or known[server].is_stale}
            self._set(*new.values())
        return {server: new.get(server) or known[server] for server in groups}

    def post(self, zaqar, servers):
        """Put the messages of drains on the queue that nobody has put there.

        Should an engine die before that is noted, there are two of each; an
        agent takes a token once.

        :param zaqar: Heat's client of the tenant.
        """
        with self._claim(*servers):
            silent = [drain for server, drain in self.read().items()
                      if server in servers and not drain.is_posted]
            queue = zaqar.queue(self.queue_name, auto_create=False)
            for first in range(0, len(silent), _AT_ONCE):
                some = silent[first:first + _AT_ONCE]
                queue.post([self._message(drain) for drain in some])
                self._set(*(drain._replace(is_posted=True) for drain in some))

    def _message(self, drain):
        """What Zaqar takes, as Senlin writes it.

        Senlin has IDs of its own for members
        (senlin/engine/actions/base.py, 16.0.0).
        """
        return {'ttl': max(self.timeout, _MIN_TTL),
                'body': {'lifecycle_action_token': drain.token,
                         'node_id': drain.server,
                         'resource_id': drain.server,
                         'lifecycle_transition_type': 'termination'}}

    def answer(self, token, result, reason):
        """Note what a guest has answered.

        :returns: the drain before that, None if no drain has this token, or
            an abandoned one.
        """
        for server, drain in self.read().items():
            if drain.token == token and not drain.is_abandoned:
                break
        else:
            return None
        with self._claim(server):
            drain = self.read().get(server)
            # Forgotten meanwhile, or begun anew.
            if drain is None or drain.token != token:
                return None
            if drain.result is None:
                self._set(drain._replace(
                    **({'heard': now()} if result == _signal.HEARTBEAT
                       else {'result': result, 'reason': reason})))
        return drain

    def outcome(self, drain):
        """Return (result, reason) of a drain, None while it may go on."""
        if drain.result is not None:
            return drain.result, drain.reason
        if now() >= drain.deadline:
            return self._default_result, (
                _('no answer within %d seconds') % self.timeout)
        if (self._heartbeat_timeout and
                now() >= drain.heard + self._heartbeat_timeout):
            return _signal.CONTINUE, (
                _('no heartbeat for %d seconds') % self._heartbeat_timeout)
        return None

    def finish(self, outcomes):
        """Record the outcomes of drains.

        :param outcomes: {server: (result, reason)}.
        :returns: {server: Drain}, as they were before, of those whose outcome
            nobody else has recorded.
        """
        if not outcomes:
            return {}
        over = now()
        with self._claim(*outcomes):
            known = self.read()
            first = {server: known[server] for server in outcomes
                     if server in known and known[server].over is None}
            self._set(*(drain._replace(
                result=outcomes[server][0], reason=outcomes[server][1],
                over=over) for server, drain in first.items()))
        return first

    def leave(self, *drains):
        """Let a group know nothing more of drains."""
        servers = {drain.server for drain in drains}
        if not servers:
            return
        with self._claim(*servers):
            known = self.read()
            self._set(*(known[server]._replace(group=None)
                        for server in servers if server in known))

    @contextlib.contextmanager
    def _claim(self, *servers):
        with contextlib.ExitStack() as claims:
            # In one order, or two who claim could wait for each other.
            for server in sorted(servers):
                claims.enter_context(lease.hold(
                    self.context, self._stack_id, server))
            yield

    def _set(self, *drains):
        with db_api.context_manager.writer.using(self.context):
            for drain in drains:
                resource_data.ResourceData.set(
                    self, _DRAIN + drain.server,
                    jsonutils.dumps(drain._asdict()))
        with _read_lock:
            _read.pop(self.id, None)

    def _forget_old_ones(self, drains):
        for server, drain in drains.items():
            if drain.over is not None and not drain.group and (
                    now() > drain.over + _REMEMBERED):
                self._delete(_DRAIN + server)

    def _delete(self, key):
        # Another engine may have deleted the row since it was read.
        with contextlib.suppress(exception.NotFound):
            resource_data.ResourceData.delete(self, key)


def _rows(context, reference):
    """Return the resources of the project with a reference ID."""
    row_id = _row_id(context, reference)
    if row_id is None:
        # The reference of an adopted hook is older than its row.
        return resource_objects.Resource.get_all_by_physical_resource_id(
            context, reference)
    try:
        return [resource_objects.Resource.get_obj(context, row_id)]
    except exception.NotFound:
        # It has been deleted in between.
        return []


def _row_id(context, reference):
    """Return the ID of the row that has its own UUID in a reference ID.

    Heat has an index on UUIDs of resources and none on reference IDs, which it
    therefore looks for in every row of the site.

    :returns: None if no resource of the project has that UUID and reference.
    """
    uuid_ = _UUID.search(reference or '')
    if not uuid_:
        return None
    with db_api.context_manager.reader.using(context):
        query = context.session.query(models.Resource.id).filter_by(
            uuid=uuid_[0], physical_resource_id=reference)
        if not context.is_admin:
            query = query.join(models.Stack).filter(sqlalchemy.or_(
                models.Stack.tenant == context.project_id,
                models.Stack.stack_user_project_id == context.project_id))
        return query.scalar()


def _load(value):
    return Drain(**jsonutils.loads(value))


def _iso(seconds):
    return datetime.datetime.fromtimestamp(
        seconds, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def now():
    """Seconds since the epoch."""
    return timeutils.utcnow_ts(True)
