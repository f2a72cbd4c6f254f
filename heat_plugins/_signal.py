# SPDX-License-Identifier: Apache-2.0

"""Format of the signals that a guest sends to a lifecycle hook."""

import collections
import re
import reprlib

from heat.common.i18n import _

TOKEN = 'lifecycle_action_token'
RESULT = 'lifecycle_action_result'
REASON = 'reason'

CONTINUE = 'CONTINUE'
ROLLBACK = 'ROLLBACK'
HEARTBEAT = 'HEARTBEAT'
TEST = 'TEST'

_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')

# What they mean; the reference is made from it.
RESULTS = {
    CONTINUE: _('The server may be deleted now. A result that is missing '
                'means the same, and so does the end of the timeout.'),
    ROLLBACK: _('The server must not go: its deletion is cancelled, it stays '
                'in the cluster, and the desired capacity is put back when '
                'the other drains of the same scale-in are over. A stack that '
                'is being deleted ends in DELETE_FAILED.'),
    HEARTBEAT: _('Changes nothing but the time at which a guest was heard '
                 'last, see "heartbeat_timeout" of the hook. An agent sends '
                 'it by itself.'),
    TEST: _('Changes nothing, and needs no token: the event that it leaves '
            'proves that a guest reaches the hook.'),
}

# What a guest sent ends up in events and logs: an event holds 255 characters,
# and a line break would let a guest write log lines of its own.
_QUOTE_LENGTH = 120

# Whole, a value may be longer than the memory is, or deeper than Python goes.
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _QUOTE_LENGTH

Signal = collections.namedtuple('Signal', ['token', 'result', 'reason'])


class Refused(Exception):
    """Raised for a signal without an effect; its text is the reason."""


def quote(value):
    """Return what a guest sent as one short printable piece of text."""
    text = value if isinstance(value, str) else _REPR.repr(value)
    text = ''.join(c if c.isprintable() else ' ' for c in text)
    if len(text) > _QUOTE_LENGTH:
        text = text[:_QUOTE_LENGTH - 3] + '...'
    return text


def parse(details):
    """Parse and validate the body of a signal.

    A result that is missing means CONTINUE; unknown keys are ignored. A test
    has no token.

    :raises Refused: when the body is not a valid signal.
    """
    if not isinstance(details, dict):
        raise Refused('the body is not a JSON object')
    result = details.get(RESULT)
    if result is None:
        result = CONTINUE
    if result not in tuple(RESULTS):
        raise Refused('%s "%s" is none of %s'
                      % (RESULT, quote(result), ', '.join(RESULTS)))
    token = details.get(TOKEN)
    if result != TEST:
        _refuse_token(token)
    return Signal(token, result, quote(details.get(REASON) or 'no reason'))


def _refuse_token(token):
    if token is None:
        raise Refused('%s is missing' % TOKEN)
    # The token becomes part of a URL, so nothing but a UUID may pass, and only
    # as Senlin writes it: with any number of dashes it would be one as well.
    if not isinstance(token, str) or not _UUID.fullmatch(token):
        raise Refused('%s "%s" is not a UUID' % (TOKEN, quote(token)))
