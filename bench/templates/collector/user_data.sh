#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# User data of a server with what Heat's users have today: os-collect-config
# asks Heat for its metadata, and os-refresh-config runs what is new in it.

set -eu
export PATH="@BIN@:$PATH"
mkdir -p /var/lib/collector /var/run/heat-config
python3 - <<'END'
import email
import json

# Heat's own part of the user data, for cloud-init's part handler.
with open('/var/lib/cloud/instance/user-data.txt') as stream:
    parts = email.message_from_file(stream).walk()
    [part] = [p for p in parts if p.get_filename() == 'cfn-init-data']
cfn = json.loads(part.get_payload(decode=True))['os-collect-config']['cfn']
with open('/etc/os-collect-config.conf', 'w') as stream:
    stream.write('[DEFAULT]\ncommand = os-refresh-config\n'
                 'collectors = cfn\n@INTERVAL@\n[cfn]\n')
    for name, value in cfn.items():
        stream.write('%s = %s\n' % (name, value))
END

base=/opt/os-refresh-config
mkdir -p $base/pre-configure.d $base/configure.d $base/post-configure.d \
    $base/migration.d /opt/templates/var/run/heat-config
echo '{{deployments}}' >/opt/templates/var/run/heat-config/heat-config
cat >$base/configure.d/20-os-apply-config <<'END'
#!/bin/sh
exec os-apply-config --templates /opt/templates
END
cat >$base/configure.d/55-heat-config <<'END'
@HOOK@
END
chmod 755 $base/configure.d/*
export OS_REFRESH_CONFIG_BASE_DIR=$base
touch /var/log/bench.log
exec os-collect-config --config-file /etc/os-collect-config.conf \
    --cachedir /var/lib/collector --backup-cachedir /var/lib/collector-backup \
    >/var/log/os-collect-config.log 2>&1
