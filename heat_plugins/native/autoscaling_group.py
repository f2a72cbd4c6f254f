# SPDX-License-Identifier: Apache-2.0

"""OS::Hooks::AutoScalingGroup: scale on while members drain."""

import contextlib
import functools
import random
import time

from heat.common import exception
from heat.common import grouputils
from heat.common.i18n import _
from heat.engine import attributes
from heat.engine import properties
from heat.engine import resource
from heat.engine.resources.openstack.heat import autoscaling_group
from heat.engine.resources import template_resource
from heat.engine import support
from heat.objects import resource as resource_objects
from heat.objects import resource_data
from heat.objects import stack as stack_object
from heat.scaling import scalingutil
from oslo_log import log as logging
from oslo_utils import timeutils

from .. import _retry
from .. import _signal
from . import _drains
from .._engine import clients
from .._engine import lease
from .._engine import liveness
from . import _wakeups

LOG = logging.getLogger(__name__)

# Criteria of the hook.
_YOUNGEST_FIRST, _RANDOM = 'YOUNGEST_FIRST', 'RANDOM'

# Keys in the metadata of a group, of heat/scaling/cooldown.py: whether members
# are being made or removed.
_BUSY = 'scaling_in_progress'

# The key in its data for when whoever makes or removes members was at work
# last, and the seconds after which nobody is; it is noted about once a second.
_TURN = 'turn'
_TURN_LASTS = 20

# Seconds for which what an alarm asks is kept while somebody is at work, and
# between two looks whether somebody is.
_PATIENCE = 15
_PERIOD = 1

# Seconds that a removal waits at the most for others who drain as well, those
# in which nobody else has answered, and those between two looks.
_GATHERS = 5
_QUIET = 1
_LOOK = 0.25


class _Busy(resource.NoActionRequired):
    """Somebody makes or removes members."""


