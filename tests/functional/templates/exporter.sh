#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data of a server that Prometheus can ask; the test writes the answer.
# Its drain handler ends when the test says so.

set -eu
mkdir -p /etc/lifecycle/drain.d /var/www
cat >/etc/lifecycle/drain.d/50-gate <<'HANDLER'
#!/bin/sh
touch /var/lib/draining
until [ -e /var/lib/release ]; do sleep 0.2; done
HANDLER
chmod 755 /etc/lifecycle/drain.d/50-gate
setsid python3 -m http.server 9100 --bind "$(hostname -i)" \
    --directory /var/www </dev/null >/dev/null 2>&1 &
