# SPDX-License-Identifier: Apache-2.0

"""What every service of the local cloud shares: folders, address, secrets.

Nothing here starts or stops anything, and nothing imports a service.
"""

import configparser
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import secrets
import sys

from sandbox import prerequisites
from sandbox import releases

# The control plane has the first address of the cloud's network, servers get
# the others from Neutron. An address of its own keeps the well-known ports
# clear of whatever else runs on 127.0.0.1, and of other local clouds.
NETWORK = os.environ.get('SANDBOX_NETWORK') or prerequisites.NETWORK
ADDRESS = NETWORK + '.1'
CIDR = NETWORK + '.0/24'
POOL = (NETWORK + '.10', NETWORK + '.250')
REGION = 'RegionOne'

REPO = pathlib.Path(__file__).resolve().parents[1]
# Two lines never share a database.
DEFAULT_STATE = REPO / 'build' / releases.named(
    'sandbox', releases.current())

# A UNIX socket's path has at most 107 bytes (unix(7)), fewer than many a
# build folder; what is appended to it is shorter than the rest. URLs and
# HAProxy's configuration have to quote other characters.
_SOCKET_DIR = re.compile(r'[\w@+=.,/-]{1,80}', re.ASCII)


class SandboxError(Exception):
    """A failure with a sentence for the user; no traceback is shown."""


# What a site has and the ordinary local cloud has not: engines that fork,
# RabbitMQ, and MariaDB as Heat's database.
PRODUCTION = 'production'
PROFILES = ('ordinary', PRODUCTION)

# Engines of the profile, as two hosts.
_PRODUCTION_ENGINES = 2


