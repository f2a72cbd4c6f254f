#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data of a server whose drain handler ends when the test says so.

set -eu
mkdir -p /etc/lifecycle/drain.d
cat >/etc/lifecycle/drain.d/50-gate <<'END'
#!/bin/sh
env | grep '^LIFECYCLE_' >/var/lib/draining
until [ -e /var/lib/release ]; do sleep 0.2; done
END
chmod 755 /etc/lifecycle/drain.d/50-gate
