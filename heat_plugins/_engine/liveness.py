# SPDX-License-Identifier: Apache-2.0

"""Failure detector for the other engines of the site."""

from concurrent import futures
import time

from heat.common import service_utils
from heat.objects import service as service_object
import oslo_messaging

# An engine counts as failed when it has not responded to two probes in a row,
# because an engine under load may miss one.
_PROBE_SECONDS = 5

# An engine that does not respond takes the whole timeout of a probe, so the
# probes run in parallel.
_PARALLEL_PROBES = 32


class FailureDetector:
    """Detect which engines fail from now on.

    All engines share the work on a stack, and Heat moves nothing of what a
    failed engine has had to another one. Which part that was is not known
    either: it may have been a message that is in no database.
    """

    def __init__(self, context):
        self._context = context
        # These engines take no part in what begins now.
        self._acknowledged = _unresponsive(context)
        self._suspects = set()
        self._next_probe = time.monotonic() + _PROBE_SECONDS

    def newly_failed(self):
        """Return the IDs of failed engines that are not acknowledged."""
        if time.monotonic() < self._next_probe:
            return set()
        unresponsive = _unresponsive(self._context)
        # An engine that was only slow to respond is watched again.
        self._acknowledged &= unresponsive
        unresponsive -= self._acknowledged
        failed = unresponsive & self._suspects
        self._suspects = unresponsive
        self._next_probe = time.monotonic() + _PROBE_SECONDS
        return failed

    def acknowledge(self, failed):
        """Report these engines no more."""
        self._acknowledged |= failed


def _unresponsive(context):
    """Return the IDs of engines that are up and do not respond."""
    engines = [service.engine_id
               for service in service_object.Service.get_all(context)
               if service_utils.format_service(service)['status'] == 'up']
    # The only engine is the one that runs this.
    if len(engines) < 2:
        return set()
    with futures.ThreadPoolExecutor(_PARALLEL_PROBES) as pool:
        responses = list(pool.map(
            lambda engine: _is_responsive(context, engine), engines))
    # If no engine responds, the message bus is away.
    return {engine for engine, responds in zip(engines, responses)
            if not responds and any(responses)}


def _is_responsive(context, engine):
    try:
        return service_utils.engine_alive(context, engine)
    except oslo_messaging.MessagingException:
        return False
