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

# The address that the name of this server has; all of them where that is a
# mere loopback address, as in many images.
read -r address _ <<END
$(getent hosts "$(uname -n)")
END
case $address in 127.0.*|::1) address= ;; esac

sed "s/ADDRESS/$address/" >/etc/lifecycle/agent.d/50-sessions.json \
    <<'END_OF_AGENT_SETTINGS'
__AGENT_SETTINGS__
END_OF_AGENT_SETTINGS

setsid python3 /opt/sessions/server.py --address "$address" </dev/null \
    >>/var/log/sessions.log 2>&1 &