class AutoScalingGroup(clients.ClientsWithTimeout,
                       autoscaling_group.AutoScalingResourceGroup):
    """An OS::Heat::AutoScalingGroup whose members drain before they go.

    Scaled in, Heat's own group deletes members at once, and with a guard in
    each member it waits for their drains and is deaf meanwhile: what alarms
    ask of it is dropped. This one only marks the members that are to go and
    posts their messages. It goes on scaling in both directions, and removes a
    member when its guest has answered, or its time is over.

    A member that drains no longer counts: not for the size, nor for the
    bounds. Until it goes there may be more servers than "max_size".

    The template of a member has one server, as its output OS::stack_id, and
    an OS::Hooks::DrainWaitCondition, which guards it when it goes in another
    way: in a rolling update, or with the stack. A member can be an
    OS::Nova::Server as well; it is then guarded in a scale-in only.

    The result ROLLBACK keeps a member and counts it again.
    """

    support_status = support.SupportStatus(
        version='22.0.0', status=support.UNSUPPORTED)

    # A signal is only a look at the drains.
    signal_needs_metadata_updates = False

    HOOK = 'hook'
    DRAINING = 'draining'

    PROPERTIES = (
        *autoscaling_group.AutoScalingResourceGroup.PROPERTIES, HOOK)
    ATTRIBUTES = (
        *autoscaling_group.AutoScalingResourceGroup.ATTRIBUTES, DRAINING)

    properties_schema = {
        **autoscaling_group.AutoScalingResourceGroup.properties_schema,
        HOOK: properties.Schema(
            properties.Schema.STRING,
            _('The OS::Hooks::LifecycleHook through which members drain, by '
              'get_resource.'),
            required=True,
            update_allowed=True,
        ),
    }

    attributes_schema = {
        **autoscaling_group.AutoScalingResourceGroup.attributes_schema,
        autoscaling_group.AutoScalingResourceGroup.CURRENT_SIZE:
        attributes.Schema(
            _('The number of members that do not drain.'),
            type=attributes.Schema.INTEGER,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        DRAINING: attributes.Schema(
            _('The IDs of the servers that drain now, by the names of their '
              'members.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    # Names of the members that the nested stack is to be without.
    _leaving = ()
    # Whether it waits for a step of the members' stack.
    _is_waiting = False
    # Whether the engine has died that had the last turn, and whether one has
    # died in the middle of a step that has not been taken once more.
    _takes_over = False
    _is_torn = False
    # Whether the update under way says how many members there shall be.
    _resets_capacity = False

    def validate(self):
        """Validate the properties.

        :raises StackValidationFailed: also if the template of a member does
            not tell its server. The reference of such a member is the
            identifier of its stack, and nothing would drain.
        """
        super().validate()
        member = self.properties[self.RESOURCE]['type']
        cls = self.stack.env.get_class(member, files=self.stack.t.files)
        if (issubclass(cls, template_resource.TemplateResource)
                and template_resource.STACK_ID_OUTPUT
                not in cls.attributes_schema):
            raise exception.StackValidationFailed(message=_(
                '%(name)s: the template of a member, %(type)s, has no output '
                '"OS::stack_id", by which a group finds the server that is to '
                'drain; add it, with the server by get_resource as its value.')
                % {'name': self.name, 'type': member})

    def get_attribute(self, key, *path):
        if key == self.DRAINING:
            return {name: drain.server
                    for name, drain in self._draining().items()}
        if key == self.CURRENT_SIZE:
            return len(self._counted())
        return super().get_attribute(key, *path)

    def _resolve_attribute(self, name):
        # What "openstack stack resource show" goes by, of which Heat's own
        # group says nothing there. The hook may be of the same stack, whose
        # references Heat has not looked up then.
        if name in (self.DRAINING, self.CURRENT_SIZE):
            with self.frozen_properties():
                return self.get_attribute(name)
        return super()._resolve_attribute(name)

    def get_size(self):
        # What Heat asks when it replaces members in batches. It would shrink
        # the group on the way, without a drain.
        return len(grouputils.get_member_definitions(self,
                                                     include_failed=True))

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self._resets_capacity = self.DESIRED_CAPACITY in (prop_diff or ())
        super().handle_update(json_snippet, tmpl_diff, prop_diff)

    def adjust(self, *args, **kwargs):
        # The removal of a member takes seconds, and what an alarm asks for
        # meanwhile would be dropped.
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                super().adjust(*args, **kwargs)
            except _Busy:
                if time.monotonic() > end:
                    raise
            else:
                _wakeups.is_free(self.stack.id, self.name)
                return
            time.sleep(_PERIOD)

    def resize(self, capacity):
        """Bring the group to a size that includes those who drain."""
        size = grouputils.get_size(self)
        if capacity < size:
            self._begin_drains(size - capacity)
        # An update waits for one of the members' stack, whatever it changes.
        if capacity >= size or self.status == self.IN_PROGRESS:
            # Those that are being removed are in no template.
            removed = size - len(self._members())
            super().resize(max(capacity, size) - removed)
            # Its attributes are stored at the end of an update.
            self._look_anew()

    def handle_signal(self, details=None):
        """Go by what the drains have come to.

        The ticker sends it when a guest has answered, or the time of one is
        over.
        """
        if self.status == self.IN_PROGRESS:
            raise resource.NoActionRequired(
                res_name=self.name, reason='it is being changed')
        hook = self._hook()
        leaving = self._settle(hook)
        if not leaving:
            raise resource.NoActionRequired(
                res_name=self.name, reason='no drain is over')
        self._take_turn()
        removed = set()
        try:
            leaving = self._gather(hook, leaving)
            # Others may answer while these are removed.
            while not leaving.keys() <= removed:
                self._remove(hook, leaving)
                removed.update(leaving)
                leaving = self._settle(hook)
        finally:
            # The cooldown counts from the end of a drain as well.
            self._finished_scaling(None, 'drained')
        # Not after a failure, which would come again as soon.
        _wakeups.is_free(self.stack.id, self.name)
        return _('Removed after their drains: %s.') % ', '.join(
            sorted(removed))

    def _get_new_capacity(self, capacity, adjustment,
                          adjustment_type=scalingutil.CFN_EXACT_CAPACITY,
                          min_adjustment_step=None):
        counted = len(self._counted())
        # Heat counts all members, until nothing is left of them.
        uncounted = capacity - counted
        if self.status == self.IN_PROGRESS and not self._resets_capacity:
            # An update of something else. Heat would go back to the size that
            # the group began with, and drain what alarms have added since.
            # Failed members count, because it is the update that replaces
            # them.
            adjustment = self._wanted()
        return uncounted + super()._get_new_capacity(
            counted, adjustment, adjustment_type, min_adjustment_step)

    def _check_scaling_allowed(self, cooldown):
        with self._turns():
            for end in self.metadata_get().get('cooldown_end', ()):
                if timeutils.is_newer_than(end, -(cooldown or 0)):
                    self._log_and_raise_no_action(cooldown)
            super()._check_scaling_allowed(cooldown)

    def _finished_scaling(self, cooldown, *args, **kwargs):
        # Heat says it for each step of the members' stack as well, when there
        # is more to do.
        if not self._is_waiting:
            # How long nobody may scale is up to who wants to: after a scale-in
            # with a long cooldown the group still grows when it has to.
            super()._finished_scaling(0, *args, **kwargs)
            # Only now: this has outdated who looked before, and could still
            # store what there was then.
            self.clear_stored_attributes()

    def clear_stored_attributes(self):
        # Heat stores what it shows. Whoever has looked at the stack in the
        # middle of a step has stored what this object does not know of.
        # The stack may have gone.
        with contextlib.suppress(exception.NotFound):
            self._attr_data_id = resource_objects.Resource.get_obj(
                self.context, self.id, refresh=True,
                fields=('attr_data_id',)).attr_data_id
            super().clear_stored_attributes()

    def update_with_template(self, child_template):
        self._watch = liveness.FailureDetector(self.context)
        self._submit = functools.partial(super().update_with_template,
                                         child_template)
        return self._submit()

    def _check_for_completion(self, updater):
        self._is_waiting = True
        try:
            while True:
                for step in super()._check_for_completion(updater):
                    self._note_turn()
                    self._go_on()
                    yield step
                if not self._is_torn:
                    break
                # Heat has replaced what an engine was making as it died, and
                # keeps both, and may name the wrong one until it is asked for
                # the same once more (seen with 27.0.1).
                self._is_torn = self._takes_over = False
                with self._later_if_refused():
                    updater = self._submit()
        finally:
            self._is_waiting = False

    def _go_on(self):
        """Have Heat finish a step in which an engine has died.

        The template has the names of all members there shall be, so nothing
        is made twice.
        """
        lost = self._watch.newly_failed()
        if not lost and not self._takes_over:
            return
        with self._later_if_refused():
            if lost:
                LOG.warning('%(name)s: begins its step again; engines have '
                            'died in the middle of it: %(engines)s',
                            {'name': self.name,
                             'engines': ', '.join(sorted(lost))})
                self._is_torn = True
                state = stack_object.Stack.get_status(
                    self.context, self.resource_id)[:2]
                # It may have ended just now, or is being deleted.
                if tuple(state) == (self.UPDATE, self.IN_PROGRESS):
                    self._submit()
            # Only now: the step would have failed with what is stopped here.
            self._delete_again()
            self._watch.acknowledge(lost)
            self._takes_over = False

    @contextlib.contextmanager
    def _later_if_refused(self):
        """Leave to the next look, or the next step, what cannot be now."""
        try:
            yield
        except _retry.ENGINE_ERRORS as error:
            LOG.warning('%(name)s: %(error)s',
                        {'name': self.name, 'error': _retry.describe(error)})

    def _delete_again(self):
        """Have Heat go on with members that are stacks and being deleted.

        An update waits for the deletions that another one has begun.
        """
        for member in stack_object.Stack.get_all_by_owner_id(
                self.context, self.resource_id):
            if (member.action, member.status) == (self.DELETE,
                                                  self.IN_PROGRESS):
                with self.rpc_client().ignore_error_by_name('EntityNotFound'):
                    self.rpc_client().delete_stack(
                        self.context, dict(member.identifier()), cast=False)

    def _create_template(self, num_instances, num_replace=0, **kwargs):
        template = super()._create_template(
            num_instances + len(self._leaving), num_replace, **kwargs)
        for name in self._leaving:
            template.remove_resource(name)
        return template

    def _nested_output_defns(self, resource_names, *args):
        return super()._nested_output_defns(
            [name for name in resource_names if name not in self._leaving],
            *args)

    def _hook(self):
        hook = _drains.Hook.find(self.context, self.properties[self.HOOK])
        if hook is None:
            raise exception.Error(
                _('%(name)s: "hook" is not an OS::Hooks::LifecycleHook of '
                  'this project: "%(hook)s"; give the hook by get_resource.')
                % {'name': self.name, 'hook': self.properties[self.HOOK]})
        return hook

    def _members(self):
        """Names of the members, without those that are being removed."""
        return [name for name, _definition
                in grouputils.get_member_definitions(self)]

    def _counted(self):
        """Names of the members that neither drain nor are being removed."""
        draining = self._draining()
        return [name for name in self._members() if name not in draining]

    def _wanted(self):
        """Return the number of members, failed ones too, that shall stay."""
        hook = _drains.Hook.find(self.context, self.properties[self.HOOK])
        # By name: Heat does not tell the server of a member that has failed.
        draining = {name for name, drain in self._begun(hook).items()
                    if not drain.is_refused} if hook else set()
        return sum(name not in draining for name, _definition
                   in grouputils.get_member_definitions(self, True))

    def _servers(self):
        """Return {name of a member: ID of its server}, the oldest first.

        Those that are being removed are not among them.
        """
        self._look_anew()
        members = self._group_data().member_names(False)
        servers = super().get_attribute(self.REFS_MAP)
        return {name: servers[name] for name in members if name in servers}

    def _look_anew(self):
        """Keep nothing of what Heat remembers of the members."""
        self._outputs = None
        self._group_data(refresh=True)

    def _draining(self):
        """Return {name of a member: its drain, under way or just over}."""
        hook = _drains.Hook.find(self.context, self.properties[self.HOOK])
        drains = hook.draining() if hook else {}
        # A group without drains need not be asked for its servers.
        if not drains:
            return {}
        return {name: drains[server]
                for name, server in self._servers().items()
                if server in drains}

    def _begin_drains(self, number):
        hook = self._hook()
        with self._claim():
            draining = hook.draining()
            candidates = [(name, server)
                          for name, server in self._servers().items()
                          if server not in draining]
            # Somebody else may have begun since the number was found.
            number = min(number,
                         len(candidates) - self.properties[self.MIN_SIZE])
            victims = _in_order(hook.criteria, candidates)[:max(number, 0)]
            drains = hook.begin({server: self._address(name)
                                 for name, server in victims})
        LOG.info('%(name)s: to drain: %(members)s',
                 {'name': self.name, 'members': ', '.join(
                     '%s (server %s)' % victim for victim in victims)})
        _wakeups.look()
        self._take_note(hook, {name: drains[server]
                               for name, server in victims})

    def _settle(self, hook):
        """Take note of drains that are over.

        It asks for nothing but the hook, because it is asked for often.

        :returns: {name of a member: drain} of those that are to be removed.
        """
        return self._take_note(hook, self._begun(hook))

    def _begun(self, hook):
        """Return {name of a member: its drain}, of drains of this group's."""
        return {drain.group['member']: drain
                for drain in hook.read().values() if self._has_begun(drain)}

    def _take_note(self, hook, drains):
        """Ask who has not been asked, and go by the outcomes there are.

        :returns: those of the drains whose members are to be removed.
        """
        outcomes = {name: hook.outcome(drain)
                    for name, drain in drains.items()}
        outcomes.update(self._ask(hook, {
            name: drain for name, drain in drains.items()
            if outcomes[name] is None and not drain.is_posted}))
        over = {name: outcome for name, outcome in outcomes.items() if outcome}
        first = hook.finish({drains[name].server: outcome
                             for name, outcome in over.items()
                             if drains[name].over is None})
        self._add_events({name: (first[drains[name].server], outcome)
                          for name, outcome in over.items()
                          if drains[name].server in first})
        leaving, staying = {}, {}
        for name, (result, reason) in over.items():
            if result == _signal.ROLLBACK:
                staying[name] = drains[name]
                LOG.info('%(name)s: %(member)s stays: %(reason)s',
                         {'name': self.name, 'member': name,
                          'reason': reason})
            else:
                leaving[name] = drains[name]
        hook.leave(*staying.values())
        return leaving

    def _add_events(self, ended):
        """Add an event for each drain that has ended without a signal.

        The event of a signal is the hook's.

        :param ended: {name of a member: (drain, outcome)}.
        """
        for name, (drain, (result, reason)) in sorted(ended.items()):
            if drain.result is None:
                text = _('%(result)s for server %(server)s, member '
                         '%(member)s, after %(took)d s: %(reason)s.') % {
                             'result': result, 'server': drain.server,
                             'member': name, 'took': drain.age,
                             'reason': reason}
                LOG.info('%s: %s', self.name, text)
                self._add_event('SIGNAL', self.status, text)

    def _ask(self, hook, drains):
        """Post the messages of drains.

        :returns: {name of a member: outcome} of those that cannot hear it.
        """
        outcomes = {}
        if not drains:
            return outcomes
        try:
            # First: all others wait for it.
            hook.post(self.client('zaqar'),
                      [drain.server for drain in drains.values()])
            for name, drain in drains.items():
                if not hook.is_running(self.client_plugin('nova'),
                                       drain.server):
                    outcomes[name] = (_signal.CONTINUE,
                                      _('it is not running'))
        except _retry.SERVICE_ERRORS as error:
            if not _retry.is_outage(error):
                raise
            LOG.warning('%(name)s: %(members)s may be asked later: %(error)s',
                        {'name': self.name, 'members': ', '.join(drains),
                         'error': _retry.describe(error)})
        return outcomes

    def _gather(self, hook, leaving):
        """Return who leaves, with those who answer in these seconds.

        In a removal Heat looks at each member there is, so it takes long, and
        who comes late waits for the next one.
        """
        began = heard = time.monotonic()
        while time.monotonic() < min(began + _GATHERS, heard + _QUIET):
            if self._begun(hook).keys() <= leaving.keys():
                break
            time.sleep(_LOOK)
            before, leaving = leaving, self._settle(hook)
            if leaving.keys() != before.keys():
                heard = time.monotonic()
        return leaving

    def _remove(self, hook, leaving):
        """Remove members, and end their drains.

        An engine may have died here before, or it has failed: then they are
        in no template any more. Some may have gone in another way.
        """
        members, servers = self._members(), self._servers()
        there = set(self._group_data().member_names(True))
        # Nobody is removed in the place of one that has been replaced.
        names = {name for name, drain in leaving.items() if name in there
                 and servers.get(name, drain.server) == drain.server}
        if names:
            LOG.info('%(name)s: to remove: %(members)s',
                     {'name': self.name, 'members': ', '.join(sorted(names))})
            self._leaving = [name for name in members if name in names]
            try:
                super().resize(len(members) - len(self._leaving))
            finally:
                self._leaving = ()
        hook.leave(*leaving.values())

    def _take_turn(self):
        with self._turns():
            self.metadata_set(dict(self.metadata_get(), **{_BUSY: True}))

    def _is_busy(self):
        """Whether somebody makes or removes members, and is alive."""
        if not self.metadata_get(refresh=True).get(_BUSY):
            return False
        try:
            # Not as this object has known it before.
            at = resource_data.ResourceData.get_val(self, _TURN)
        except exception.NotFound:
            return False
        return _drains.now() < float(at) + _TURN_LASTS

    @contextlib.contextmanager
    def _turns(self):
        """Let one engine at a time find out whose turn to scale it is.

        Heat notes that a group is scaling, and the note stays when the engine
        dies that wrote it.

        :raises _Busy: when it is somebody else's.
        """
        with self._claim():
            if self._is_busy():
                raise _Busy(res_name=self.name, reason='it is scaling')
            metadata = self.metadata_get()
            if metadata.get(_BUSY):
                LOG.warning('%s: an engine has died in the middle of a '
                            'scaling step', self.name)
                self._takes_over = self._is_torn = True
                self.metadata_set(dict(metadata, **{_BUSY: False}))
                # Its step may be over, but for this.
                self.clear_stored_attributes()
            yield
            self._note_turn()

    def _note_turn(self):
        self.data_set(_TURN, str(_drains.now()))

    def _claim(self):
        # What is done under it takes a second.
        return lease.hold(self.context, self.stack.id, self.uuid,
                          seconds=_TURN_LASTS)

    def _address(self, member):
        """Where a signal reaches this group, about a member."""
        return {'stack': dict(self.stack.identifier()), 'name': self.name,
                'member': member}

    def _has_begun(self, drain):
        return bool(drain.group) and (
            drain.group == self._address(drain.group['member']))


def _in_order(criteria, members):
    """Return members, oldest first, in the order in which they are to go."""
    if criteria == _RANDOM:
        return random.sample(members, len(members))
    # All members are of one profile, so those of the oldest are all.
    return members[::-1] if criteria == _YOUNGEST_FIRST else members


def resource_mapping():
    return {
        'OS::Hooks::AutoScalingGroup': AutoScalingGroup,
    }
