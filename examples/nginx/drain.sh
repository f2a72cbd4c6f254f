#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/50-nginx: nginx takes no connection
# any more, finishes what it has, and ends.

set -eu

pid=$(cat /run/nginx.pid 2>/dev/null) || pid=
# The file of a crashed nginx stays behind, and its number is used again.
if [ "$(cat "/proc/${pid:-none}/comm" 2>/dev/null)" = nginx ]; then
    # What "nginx -s quit" does, even if the configuration is broken by now.
    # Not "systemctl stop nginx": Debian's unit gives it five seconds.
    kill -QUIT "$pid" || echo 'nginx has just ended'
    tail --pid="$pid" --sleep-interval=0.2 --follow /dev/null
    # The last thing that nginx does is to remove it.
    if [ -e /run/nginx.pid ]; then
        echo 'nginx died, or somebody has started it again'
        exit 1
    fi
fi

# nginx leaves the ends of its answers to the kernel, from where a slow client
# still fetches them.
while ss -Htn state fin-wait-1 'sport = :8080' | grep -q .; do
    sleep 0.2
done
echo 'drained'
