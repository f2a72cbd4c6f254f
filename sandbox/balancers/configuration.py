# SPDX-License-Identifier: Apache-2.0

"""What HAProxy is told of a load balancer: pure functions.

They take Octavia's own data models, as its repositories return them.
"""

import hashlib

# Octavia's word: HAProxy's.
MODES = {'HTTP': 'http', 'HTTPS': 'tcp', 'TCP': 'tcp'}
ALGORITHMS = {'ROUND_ROBIN': 'roundrobin', 'LEAST_CONNECTIONS': 'leastconn',
              'SOURCE_IP': 'source'}
MONITORS = ('HTTP', 'TCP')
HEADERS = {
    'X-Forwarded-For': 'option forwardfor',
    'X-Forwarded-Port': 'http-request set-header X-Forwarded-Port %[dst_port]',
    'X-Forwarded-Proto': 'http-request set-header X-Forwarded-Proto http',
}

# Clients whose server HAProxy remembers, a pool.
_STICK_TABLE_SIZE = '10k'


def render(balancer, socket, states):
    """Return the configuration of a load balancer, None if it serves nothing.

    :param socket: path of the socket on which HAProxy answers us.
    :param states: path of the file with the states of its servers, which a
        new worker goes on with.
    """
    listeners = [listener for listener in wanted(balancer.listeners)
                 if listener.enabled]
    if not (balancer.enabled and listeners):
        return None
    sections = [('global', [
        # A new worker is given the open sockets by the old one: no
        # connection is refused in between.
        'stats socket %s mode 600 level admin expose-fd listeners' % socket,
        'server-state-file "%s"' % states,
    ]), ('defaults', [
        'load-server-state-from-file global',
        # Whoever cannot be connected to is not asked again.
        'retries 3',
        'option redispatch 1',
    ])]
    for listener in listeners:
        sections.append(_frontend(balancer, listener))
        if _pool(listener):
            sections.append(_backend(listener, _pool(listener)))
    text = ''.join('%s\n%s\n' % (name, ''.join(
        '    %s\n' % line for line in lines)) for name, lines in sections)
    # By this one sees which configuration a worker has.
    return text.replace('global\n', 'global\n    description %s\n'
                        % generation(text), 1)


def generation(text):
    """Return a name for a configuration without its own name."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(text):
    """Return the name that a rendered configuration has."""
    return text.split('description ', 1)[1].split(None, 1)[0]


def wanted(items):
    """Leave out what is about to be deleted."""
    return [item for item in items if item is not None
            and item.provisioning_status not in ('PENDING_DELETE', 'DELETED')]


def backend_name(listener, pool):
    """Name a pool behind a listener: it has the timeouts of that one."""
    return '%s:%s' % (pool.id, listener.id)


def _pool(listener):
    pools = wanted([listener.default_pool])
    return pools[0] if pools and pools[0].enabled else None


def _frontend(balancer, listener):
    lines = [
        'bind %s:%d' % (balancer.vip.ip_address, listener.protocol_port),
        'mode %s' % MODES[listener.protocol],
        'timeout client %dms' % listener.timeout_client_data,
    ]
    if listener.connection_limit and listener.connection_limit > 0:
        lines.append('maxconn %d' % listener.connection_limit)
    for header, line in HEADERS.items():
        if str((listener.insert_headers or {}).get(
                header)).lower() == 'true':
            lines.append(line)
    if _pool(listener):
        lines.append('default_backend %s'
                     % backend_name(listener, _pool(listener)))
    return 'frontend %s' % listener.id, lines


def _backend(listener, pool):
    monitors = [monitor for monitor in wanted([pool.health_monitor])
                if monitor.enabled]
    lines = [
        'mode %s' % MODES[pool.protocol],
        'balance %s' % ALGORITHMS[pool.lb_algorithm],
        'timeout connect %dms' % listener.timeout_member_connect,
        'timeout server %dms' % listener.timeout_member_data,
        *_persistence(pool.session_persistence),
        *(line for monitor in monitors for line in _check(monitor)),
    ]
    cookie = (pool.session_persistence
              and pool.session_persistence.type == 'HTTP_COOKIE')
    for member in wanted(pool.members):
        words = ['server', member.id, '%s:%d' % (member.ip_address,
                                                 member.protocol_port),
                 'weight', '%d' % member.weight]
        for monitor in monitors:
            words += ['check', 'inter', '%ds' % monitor.delay,
                      'fall', '%d' % monitor.fall_threshold,
                      'rise', '%d' % monitor.rise_threshold]
            if member.monitor_address:
                words += ['addr', member.monitor_address]
            if member.monitor_port:
                words += ['port', '%d' % member.monitor_port]
        if cookie:
            words += ['cookie', member.id]
        if member.backup:
            words.append('backup')
        if not member.enabled:
            words.append('disabled')
        lines.append(' '.join(words))
    return 'backend %s' % backend_name(listener, pool), lines


def _persistence(persistence):
    if not persistence:
        return []
    if persistence.type == 'SOURCE_IP':
        return ['stick-table type ip size %s' % _STICK_TABLE_SIZE,
                'stick on src']
    if persistence.type == 'HTTP_COOKIE':
        return ['cookie SRV insert indirect nocache']
    return ['stick-table type string len 64 size %s' % _STICK_TABLE_SIZE,
            'stick store-response res.cook(%s)' % persistence.cookie_name,
            'stick match req.cook(%s)' % persistence.cookie_name]


def _check(monitor):
    lines = ['timeout check %ds' % monitor.timeout]
    if monitor.type == 'HTTP':
        words = ['http-check send meth', monitor.http_method,
                 'uri', monitor.url_path]
        if monitor.http_version:
            words += ['ver HTTP/%s' % monitor.http_version]
        if monitor.domain_name:
            words += ['hdr Host', monitor.domain_name]
        lines += ['option httpchk', ' '.join(words),
                  'http-check expect status %s'
                  % monitor.expected_codes.replace(' ', '')]
    return lines
