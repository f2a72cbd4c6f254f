#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and starts the session server and its drain handler: a shell-script
# part of user data. Heat's str_replace_strict puts server.py and drain.sh in
# the place of the two names below.

set -eu
umask 022

mkdir -p /opt/sessions /etc/lifecycle/drain.d /var/log

cat >/opt/sessions/server.py <<'END_OF_SERVER'
__SERVER__
END_OF_SERVER

cat >/etc/lifecycle/drain.d/50-sessions <<'END_OF_DRAIN'
__DRAIN__
END_OF_DRAIN
chmod 755 /etc/lifecycle/drain.d/50-sessions

setsid python3 /opt/sessions/server.py serve </dev/null \
    >>/var/log/sessions.log 2>&1 &
