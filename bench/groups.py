# SPDX-License-Identifier: Apache-2.0

"""Who scales without Senlin: groups of Heat's, and what Heat knows of them.

`bench.clusters` has the same methods for a line with Senlin.
"""

import functools
import json
import time
import typing

import requests

from bench import context as contexts
from sandbox.services import postgres
from tests.functional import tenant

# The key of a drain in the data of a hook, less the ID of the server.
_DRAIN = 'drain-'


class Group(typing.NamedTuple):
    """One of the groups of bench/templates/groups.yaml.

    :param stack: in which it is.
    :param urls: {what to do: URL that does it}: "0" leaves no member, "+10"
        adds ten.
    :param nested: ID of the stack with its members.
    """

    stack: tenant.Stack
    name: str
    urls: dict
    nested: str

    def scale(self, what):
        answer = requests.post(self.urls[what], timeout=contexts.PATIENCE)
        if not answer.ok:
            raise contexts.BenchError(
                'Heat does not scale the group "%s" by %s: %s'
                % (self.name, what, answer.text))

    def servers(self):
        return self.stack.output(self.name)


class Groups:
    """Groups of Heat's: one that listens, and two of the stock type.

    Heat's database is asked, which costs Heat nothing.
    """

    WHO = 'Heat'
    # What is over at the end of a round, and what it does last.
    STEP = "Heat's step"
    LAST = "Heat's end of it"

    # Members of a group, at the most: each step of Heat's touches all of them,
    # and twice as many take four times as long.
    MOST = 50

    # Services whose requests are counted.
    COUNTED = ('keystone', 'zaqar', 'heat')

    # Rounds in which nobody but Heat takes any time, and their beginning: it
    # deletes members that it need not ask.
    OWN = (contexts.NONE, 'asked')

    def __init__(self, context):
        self._context = context

    def create(self, user_data):
        """Return {name: Group, "queue": name of a queue}."""
        stack = self._context.project.create_stack(
            contexts.TEMPLATES / 'groups.yaml', user_data=user_data)
        return {'queue': stack.output('queue'), **{
            name: Group(stack, name, urls,
                        stack.resource(name).physical_resource_id)
            for name, urls in stack.output('urls').items()}}

    def create_silent(self, size):
        """Return a stack whose servers have no agent."""
        return self._context.project.create_stack(
            tenant.TEMPLATES / 'listening_group.yaml', size=size,
            max_size=size, drain_timeout=tenant.PATIENCE)

    def waiting(self, size):
        """How often Heat waits, when a stack of so many is deleted."""
        return size

    def servers(self, group):
        return group.servers()

    def resize(self, group, size):
        """Ask for a size, and return what `ended` takes."""
        step = size - len(self._members(group))
        group.scale('0' if size == 0 else '%+d' % step)
        return group, size

    def ended(self, what):
        """Return when a group had its size, false as long as it has not."""
        group, size = what
        members = self._members(group)
        for name, status, reason in members:
            if status == 'FAILED':
                raise contexts.BenchError(
                    'Member %s of the group "%s" has failed: %s'
                    % (name, group.name, reason))
        if len(members) != size or self.is_busy(group) or any(
                status != 'COMPLETE' for _name, status, _reason in members):
            return False
        return time.time()

    def is_busy(self, group):
        """Whether members are being made or removed."""
        [[metadata]] = self._ask(
            'SELECT rsrc_metadata FROM resource '
            'WHERE stack_id = %s AND name = %s', group.stack.id, group.name)
        return json.loads(metadata or '{}').get('scaling_in_progress', False)

    def watch(self, _group):
        return _Members(self)

    def drains(self):
        """Return {server: drain} of all hooks, as Heat's plugin keeps them."""
        return {key[len(_DRAIN):]: json.loads(value)
                for key, value in self._ask(
                    'SELECT key, value FROM resource_data WHERE key LIKE %s',
                    _DRAIN + '%')}

    def _members(self, group):
        return self._ask('SELECT name, status, status_reason FROM resource '
                         'WHERE stack_id = %s', group.nested)

    @functools.cached_property
    def _database(self):
        # One for all: PostgreSQL starts a process for each.
        return postgres.connect(self._context.local.cloud, 'heat')

    def _ask(self, statement, *parameters):
        return postgres.ask(self._database, statement, *parameters)


class _Members:
    """What becomes of the members of groups."""

    def __init__(self, groups):
        self._groups = groups

    def waits(self):
        """Return {token: (server, when it began)} of all that have waited."""
        return {drain['token']: (server, drain['since'])
                for server, drain in self._groups.drains().items()}

    def ended(self, gone):
        """Return {server: {event: time}} of those that are members no more.

        Heat keeps no record of a member: it ends with its server.
        """
        return {server: {'member_over': at} for server, at in gone.items()}
