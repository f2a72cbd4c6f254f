# SPDX-License-Identifier: Apache-2.0

"""Poll loops with a deadline, and retries of services that are away."""

import contextlib
import datetime
import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource
from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import exceptions as nova_exceptions
from openstack import exceptions as sdk_exceptions
from oslo_log import log as logging
import oslo_messaging
from oslo_utils import timeutils
import requests
from zaqarclient import errors as zaqar_errors

LOG = logging.getLogger(__name__)

# The poll interval. Senlin itself polls a drain every three seconds.
POLL_SECONDS = 3

# A service that is restarted or upgraded is back by then.
OUTAGE_SECONDS = 300

# A poll loop ends so long before the stack timeout, because Heat says "Timed
# out" then and nothing else.
_MARGIN_SECONDS = 10

# What clients of Senlin, Nova, Zaqar and Keystone may raise.
SERVICE_ERRORS = (
    sdk_exceptions.SDKException,
    ksa_exceptions.ClientException,
    nova_exceptions.ClientException,
    zaqar_errors.ZaqarError,
    # The Zaqar client lets it through.
    requests.RequestException,
    exception.HeatException,
)

# What a request to another engine may raise.
ENGINE_ERRORS = (
    exception.HeatException,
    oslo_messaging.MessagingException,
)


class Poller:
    """Run the poll loop of one attempt of a handler, with a deadline.

    A handler returns a poller, and the check that belongs to the handler
    takes one step of the work at each poll. Steps are idempotent, so an
    outage of a service costs time and nothing else.
    """

    def __init__(self, rsrc):
        self._name = rsrc.name
        self._seconds = rsrc.stack.timeout_secs()
        self._deadline = _in_seconds(max(self._seconds - _MARGIN_SECONDS, 0))
        self._away_until = None

    def poll_once(self, step):
        """Take one step, and return True if it was the last one.

        :param step: a callable that returns None when there is nothing left
            to do, else a sentence that names what is waited for.
        :raises PollDelay: when there is more to do.
        :raises Error: when the deadline has passed.
        """
        outage = None
        try:
            awaited = step()
        except ksa_exceptions.EndpointNotFound as error:
            raise exception.Error(
                _('%(name)s: %(error)s; repeat the operation when the service '
                  'is in the catalogue of Keystone.')
                % {'name': self._name, 'error': describe(error)})
        except SERVICE_ERRORS as error:
            if not is_outage(error):
                raise
            outage = error
        # In an except clause oslo.log would add the exception once more.
        if outage is None:
            self._away_until = None
        else:
            awaited = self._outage(outage)
        if awaited is None:
            return True
        if timeutils.utcnow() < self._deadline:
            raise resource.PollDelay(POLL_SECONDS)
        raise exception.Error(
            _('%(name)s: %(awaited)s This has taken the %(seconds)s seconds '
              'of the stack timeout. What was begun goes on; repeat the '
              'operation, with a longer "--timeout" (in minutes) if need be.')
            % {'name': self._name, 'awaited': awaited,
               'seconds': self._seconds})

    def _outage(self, error):
        if self._away_until is None:
            self._away_until = _in_seconds(OUTAGE_SECONDS)
            LOG.warning('%(name)s: waiting for a service: %(error)s',
                        {'name': self._name, 'error': describe(error)})
        if timeutils.utcnow() < self._away_until:
            return _('A service does not answer: %s.') % describe(error)
        raise exception.Error(
            _('%(name)s: a service has not answered for %(seconds)s seconds: '
              '%(error)s. Repeat the operation when it is back.')
            % {'name': self._name, 'seconds': OUTAGE_SECONDS,
               'error': describe(error)})


def retry_on_outage(call, *args):
    """Retry a call as long as a service that it needs is away.

    Signals need this, because their senders have long had a success as the
    response. It blocks its thread.

    :returns: what the call returns.
    :raises: what the call raises, an outage after `OUTAGE_SECONDS` only.
    """
    end = _in_seconds(OUTAGE_SECONDS)
    while True:
        try:
            return call(*args)
        except SERVICE_ERRORS as error:
            if not is_outage(error) or timeutils.utcnow() >= end:
                raise
        time.sleep(POLL_SECONDS)


def is_outage(error):
    """Return True if an error says that a service is away for now."""
    if isinstance(error, (ksa_exceptions.ConnectionError,
                          ksa_exceptions.DiscoveryFailure,
                          requests.ConnectionError, requests.Timeout,
                          # What openstacksdk says when it cannot ask a
                          # service for its versions.
                          sdk_exceptions.NotSupported,
                          sdk_exceptions.ServiceDiscoveryException)):
        return True
    for attribute in ('status_code', 'http_status', 'code'):
        status = getattr(error, attribute, None)
        if isinstance(status, int):
            return status >= 500
    return False


@contextlib.contextmanager
def ignore_missing_endpoint():
    """Skip the rest of a block that needs a service without an endpoint.

    Deletions need this: when an operator removes a service from the
    catalogue, everything in that service is gone too.
    """
    missing = None
    try:
        yield
    except ksa_exceptions.EndpointNotFound as error:
        missing = error
    # In an except clause oslo.log would add the exception once more.
    if missing:
        LOG.warning('left out: %s', describe(missing))


def describe(error):
    """Return an error as one short line without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip('.: ')


def _in_seconds(seconds):
    return timeutils.utcnow() + datetime.timedelta(seconds=seconds)
