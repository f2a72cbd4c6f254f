#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/50-web: the container "web" gets its
# stop signal, and all the time there is to end. For Podman and Docker; a
# container that is run with --rm takes its exit status with it.

set -eu

engine=$(command -v podman || command -v docker)
state() {
    "$engine" container inspect --format "{{.State.$1}}" web 2>/dev/null || :
}

if [ "$(state Running)" != true ]; then
    echo 'the container does not run'
    exit
fi

# Before the agent stops this handler, or nobody would learn how it ended.
left=$((LIFECYCLE_DEADLINE - $(date +%s) - 2))
# Docker takes less than nothing for "without end".
[ "$left" -gt 0 ] || left=0
"$engine" stop --time "$left" web >/dev/null

# 128 + SIGKILL: it was still at work when its time was over.
if [ "$(state ExitCode)" = 137 ]; then
    echo 'the container had to be killed'
    exit 1
fi
echo 'drained'
