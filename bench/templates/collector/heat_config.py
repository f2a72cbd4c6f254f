#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What 55-heat-config, its hook "script" and heat-config-notify of heat-agents
# do, as little of it as a deployment needs; neither PyPI nor Debian has them.

import json
import os
import subprocess
import tempfile
from urllib import request

with open('/var/run/heat-config/heat-config') as stream:
    text = stream.read().strip()
for deployment in json.loads(text) if text else ():
    done = '/var/lib/collector/deployed-' + deployment['id']
    if os.path.exists(done) or not deployment['config']:
        continue
    inputs = {item['name']: str(item.get('value'))
              for item in deployment['inputs']}
    with tempfile.NamedTemporaryFile('w', suffix='.sh') as script:
        script.write(deployment['config'])
        script.flush()
        status = subprocess.call(['sh', script.name],
                                 env={**os.environ, **inputs})
    open(done, 'w').close()
    # The URL is Heat's.
    request.urlopen(request.Request(  # nosec B310
        inputs['deploy_signal_id'],
        json.dumps({'deploy_status_code': status}).encode(),
        {'Content-Type': 'application/json'}), timeout=60)
