# SPDX-License-Identifier: Apache-2.0

"""The phases that drains are in when a fault begins."""

SCALE_IN = {
    'idle': 'the scale-in begins while the fault lasts',
    'told': 'the message is on the queue, the agent has not polled',
    'handler': 'the drain handler runs',
    'signal': 'the handler is done, the signal has not arrived',
    'after': 'the signal has just been accepted',
}
DELETE = {
    'delete-begun': 'stack delete: the resize has begun, no agent knows',
    'delete-handler': 'stack delete: the drain handler runs',
    'delete-drained': 'stack delete: the server is gone, the cluster is not',
}
PHASES = {**SCALE_IN, **DELETE}
