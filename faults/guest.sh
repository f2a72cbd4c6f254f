#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data of a server that faults are injected into: its agent takes the
# time plus what /var/lib/clock says, and its handler hangs on demand.

set -eu
[ -e /var/lib/clock ] || echo 0 >/var/lib/clock
sed -i '1r /dev/stdin' /opt/drain-agent/drain-agent <<'END'
import time
time.time = (lambda now: lambda: now() + float(
    open("/var/lib/clock").read()))(time.time)
END
# The shell around it starts it again, with this clock.
for path in $(grep -lsz '^/opt/drain-agent/drain-agent$' \
        /proc/[0-9]*/cmdline); do
    pid=${path#/proc/}
    kill "${pid%/cmdline}" || :
done

mkdir -p /etc/lifecycle/drain.d
cat >/etc/lifecycle/drain.d/50-hang <<'END'
#!/bin/sh
trap '' TERM
while [ -e /var/lib/hang ]; do sleep 1; done
END
chmod 755 /etc/lifecycle/drain.d/50-hang
