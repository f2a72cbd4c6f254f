#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data that tries the drain agent out, as an image pipeline does.

mkdir -p /etc/lifecycle/drain.d
cat >/etc/lifecycle/drain.d/50-nothing <<'END'
#!/bin/sh
echo nothing to drain
END
chmod 755 /etc/lifecycle/drain.d/50-nothing
/opt/drain-agent/drain-agent check >/var/lib/check.txt
echo "status $?" >>/var/lib/check.txt
