#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and starts the drain agent: a shell-script part of user data. Heat's
# str_replace_strict puts the agent, its unit, its OpenRC script and the
# lifecycle hook's agent_config in the place of the four names below. Safe to
# run twice.

set -eu

config=$(cat <<'END_OF_AGENT_CONFIG'
__AGENT_CONFIG__
END_OF_AGENT_CONFIG
)

if [ -z "$config" ]; then
    echo 'drain-agent: not installed, this stack has no lifecycle hook'
    exit 0
fi

# RHEL has a Python for cloud-init alone, outside the PATH.
for candidate in python3 /usr/libexec/platform-python; do
    python=$("$candidate" -c 'import sys
if sys.version_info >= (3, 6): print(sys.executable)' 2>/dev/null) || :
    [ -z "$python" ] || break
done
if [ -z "$python" ]; then
    echo 'drain-agent: not installed, it needs Python 3.6 or later' >&2
    exit 1
fi

umask 022
mkdir -p /etc/lifecycle/agent.d /etc/lifecycle/drain.d /opt/drain-agent \
    /var/lib /var/log
(
    # Whoever reads the configuration can complete this server's drain.
    umask 077
    mkdir -p /var/lib/lifecycle
    printf '%s\n' "$config" >/etc/lifecycle/agent.json.new
)
mv /etc/lifecycle/agent.json.new /etc/lifecycle/agent.json

{
    # Isolated: no PYTHON* variable and no user's packages get in.
    printf '#!%s -I\n' "$python"
    # Packed, because user data is short.
    "$python" -c 'import base64, sys, zlib
sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.stdin.read())))' \
        <<'END_OF_DRAIN_AGENT'
__DRAIN_AGENT__
END_OF_DRAIN_AGENT
} >/opt/drain-agent/drain-agent.new
chmod 755 /opt/drain-agent/drain-agent.new
mv /opt/drain-agent/drain-agent.new /opt/drain-agent/drain-agent

# For people. Nothing needs it, and /usr may be read-only.
ln -sf /opt/drain-agent/drain-agent /usr/local/bin/drain-agent 2>/dev/null || :

# A restart in any case, or an old version would stay.
if [ -d /run/systemd/system ]; then
    cat >/etc/systemd/system/drain-agent.service <<'END_OF_DRAIN_AGENT_SERVICE'
__DRAIN_AGENT_SERVICE__
END_OF_DRAIN_AGENT_SERVICE
    systemctl daemon-reload
    systemctl enable drain-agent.service
    systemctl restart drain-agent.service
# OpenRC may be installed and not the init, so not openrc-run.
elif [ -e /run/openrc/softlevel ]; then
    cat >/etc/init.d/drain-agent <<'END_OF_DRAIN_AGENT_OPENRC'
__DRAIN_AGENT_OPENRC__
END_OF_DRAIN_AGENT_OPENRC
    chmod 755 /etc/init.d/drain-agent
    rc-update add drain-agent default
    rc-service drain-agent restart
else
    # Anything else: cloud-init runs this at each later boot.
    mkdir -p /var/lib/cloud/scripts/per-boot
    cat >/var/lib/cloud/scripts/per-boot/10-drain-agent <<'END_OF_START'
#!/bin/sh
# Unless another process has got the number since.
pid=$(cat /run/drain-agent.pid 2>/dev/null) || :
if grep -qs drain-agent "/proc/${pid:-0}/cmdline"; then
    kill -- "-$pid" "$pid" 2>/dev/null || :
fi
# After a reboot in a drain, no application may start before the marker file is
# there again.
/opt/drain-agent/drain-agent mark >>/var/log/drain-agent.log 2>&1 || :
# The new agent fails until the old one has stopped its handlers.
setsid sh -c 'while :; do /opt/drain-agent/drain-agent; sleep 2; done' \
    </dev/null >>/var/log/drain-agent.log 2>&1 &
echo $! >/run/drain-agent.pid
END_OF_START
    chmod 755 /var/lib/cloud/scripts/per-boot/10-drain-agent
    /var/lib/cloud/scripts/per-boot/10-drain-agent
fi
echo "drain-agent: installed, run by $python"
