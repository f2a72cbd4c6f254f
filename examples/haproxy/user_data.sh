#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Starts HAProxy and installs its drain handler: a shell-script part of user
# data, for Debian. Heat's str_replace_strict puts the files beside this one in
# the place of the three names below.

set -eu
umask 022

if ! command -v haproxy >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes --no-install-recommends haproxy
fi

mkdir -p /etc/lifecycle/drain.d /etc/haproxy

cat >/etc/haproxy/haproxy.cfg <<'END_OF_CONFIG'
__CONFIG__
END_OF_CONFIG

cat >/etc/lifecycle/drain.d/50-haproxy <<'END_OF_DRAIN'
__DRAIN__
END_OF_DRAIN
chmod 755 /etc/lifecycle/drain.d/50-haproxy

if [ -d /run/systemd/system ]; then
    mkdir -p /etc/systemd/system/haproxy.service.d
    cat >/etc/systemd/system/haproxy.service.d/restart.conf <<'END_OF_RESTART'
__RESTART__
END_OF_RESTART
    systemctl daemon-reload
    systemctl enable haproxy
    systemctl restart haproxy
else
    # A guest of the local cloud: it shares its network with the others, and
    # root may be the only user that it has.
    sed -i -e "s/bind :7000/bind $(hostname -i):7000/" \
        -e '/^ *\(user\|group\|chroot\) /d' /etc/haproxy/haproxy.cfg
    mkdir -p /var/lib/cloud/scripts/per-boot
    cat >/var/lib/cloud/scripts/per-boot/50-haproxy <<'END_OF_START'
#!/bin/sh
exec haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid
END_OF_START
    chmod 755 /var/lib/cloud/scripts/per-boot/50-haproxy
    /var/lib/cloud/scripts/per-boot/50-haproxy
fi
