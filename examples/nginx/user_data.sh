#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Starts nginx and installs its drain handlers: a shell-script part of user
# data, for Debian. Heat's str_replace_strict puts the files beside this one in
# the place of the three names below.

set -eu
umask 022

if ! command -v nginx >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes --no-install-recommends nginx
fi

mkdir -p /etc/lifecycle/drain.d /var/www/html

cat >/etc/nginx/conf.d/example.conf <<'END_OF_SITE'
__SITE__
END_OF_SITE
rm -f /etc/nginx/sites-enabled/default
echo "served by $(hostname)" >/var/www/html/index.html

cat >/etc/lifecycle/drain.d/10-health-check <<'END_OF_HEALTH_CHECK'
__HEALTH_CHECK__
END_OF_HEALTH_CHECK
cat >/etc/lifecycle/drain.d/50-nginx <<'END_OF_DRAIN'
__DRAIN__
END_OF_DRAIN
chmod 755 /etc/lifecycle/drain.d/10-health-check \
    /etc/lifecycle/drain.d/50-nginx

if [ -d /run/systemd/system ]; then
    systemctl enable nginx
    systemctl restart nginx
else
    # A guest of the local cloud: it shares its network with the others, and
    # root may be the only user that it has.
    sed -i "s/listen 8080;/listen $(hostname -i):8080;/" \
        /etc/nginx/conf.d/example.conf
    sed -i 's/^user .*/user root;/' /etc/nginx/nginx.conf
    mkdir -p /var/log/nginx /var/lib/nginx /var/lib/cloud/scripts/per-boot
    cat >/var/lib/cloud/scripts/per-boot/50-nginx <<'END_OF_START'
#!/bin/sh
exec nginx
END_OF_START
    chmod 755 /var/lib/cloud/scripts/per-boot/50-nginx
    /var/lib/cloud/scripts/per-boot/50-nginx
fi
