# SPDX-License-Identifier: Apache-2.0

"""MariaDB: the database of Heat as most sites have it, on request."""

import os
import shutil
import socket

from sandbox import cloud
from sandbox.services import base

_FOLDERS = '/usr/sbin:/usr/libexec:/usr/bin'


def _program(name):
    return shutil.which(name) or shutil.which(name, path=_FOLDERS)


def is_installed():
    return all(map(_program, ('mariadbd', 'mariadb-install-db',
                              'my_print_defaults')))


def _socket(local_cloud):
    return local_cloud.run / 'mariadb.sock'


def url(local_cloud, database):
    """Return the URL of a database for SQLAlchemy."""
    return 'mysql+pymysql://root@localhost/%s?unix_socket=%s&charset=utf8' % (
        database, _socket(local_cloud))


class Service(base.Service):

    name = 'mariadb'
    title = 'MariaDB'
    has_user = False

    # As in a Galera cluster, but for what is worth no disk flush here. It is
    # reached by a socket only.
    _SETTINGS = {
        'skip-networking': '1',
        'max-connections': '1000',
        'binlog-format': 'ROW',
        'default-storage-engine': 'InnoDB',
        'innodb-autoinc-lock-mode': '2',
        'innodb-flush-log-at-trx-commit': '0',
        'innodb-doublewrite': '0',
        'transaction-isolation': 'REPEATABLE-READ',
        'character-set-server': 'utf8mb3',
        'collation-server': 'utf8mb3_general_ci',
        # Each statement that a deadlock has ended is in the log.
        'innodb-print-all-deadlocks': '1',
    }

    @property
    def _data(self):
        return self.cloud.data(self.name) / 'cluster'

    def is_available(self):
        # It is for nothing else.
        return self.cloud.profile == cloud.PRODUCTION

    def refuse(self):
        if not is_installed():
            raise cloud.SandboxError(
                'MariaDB is not installed, which the profile "%s" has: "sudo '
                './run packages" installs it on Debian.' % cloud.PRODUCTION)

    def migrations(self):
        # A packaged configuration may name folders of the system.
        return base.new_cluster(self._data, lambda fresh: [
            _program('mariadb-install-db'), '--no-defaults',
            '--auth-root-authentication-method=normal', '--skip-test-db',
            '--skip-name-resolve', '--datadir=%s' % fresh])

    def command(self):
        # Root has to say that it means it.
        user = [] if os.getuid() else ['--user=root']
        return [_program('mariadbd'), '--no-defaults', *user,
                '--datadir=%s' % self._data,
                '--socket=%s' % _socket(self.cloud),
                '--pid-file=%s' % (self.cloud.run / 'mariadb.pid'),
                *('--%s=%s' % item for item in self._SETTINGS.items())]

    def check(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(_socket(self.cloud)))
            except OSError:
                return False
        return True

    def create_databases(self, names):
        """Create those that are missing."""
        for name in names:
            query(self.cloud, '', 'CREATE DATABASE IF NOT EXISTS `%s`' % name)


def query(local_cloud, database, statement, *parameters):
    """Run one statement outside any transaction and return its rows."""
    import pymysql

    connection = pymysql.connect(
        unix_socket=str(_socket(local_cloud)), user='root',
        database=database or None, autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
