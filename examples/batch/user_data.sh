#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and starts a batch worker and its drain handler: a shell-script part
# of user data. Heat's str_replace_strict puts the files beside this one, and
# the URL of the job server, in the place of the three names below.

set -eu
umask 022

mkdir -p /opt/batch-worker /etc/lifecycle/agent.d /etc/lifecycle/drain.d \
    /var/log

cat >/opt/batch-worker/worker.py <<'END_OF_WORKER'
__WORKER__
END_OF_WORKER

cat >/etc/lifecycle/drain.d/50-batch-worker <<'END_OF_DRAIN'
__DRAIN__
END_OF_DRAIN
chmod 755 /etc/lifecycle/drain.d/50-batch-worker

cat >/etc/lifecycle/agent.d/50-batch-worker.json <<'END_OF_AGENT_SETTINGS'
{"marker_file": "/run/batch-worker.draining"}
END_OF_AGENT_SETTINGS

# After a reboot in a drain, the worker would take another job. The URL is
# quoted here, since systemd would expand "%" and "$" in it.
cat >/opt/batch-worker/start <<'END_OF_START'
#!/bin/sh
if [ -e /run/batch-worker.draining ]; then
    echo 'not started, this server drains'
    exit 0
fi
exec python3 /opt/batch-worker/worker.py '__JOBS_URL__'
END_OF_START
chmod 755 /opt/batch-worker/start

if [ -d /run/systemd/system ]; then
    cat >/etc/systemd/system/batch-worker.service <<'END_OF_SERVICE'
[Unit]
Description=Batch worker, an example of a server that drains
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/opt/batch-worker/start
# Not "always": a worker that has drained ends with status 0 and stays so.
Restart=on-failure

[Install]
WantedBy=multi-user.target
END_OF_SERVICE
    systemctl daemon-reload
    systemctl enable batch-worker.service
    systemctl restart batch-worker.service
else
    # Without systemd, cloud-init starts it at each later boot.
    mkdir -p /var/lib/cloud/scripts/per-boot
    cat >/var/lib/cloud/scripts/per-boot/50-batch-worker <<'END_OF_BOOT'
#!/bin/sh
setsid /opt/batch-worker/start </dev/null >>/var/log/batch-worker.log 2>&1 &
END_OF_BOOT
    chmod 755 /var/lib/cloud/scripts/per-boot/50-batch-worker
    /var/lib/cloud/scripts/per-boot/50-batch-worker
fi
