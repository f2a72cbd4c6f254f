#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/50-worker: systemd stops
# worker.service and starts it no more, whatever its Restart= says.

set -eu

# A failure of last week is not one of this drain.
systemctl reset-failed worker.service 2>/dev/null || :
# Returns when the service has ended. If this handler is killed, systemd goes
# on, and the next run waits for the same end.
systemctl stop worker.service
# Failed is also what had to be killed because TimeoutStopSec= was over.
! systemctl is-failed --quiet worker.service
