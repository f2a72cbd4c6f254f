# SPDX-License-Identifier: Apache-2.0

"""What the local cloud must know of a service to run it."""

import shutil
import sys
import typing

from sandbox import cloud


class Endpoint(typing.NamedTuple):
    """An entry of the service catalogue."""

    type: str
    name: str
    port: int
    path: str = ''


class Service:
    """One service: its files, its databases, its process, its address.

    A subclass per service says what differs. ``python -m sandbox.services.X``
    is the process of service X unless ``command`` says otherwise.
    """

    name: str
    title: str
    # What it listens on, and how: {name for people: port}.
    ports: typing.ClassVar[dict] = {}
    scheme = 'http'
    # Databases to create, and whether its user exists in Keystone.
    databases: typing.ClassVar[tuple] = ()
    endpoints: typing.ClassVar[tuple] = ()
    has_user = True
    # Seconds it may take to end after SIGTERM.
    stop_timeout = 10

    def __init__(self, local_cloud):
        self.cloud = local_cloud

    def is_available(self):
        """Return whether this machine has what the service is made of."""
        return True

    def refuse(self):
        """Tell, before anything is started, why this one cannot be.

        :raises SandboxError: with what to do about it.
        """

    def processes(self):
        """Return the services that this one is made of, itself first.

        What is called by the name of the first one is done to all of them.
        """
        return [self]

    def files(self):
        """Configuration: {file name: text}, written to its folder."""
        return {}

    def migrations(self):
        """Commands that create or upgrade the schema, in their order.

        Each can be run again.
        """
        return []

    def command(self):
        return [sys.executable, '-m', 'sandbox.services.' + self.name]

    def environment(self):
        """Variables on top of the minimal environment."""
        return {}

    def check(self):
        """Return whether the service answers.

        Any HTTP answer below 500 counts: most say 401 without a token.
        """
        import requests

        for port in self.ports.values():
            try:
                answer = requests.get(self.cloud.url(port), timeout=5)
            except requests.RequestException:
                return False
            if answer.status_code >= 500:
                return False
        return True

    def write_files(self):
        for name, text in self.files().items():
            cloud.write_atomically(self.cloud.etc / self.name / name, text,
                                   0o600)

    def conf(self):
        return str(self.cloud.conf(self.name))


def distribution(name, entry_points):
    """The least files that make a folder on the path a distribution.

    Some services take drivers by the name of an entry point only.

    :returns: {file name: text}, for `Service.files`; the folder is "path".
    """
    folder = 'path/%s-0.dist-info/' % name
    return {folder + 'METADATA':
            'Metadata-Version: 2.1\nName: %s\nVersion: 0\n' % name,
            folder + 'entry_points.txt': cloud.ini(entry_points)}


def serve_wsgi(application, port, threads=8):
    """Serve a WSGI application on the cloud's address until SIGTERM.

    Threads in one process: nothing is forked that could be left behind. Each
    request leaves a line in the log, as it does with the other services.
    """
    from paste import translogger
    import waitress

    application = translogger.TransLogger(application,
                                          setup_console_handler=False)
    waitress.serve(application, host=cloud.ADDRESS, port=port,
                   threads=threads, ident='sandbox',
                   # Glance takes images, Heat takes large templates.
                   max_request_body_size=1 << 30,
                   # A keep-alive connection of an idle client costs nothing.
                   # Senlin leaves one open for every node that it touches,
                   # and select() knows no more than 1024 of them.
                   channel_timeout=300, connection_limit=4000,
                   asyncore_use_poll=True)


def new_cluster(folder, command):
    """Yield the command that makes a database cluster, if there is none.

    :param folder: where it is to be, complete or not at all.
    :param command: called with the folder to make it in.
    """
    if not folder.exists():
        fresh = folder.with_name('fresh')
        shutil.rmtree(fresh, ignore_errors=True)
        yield command(fresh)
        # Killed in the middle, half a cluster must not look like one.
        fresh.rename(folder)


def database_options(local_cloud, name):
    return {
        'connection': local_cloud.database(name),
        # One process a service: twelve pools of this size fit into
        # PostgreSQL's max_connections.
        'max_pool_size': 10,
        'max_overflow': 20,
    }
