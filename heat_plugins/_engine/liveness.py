# SPDX-License-Identifier: Apache-2.0

"""Engines of Heat's that die while another one waits for them."""

from concurrent import futures
import time

from heat.common import service_utils
from heat.objects import service as service_object
import oslo_messaging

# Seconds between two looks. An engine that may only have much to do is asked
# twice before it counts as dead.
_PERIOD = 5

# Whoever is silent takes its time to be that, so they are asked side by side.
_AT_ONCE = 32


class Watch:
    """Which engines die from now on.

    All engines share the work on a stack, and nobody in Heat takes over what
    one of them has had when it dies. Which part that was is not known either:
    it may have been a message that is in no database.
    """

    def __init__(self, context):
        self._context = context
        # They have no part in what begins now.
        self._dead = _silent(context)
        self._suspects = set()
        self._look_at = time.monotonic() + _PERIOD

    def lost(self):
        """Return the IDs of engines that have died and are not forgotten."""
        if time.monotonic() < self._look_at:
            return set()
        silent = _silent(self._context)
        # Whoever was only slow to answer is watched again.
        self._dead &= silent
        silent -= self._dead
        lost = silent & self._suspects
        self._suspects = silent
        self._look_at = time.monotonic() + _PERIOD
        return lost

    def forget(self, lost):
        """Go on without them."""
        self._dead |= lost


def _silent(context):
    """Return the IDs of engines that do not answer, of those that should."""
    engines = [service.engine_id
               for service in service_object.Service.get_all(context)
               if service_utils.format_service(service)['status'] == 'up']
    # One that is alone is the one that asks.
    if len(engines) < 2:
        return set()
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(
            lambda engine: _answers(context, engine), engines))
    # If there is no answer at all, it is the message bus that is away.
    return {engine for engine, answers_it in zip(engines, answers)
            if not answers_it and any(answers)}


def _answers(context, engine):
    try:
        return service_utils.engine_alive(context, engine)
    except oslo_messaging.MessagingException:
        return False
