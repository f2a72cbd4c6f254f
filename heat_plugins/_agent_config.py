# SPDX-License-Identifier: Apache-2.0

"""The document with all that an agent needs, see tests/contract."""

# Zaqar sets no upper bound. The signature outlives the servers that hold it,
# because an agent that cannot read the queue any more is worse than one that
# can read its messages, and the queue is deleted with the hook.
_QUEUE_ACCESS_SECONDS = 10 * 365 * 24 * 60 * 60


def build(zaqar, queue, queue_name, signal_url, timeout, heartbeat_timeout):
    """Return the document.

    Its bytes are user data: with other bytes Heat would replace servers.

    :param zaqar: Heat's plugin for Zaqar's client.
    :param queue: of that client, with this name.
    """
    access = queue.signed_url(paths=['messages'], methods=['GET'],
                              ttl_seconds=_QUEUE_ACCESS_SECONDS)
    return {
        'queue': {
            'name': queue_name,
            'url': _messages_url(zaqar, queue_name),
            'project_id': access['project'],
            'paths': access['paths'],
            'methods': access['methods'],
            'expires': access['expires'],
            'signature': access['signature'],
        },
        'signal_url': signal_url,
        'timeout': timeout,
        **_heartbeat(heartbeat_timeout),
    }


def _heartbeat(timeout):
    # One heartbeat that is lost, and one that is late, end no drain.
    return {'heartbeat': timeout // 3} if timeout else {}


def _messages_url(zaqar, queue_name):
    # Guests reach the public endpoint, whichever Heat itself uses.
    endpoint = zaqar.url_for(service_type=zaqar.MESSAGING,
                             interface='public').rstrip('/')
    if not endpoint.endswith('/v2'):
        endpoint += '/v2'
    return '%s/queues/%s/messages' % (endpoint, queue_name)
