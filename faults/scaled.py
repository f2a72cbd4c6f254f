# SPDX-License-Identifier: Apache-2.0

"""What faults scale in and delete: a cluster of Senlin's, a group of Heat's.

The release line decides which one, and only here they differ.
"""

import pathlib
import time

import requests

from sandbox import releases
from tests.functional import tenant

_HERE = pathlib.Path(__file__).parent

_UNFINISHED = ('INIT', 'WAITING', 'READY', 'RUNNING',
               'WAITING_LIFECYCLE_COMPLETION')

# Seconds between two requests of an alarm that repeats. A group that is busy
# keeps one for 15 s; see _PATIENCE in native/autoscaling_group.py of the
# plugin.
_PERIOD = 30
# Seconds for one request.
_TIMEOUT = 10


class Cluster:
    """A cluster of Senlin's, in a stack of its own.

    :cvar OVERTIME: seconds that a server may outlive its timeout; None where
        whoever waits for it may have to begin anew.
    :cvar IMPATIENCE: seconds after which the tenant deletes a stack again
        that has not gone, and seconds between two such attempts.
    :cvar HANG: services that have to be started anew after their database.
    """

    NAME = 'cluster'
    TEMPLATE = _HERE / 'cluster.yaml'
    OVERTIME = None
    IMPATIENCE = 60, 60
    # What is in doc/source/faults.rst: it waits for ever for what it had in
    # hand.
    HANG = ('senlin',)

    def __init__(self, stack):
        self.stack = stack

    @property
    def _senlin(self):
        return self.stack.project.connection.clustering

    @staticmethod
    def listed(project):
        """Return {kind: set of IDs} of what the project has of this sort."""
        senlin = project.connection.clustering
        return {kind: {entry.id for entry in getattr(senlin, kind)()}
                for kind in ('policies', 'profiles', 'clusters', 'nodes',
                             'receivers')}

    def servers(self):
        """IDs of the servers, the oldest first."""
        return [node.physical_id for node in sorted(
            self.stack.nodes().values(), key=lambda node: node.created_at)]

    def belongings(self):
        """IDs of all that it has now."""
        return {name for server, node in self.stack.nodes().items()
                for name in (server, node.id)}

    def scale_in(self, victim):
        """Ask for a server less, and return when that is taken."""
        self.stack.scale_in()

    def ask(self, victim, size):
        """Ask for less than `size` servers; return whether that is taken."""
        # The answer to a request that was taken may be lost.
        return (self.stack.cluster().desired_capacity < size
                or 'action' in self._senlin.scale_in_cluster(
                    self.stack.cluster_id, count=1))

    def scale_out(self, patience):
        """Have one server more."""
        action = self.stack.scale_out()
        tenant.wait_for('the scale-out', lambda: (
            self.stack.is_over(action)), patience)

    def deletion_has_begun(self, victim):
        """Whether somebody waits for the drain of a stack delete."""
        return any(self._senlin.actions(
            target_id=self.stack.cluster_id, action='CLUSTER_RESIZE'))

    def is_busy(self, victim):
        """Whether somebody still works on a scale-in."""
        # Not by the actions on its nodes: what Senlin has given up before it
        # could post a message waits for ever, and nobody waits for it.
        return any(self._senlin.actions(
            target_id=self.stack.cluster_id, status=_UNFINISHED))

    @staticmethod
    def may_delete_again(gone, overdue):
        """Whether the tenant repeats a stack delete that goes on."""
        # Senlin works on, and what still has its time is left in peace.
        return gone or overdue


class Group:
    """A group of Heat's that scales on while members drain, like `Cluster`."""

    NAME = 'group'
    TEMPLATE = _HERE / 'group.yaml'
    OVERTIME = 60
    # Heat needs a minute to come down to the drains, looking at each level for
    # the engine that died. Who repeats it sooner begins anew.
    IMPATIENCE = 30, 90
    # A stack delete; the group itself gets over it.
    HANG = ('heat',)

    def __init__(self, stack):
        self.stack = stack
        self._urls = {what: stack.output(what + '_url')
                      for what in ('scale_in', 'scale_out')}
        self._asked = None

    @staticmethod
    def listed(project):
        return {'stacks': {stack.id for stack in project.heat.stacks.list(
            show_nested=True)}}

    def servers(self):
        return self.stack.output('servers')

    def belongings(self):
        """IDs of all that it has now, at every level."""
        return {resource.physical_resource_id for resource in
                self.stack.project.heat.resources.list(
                    self.stack.id, nested_depth=3)}

    def scale_in(self, victim):
        self._asked = None
        tenant.wait_for('the scale-in', lambda: self.ask(victim, 0))

    def ask(self, victim, size):
        # Heat answers before it does anything, so the alarm repeats.
        if self.has_marked(victim):
            return True
        if self._asked is None or time.monotonic() > self._asked + _PERIOD:
            self.post('scale_in')
        return False

    def has_marked(self, victim):
        return (victim in self.stack.output('draining').values()
                or victim not in self.servers())

    def post(self, what):
        """Ask for one server less or more, once."""
        requests.post(self._urls[what], timeout=_TIMEOUT).raise_for_status()
        self._asked = time.monotonic()

    def scale_out(self, patience):
        wanted = self.stack.output('size') + 1
        self._asked = None

        def is_there():
            if self.stack.output('size') >= wanted:
                return (set(self.servers()) <= set(
                    self.stack.project.servers()) and not self.is_scaling())
            if self._asked is None or (
                    time.monotonic() > self._asked + _PERIOD):
                self.post('scale_out')
            return False
        tenant.wait_for('the scale-out', is_there, patience)

    def is_scaling(self):
        """Whether it makes or removes members just now."""
        return tenant.is_scaling(self.stack.project.heat, self.stack.id,
                                 'group')

    def deletion_has_begun(self, victim):
        return victim in self.stack.pending()

    def is_busy(self, victim):
        # It needs no second request, whoever has died, and may not forget a
        # server that it no longer names.
        return (victim in self.servers()
                or victim in self.stack.project.servers())

    @staticmethod
    def may_delete_again(gone, overdue):
        # The drain waits in the stack delete, which Heat does not resume. To
        # repeat one that goes on asks nobody twice.
        return True


def kind():
    """Return the class of what this release line has."""
    return Cluster if releases.is_installed('senlin') else Group
