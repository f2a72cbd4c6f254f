#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data that shows what a guest is: it serves what it sees.

set -eu
mkdir -p /var/www
cd /var/www
id -u >uid
hostname >hostname
cat /var/lib/cloud/data/instance-id >instance-id
cat >/var/lib/cloud/scripts/per-boot/50-serve <<'END'
#!/bin/sh
cd /var/www
echo boot >>boots
setsid python3 -m http.server 8099 --bind "$(hostname -i)" \
    </dev/null >/dev/null 2>&1 &
END
chmod 755 /var/lib/cloud/scripts/per-boot/50-serve
/var/lib/cloud/scripts/per-boot/50-serve
