#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/10-health-check: the health check
# fails from here on, everything else is served as before.

set -eu
touch /run/draining
# The load balancer does not tell. Give it the time of three failed checks at
# an interval of 2 seconds, and put in the numbers of yours.
sleep 6
