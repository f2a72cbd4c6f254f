# SPDX-License-Identifier: Apache-2.0

"""Which secrets are in the logs of the local cloud, and which belong there.

What the services themselves log is in doc/source/security.rst, and here.
"""

import json
import re
from urllib import parse

# What gives them away, whatever their value is.
SHAPES = {
    'token of Keystone': re.compile(rb'gAAAAA[\w-]{60,}'),
    'signature of Zaqar': re.compile(
        rb'(?i)url-signature\W{1,5}[0-9a-f]{64}|"signature": ?"[0-9a-f]{64}'),
    'signature of Heat': re.compile(
        rb'(?i)[?&]Signature=[\w%+/]{20,}'),
    'scaling URL': re.compile(rb'/v1/webhooks/[0-9a-f-]{36}/trigger'),
}

# An API writes down each request with its query, or the web server that the
# local cloud puts in front of it on threads.
_REQUEST = re.compile(rb' (eventlet\.wsgi\.server|wsgi) .* "[A-Z]+ /v1/')

# {log: what begins the lines in which a service shows a secret of its own}.
KNOWN = {
    # Both APIs, of which one has a log of its own where engines are several.
    'heat.log': _REQUEST,
    'heat-api-cfn.log': _REQUEST,
    'senlin.log': _REQUEST,
    # Its whole configuration, as it starts (4.7.1).
    'gnocchi.log': re.compile(rb' gnocchi\.rest\.app: Application setup '),
    # Before it posts to a URL.
    'aodh.log': re.compile(rb' aodh\.notifier\.rest '),
}


def of_cloud(local):
    """Return {name: secret} of the passwords and keys of a local cloud."""
    return json.loads((local.cloud.state / 'secrets.json').read_text())


def of_hook(config, name='hook'):
    """Return {name: secret} of what a hook gives to its guests.

    :param config: the attribute "agent_config", as a dict.
    """
    query = parse.urlsplit(config['signal_url']).query
    return {name + ' signature of the queue': config['queue']['signature'],
            name + ' signature of the signal URL':
                parse.parse_qs(query)['Signature'][0],
            name + ' signature as it is in the URL':
                query.rpartition('Signature=')[2]}


def sizes(local):
    """Return {log: its length now}, to begin there later."""
    return {path: path.stat().st_size for path in local.cloud.logs.glob('*')}


def found(paths, secrets, begin=None):
    """Return where a secret is, as "file:line: secret"; empty is good.

    :param paths: log files.
    :param secrets: {name: secret}.
    :param begin: {path: byte to begin with}; lines are counted from there.
    """
    wanted = {name: secret.encode() for name, secret in secrets.items()}
    places = []
    for path in paths:
        known = KNOWN.get(path.name)
        with path.open('rb') as log:
            log.seek((begin or {}).get(path, 0))
            for number, line in enumerate(log, 1):
                if known and known.search(line):
                    continue
                names = [name for name, secret in wanted.items()
                         if secret in line]
                names += [name for name, shape in SHAPES.items()
                          if shape.search(line)]
                places += ['%s:%d: %s' % (path.name, number, name)
                           for name in names]
    return places
