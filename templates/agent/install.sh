#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and starts the drain agent: a shell-script part of user data. Heat's
# str_replace_strict puts the agent, its unit and the lifecycle hook's
# agent_config in the place of the three names below. Safe to run twice.

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
mkdir -p /etc/lifecycle/drain.d /opt/drain-agent /var/lib /var/log
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

if [ -d /run/systemd/system ]; then
    cat >/etc/systemd/system/drain-agent.service <<'END_OF_DRAIN_AGENT_SERVICE'
__DRAIN_AGENT_SERVICE__
END_OF_DRAIN_AGENT_SERVICE
    systemctl daemon-reload
    systemctl enable drain-agent.service
    # Rather than enable --now, which leaves an old version running.
    systemctl restart drain-agent.service
else
    # Run for the second time, it finds the first one's lock and goes.
    setsid /opt/drain-agent/drain-agent </dev/null \
        >>/var/log/drain-agent.log 2>&1 &
fi
echo "drain-agent: installed, run by $python"
