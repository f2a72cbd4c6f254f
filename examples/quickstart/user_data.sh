#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Stands for an application that takes a minute to finish its work.

mkdir -p /etc/lifecycle/drain.d
cat > /etc/lifecycle/drain.d/50-wait << 'HANDLER'
#!/bin/sh
sleep 60
HANDLER
chmod 755 /etc/lifecycle/drain.d/50-wait
