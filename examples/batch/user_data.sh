#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and starts a batch worker and its drain handler: a shell-script part
# of user data. Heat's str_replace_strict puts the files beside this one, and
# the URL of the job server, in the place of the three names below.

set -eu
umask 022

mkdir -p /opt/batch-worker /etc/lifecycle/drain.d /var/log

cat >/opt/batch-worker/worker.py <<'END_OF_WORKER'
__WORKER__
END_OF_WORKER

cat >/etc/lifecycle/drain.d/50-batch-worker <<'END_OF_DRAIN'
__DRAIN__
END_OF_DRAIN
chmod 755 /etc/lifecycle/drain.d/50-batch-worker

setsid python3 /opt/batch-worker/worker.py '__JOBS_URL__' </dev/null \
    >>/var/log/batch-worker.log 2>&1 &
