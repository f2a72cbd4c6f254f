#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data of a server whose drain handler says when it runs, and for how many
# seconds is told by a file. The agent's log takes what it says.

set -eu
mkdir -p /etc/lifecycle/drain.d
cat >/etc/lifecycle/drain.d/50-bench <<'END'
#!/bin/sh
date +'runs %s.%N'
sleep "$(cat /var/lib/bench-seconds)"
date +'ends %s.%N'
END
chmod 755 /etc/lifecycle/drain.d/50-bench