class Cloud:
    """One local cloud, in one folder.

    :param state: folder that holds its configuration, data and logs.
    :param plugin_dir: folder of Heat plugins, as in Heat's plugin_dirs.
    :param heat_engines: number of heat-engine processes that RabbitMQ
        connects with Heat's APIs; 0 is all of Heat in one process, without
        RabbitMQ. Left out, it is as the variable SANDBOX_HEAT_ENGINES says,
        and without one as at the last start.
    :param profile: one of PROFILES. Left out, it is as the variable
        SANDBOX_PROFILE says, and without one as at the last start.
    :raises SandboxError: if that is not a number, or no profile.
    """

    def __init__(self, state=None, plugin_dir=None, heat_engines=None,
                 profile=None):
        self.state = pathlib.Path(state or os.environ.get(
            'SANDBOX_STATE_DIR') or DEFAULT_STATE).resolve()
        self.plugin_dir = pathlib.Path(
            plugin_dir or REPO / 'heat_plugins').resolve()
        self.address = ADDRESS
        self.profile = profile or os.environ.get('SANDBOX_PROFILE') or (
            self.started_with.get('profile', PROFILES[0]))
        if self.profile not in PROFILES:
            raise SandboxError('There is no profile "%s"; there are: %s.' % (
                self.profile, ', '.join(PROFILES)))
        if heat_engines is None:
            usual = _PRODUCTION_ENGINES if self.profile == PRODUCTION else 0
            before = self.started_with
            if before.get('profile', PROFILES[0]) == self.profile:
                usual = before.get('heat_engines', usual)
            heat_engines = os.environ.get('SANDBOX_HEAT_ENGINES') or usual
        try:
            self.heat_engines = int(heat_engines)
        except ValueError:
            self.heat_engines = -1
        if self.heat_engines < 0:
            raise SandboxError(
                'The number of Heat engines is "%s": give 0, for Heat in one '
                'process, or more.' % heat_engines)

    @property
    def _started_with(self):
        return self.state / prerequisites.OPTIONS

    @property
    def started_with(self):
        """The options of the last start, {} before the first one."""
        try:
            return json.loads(self._started_with.read_text())
        except (OSError, ValueError):
            return {}

    def remember_options(self):
        write_atomically(self._started_with, json.dumps(
            {'heat_engines': self.heat_engines, 'network': NETWORK,
             'profile': self.profile}))

    @property
    def etc(self):
        return self.state / 'etc'

    @property
    def logs(self):
        return self.state / 'log'

    @property
    def guests(self):
        return self.state / 'guests'

    @property
    def clouds_yaml(self):
        return self.state / 'clouds.yaml'

    @functools.cached_property
    def run(self):
        """Folder of the UNIX sockets, short and plain enough for them."""
        near = self.state / 'run'
        if _SOCKET_DIR.fullmatch(str(near)):
            return near
        digest = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:12]
        # TMPDIR may be as long, and another one in another terminal.
        # make_folders() refuses what belongs to somebody else.
        return pathlib.Path(  # nosec B108
            '/tmp', 'sandbox-%s-%s' % (os.getuid(), digest))

    def data(self, service):
        """Folder for the files of one service."""
        path = self.state / 'data' / service
        path.mkdir(parents=True, exist_ok=True)
        return path

    def conf(self, service):
        """Path of the main configuration file of a service."""
        return self.etc / service / ('%s.conf' % service)

    def make_folders(self):
        """Create what must be there before anything is started."""
        for path in (self.state, self.run):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SandboxError(
                    '%s cannot be made (%s): name another folder with '
                    '--state-dir or SANDBOX_STATE_DIR.'
                    % (path, os.strerror(error.errno))) from None
            owners = {path.stat().st_uid}
            if path == self.run:
                # In /tmp, another user may link to a folder of this user.
                owners.add(path.lstat().st_uid)
            if owners != {os.getuid()}:
                raise SandboxError(
                    '%s belongs to another user: name a folder of your own '
                    'with --state-dir or SANDBOX_STATE_DIR.' % path)
            # Passwords, tokens and guests' files are in here.
            path.chmod(0o700)
        for path in (self.etc, self.logs, self.guests):
            path.mkdir(exist_ok=True)

    def url(self, port, path=''):
        return 'http://%s:%d%s' % (self.address, port, path)

    def database(self, name):
        """SQLAlchemy URL of a database of the embedded PostgreSQL."""
        # Aodh and Gnocchi look the part before "://" up in a list of theirs.
        return 'postgresql://postgres@/%s?host=%s' % (name, self.run)

    @property
    def redis_socket(self):
        return self.run / 'redis.sock'

    @functools.cached_property
    def secrets_file(self):
        """Path of all passwords and keys."""
        path = self.state / 'secrets.json'
        if not path.exists():
            write_atomically(path, '{}', 0o600)
        return path

    def secret(self, name):
        """A password or key, made at the first use and kept."""
        known = json.loads(self.secrets_file.read_text())
        if name not in known:
            known[name] = secrets.token_hex(16)
            write_atomically(self.secrets_file,
                             json.dumps(known, indent=1, sort_keys=True),
                             0o600)
        return known[name]

    def credentials(self, user):
        """keystoneauth options by which a service authenticates."""
        return {
            'auth_type': 'password',
            'auth_url': self.url(5000, '/v3'),
            'username': user,
            'password': self.secret(user),
            'project_name': 'service',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
            'region_name': REGION,
        }

    def trustee(self, user):
        """Options by which a service uses the trusts of its users.

        Without a project: a token has one scope, and here it is the trust.
        """
        return {name: value for name, value in self.credentials(user).items()
                if not name.startswith('project_')}

    def authtoken(self, user):
        """Options of keystonemiddleware's section [keystone_authtoken]."""
        options = self.credentials(user)
        options.pop('region_name')
        return dict(options, www_authenticate_uri=self.url(5000),
                    interface='public', service_token_roles_required=True,
                    service_token_roles='admin')


def write_atomically(path, text, mode=0o644):
    """Write a file so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + '.new')
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(fd, 'w') as stream:
        stream.write(text)
    temporary.replace(path)


def ini(sections):
    """Render {section: {option: value}} as an oslo.config file."""
    parser = configparser.RawConfigParser(default_section='')
    parser.optionxform = str
    for section, options in sections.items():
        parser.add_section(section)
        for option, value in options.items():
            parser.set(section, option, str(value))
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def script(name):
    """Path of a command of this virtual environment."""
    return str(pathlib.Path(sys.prefix, 'bin', name))


def packaged(*parts):
    """Path of a file that a service's wheel put below this environment."""
    return pathlib.Path(sys.prefix, 'etc', *parts)
