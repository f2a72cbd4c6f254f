#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A drain handler, /etc/lifecycle/drain.d/50-sessions: asks the session server
# to drain and ends when the last session has.

exec python3 /opt/sessions/server.py drain
