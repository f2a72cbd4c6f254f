# SPDX-License-Identifier: Apache-2.0

"""Validation of webhook URLs, and their form in messages."""

import ipaddress
import re
from urllib import parse

_DEFAULT_PORTS = {'http': 80, 'https': 443}

# Everything else has to be percent-encoded in a URL (RFC 3986).
_PRINTABLE = re.compile('[!-~]+')

_HOST_NAME = re.compile(r'[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?')


def problem(urls):
    """Return what is wrong with a list of URLs, None if nothing is.

    Zaqar does not validate URLs: it accepts "http:" and then fails at each
    message, so the webhook looks right and notifies nobody.
    """
    seen = {}
    for number, url in enumerate(urls, 1):
        what = _problem(url)
        if what:
            return 'URL %d %s' % (number, what)
        first = seen.setdefault(_canonical(url), number)
        if first != number:
            return 'URL %d is the same as URL %d' % (number, first)


def without_secrets(url):
    """Return a URL without user, password, path and query."""
    parts = parse.urlsplit(url)
    return '%s://%s/...' % (parts.scheme, parts.netloc.rpartition('@')[2])


def _problem(url):
    if not url:
        return 'is empty'
    if not _PRINTABLE.fullmatch(url):
        return ('has a space or another character that has to be '
                'percent-encoded')
    try:
        parts = parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return 'has no valid host and port'
    if parts.scheme not in _DEFAULT_PORTS:
        return 'does not begin with http:// or https://'
    # An empty port is most often a second "http:" in front.
    if port == 0 or parts.netloc.endswith(':') or not _is_host(parts.hostname):
        return 'has no valid host and port'
    if parts.fragment:
        return 'has a "#", and what follows it would never be sent'


def _is_host(name):
    if not name or len(name) > 253:
        return False
    if ':' in name:
        return _is_address(name)
    # The name of no host ends with a number, so this one is an address.
    if re.search(r'(^|\.)[0-9]+\.?$', name):
        return _is_address(name)
    return bool(_HOST_NAME.fullmatch(name)) and '..' not in name


def _is_address(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _canonical(url):
    """Return the same for all spellings of a URL that Zaqar tells apart."""
    parts = parse.urlsplit(url)
    return (parts.scheme, parts.username, parts.password, parts.hostname,
            parts.port or _DEFAULT_PORTS[parts.scheme], parts.path or '/',
            parts.query)
