# SPDX-License-Identifier: Apache-2.0

"""Interface between a hook and what waits for its drains."""

import collections


class Answer(collections.namedtuple('Answer', ['text', 'follow_up'])):
    """Describe the effect of a signal.

    :ivar text: of the event, None if an earlier copy of the signal has had
        this effect.
    :ivar follow_up: a callable for the rest of the work, which may take as
        long as the drains of other servers, or None. It returns the text of
        one more event.
    """

    __slots__ = ()


class Waiter:
    """Wait for the drains of a hook in one way.

    Each method can be called again after an engine has died in it.

    :param hook: the OS::Hooks::LifecycleHook.
    """

    def __init__(self, hook):
        self._hook = hook

    def create(self, properties):
        """Create what is missing, for a hook with these properties."""

    def update(self, properties):
        """Take one step towards the properties of an update.

        :returns: what is waited for, None if nothing is left to do.
        """
        return None

    def missing(self):
        """Return the names of what was deleted behind Heat's back."""
        return []

    def remove(self):
        """Remove what was created.

        :raises Error: when something still depends on the hook.
        """

    def answer(self, signal):
        """Apply a signal to the drain that has its token.

        :returns: an Answer, None if another waiter may know the token.
        :raises Refused: when no drain with the token can take it.
        :raises NoActionRequired: when nothing waits for it.
        """
        raise NotImplementedError

    def pending(self):
        """Return the drains that are waited for, as the attribute has them."""
        raise NotImplementedError
