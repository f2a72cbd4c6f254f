# SPDX-License-Identifier: Apache-2.0

"""The phases that drains are in when a fault begins."""

from sandbox import releases

SCALE_IN = {
    'idle': 'the scale-in begins while the fault lasts',
    'told': 'the message is on the queue, the agent has not polled',
    'handler': 'the drain handler runs',
    'signal': 'the handler is done, the signal has not arrived',
    'after': 'the signal has just been accepted',
}
# Heat's own work, which ends with an engine.
_OF_GROUPS = {
    'asked': 'the scale-in has just been asked for',
    'removal': 'the group removes the server',
}
DELETE = {
    'delete-begun': 'stack delete: the drain has begun, no agent knows',
    'delete-handler': 'stack delete: the drain handler runs',
    'delete-drained': 'stack delete: the server is gone, the stack is not',
}
if not releases.is_installed('senlin'):
    SCALE_IN.update(_OF_GROUPS)
PHASES = {**SCALE_IN, **DELETE}
