#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/10-health-check: the health check
# fails from here on, and everything is served as before until the load
# balancer has seen it. The server leaves the pool later, with its deletion.

set -eu
touch /run/draining
# The load balancer does not tell, so wait for as long as it may take.
sleep __LEAVE_TIME__
