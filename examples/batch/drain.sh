#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/50-batch-worker: the worker finishes
# its job and takes no other one. Run again, it waits for the same end.

set -eu

pid=$(cat /run/batch-worker.pid 2>/dev/null) || pid=
# The file of a worker that was killed stays behind, and its number is used
# again.
if ! grep -qs batch-worker "/proc/${pid:-none}/cmdline"; then
    if [ -n "$pid" ]; then
        echo 'the worker died, and its job with it'
        exit 1
    fi
    echo 'no worker runs'
    exit 0
fi
kill -TERM "$pid" || echo 'the worker has just ended'
tail --pid="$pid" --sleep-interval=0.2 --follow /dev/null
if [ -e /run/batch-worker.pid ]; then
    echo 'the worker died, and its job with it'
    exit 1
fi
echo 'the last job is done'
