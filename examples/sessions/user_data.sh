#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and starts the session server, and tells the drain agent how to drain
# it: a shell-script part of user data. Heat's str_replace_strict puts server.py
# and agent.json in the place of the two names below.

set -eu
umask 022

mkdir -p /opt/sessions /etc/lifecycle/agent.d /var/log

cat >/opt/sessions/server.py <<'END_OF_SERVER'
__SERVER__
END_OF_SERVER

# The first IPv4 address of this server's name that others can reach; all
# addresses if there is none. Many images have a loopback address for the name,
# and a link-local IPv6 address comes first where systemd answers for it.
address=$(getent ahostsv4 "$(uname -n)" | sed -n -e '/^127\.0\./d' \
    -e '/^169\.254\./d' -e 's/ .*//p' -e q)

sed "s/ADDRESS/$address/" >/etc/lifecycle/agent.d/50-sessions.json \
    <<'END_OF_AGENT_SETTINGS'
__AGENT_SETTINGS__
END_OF_AGENT_SETTINGS

if [ -d /run/systemd/system ]; then
    cat >/etc/systemd/system/sessions.service <<END_OF_SERVICE
[Unit]
Description=Session server, an example of a server that drains
Wants=network-online.target
After=network-online.target
# The address may be late after a reboot: never give up.
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/env python3 /opt/sessions/server.py --address '$address'
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
END_OF_SERVICE
    systemctl daemon-reload
    systemctl enable sessions.service
    systemctl restart sessions.service
else
    # Without systemd, cloud-init starts it at each later boot.
    mkdir -p /var/lib/cloud/scripts/per-boot
    cat >/var/lib/cloud/scripts/per-boot/50-sessions <<END_OF_START
#!/bin/sh
setsid python3 /opt/sessions/server.py --address '$address' </dev/null \\
    >>/var/log/sessions.log 2>&1 &
END_OF_START
    chmod 755 /var/lib/cloud/scripts/per-boot/50-sessions
    /var/lib/cloud/scripts/per-boot/50-sessions
fi
