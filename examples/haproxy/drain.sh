#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/50-haproxy: HAProxy takes no
# connection any more, keeps those it has, and ends with the last one.

set -eu

pid=$(cat /run/haproxy.pid 2>/dev/null) || pid=
# HAProxy leaves the file behind, and its number is used again.
if [ "$(cat "/proc/${pid:-none}/comm" 2>/dev/null)" != haproxy ]; then
    echo 'HAProxy does not run, so no session is open'
    exit
fi

# The master hands it on to its workers, those before a reload as well, and
# ends after them. Not "systemctl stop haproxy": that cuts.
kill -USR1 "$pid" || echo 'HAProxy has just ended'
tail --pid="$pid" --sleep-interval=0.2 --follow /dev/null
echo 'drained'
