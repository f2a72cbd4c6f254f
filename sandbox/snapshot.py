# SPDX-License-Identifier: Apache-2.0

"""Snapshot of a new local cloud, from which the next ones are copied.

Schemas and catalogue take a minute of two cores to make, and a few seconds to
copy. What tells one cloud from another, its network and its folders, is a
placeholder in the snapshot.
"""

import contextlib
import fcntl
import hashlib
import json
import pathlib
import shutil

from sandbox import cloud
from sandbox import services

_ORIGIN = 'origin.json'


class Snapshot:
    """A snapshot in a folder, or the place for one.

    :param folder: where it is; one for each release line.
    :param versions: {wheel: version} of what the cloud is made of.
    :param services_: the services of the cloud.
    """

    def __init__(self, folder, versions, services_):
        self._folder = pathlib.Path(folder).resolve()
        self._services = services_
        self._origin = json.dumps({
            'versions': versions, 'sandbox': _digest(),
            'services': [service.name for service in services_
                         if service.databases or service.endpoints],
        }, indent=1, sort_keys=True)

    @contextlib.contextmanager
    def lock(self):
        """Let one cloud make the snapshot while others wait for it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._folder / 'lock', 'w') as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def is_usable(self):
        """Return True if it is complete, and of a cloud made like this."""
        path = self._folder / _ORIGIN
        return path.exists() and path.read_text() == self._origin

    def save(self, local_cloud, dump):
        """Take the snapshot of a cloud that is up and was just made.

        :param dump: called with (database, path) for each database.
        """
        (self._folder / _ORIGIN).unlink(missing_ok=True)
        for name in ('data', 'databases'):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        shutil.copy(local_cloud.secrets_file, self._folder)
        shutil.copytree(
            local_cloud.state / 'data', self._folder / 'data', symlinks=True,
            # The databases are dumped; other stores are empty at first.
            ignore=lambda path, _names: services.STORES
            if pathlib.Path(path) == local_cloud.state / 'data' else ())
        for service in self._services:
            for name in service.databases:
                path = self._dump(name)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                dump(name, path)
                text = path.read_text()
                for placeholder, value in _identity(local_cloud):
                    text = text.replace(value, placeholder)
                path.write_text(text)
        # Last: half a snapshot must not look like one.
        cloud.write_atomically(self._folder / _ORIGIN, self._origin)

    def copy_files(self, local_cloud):
        """Give a cloud the files of the snapshot, before anything starts."""
        shutil.copy(self._folder / local_cloud.secrets_file.name,
                    local_cloud.secrets_file)
        shutil.copytree(self._folder / 'data', local_cloud.state / 'data',
                        symlinks=True, dirs_exist_ok=True)

    def restore(self, local_cloud, name, restore):
        """Give a cloud one database.

        :param restore: called with the path of an SQL file.
        """
        text = self._dump(name).read_text()
        for placeholder, value in _identity(local_cloud):
            text = text.replace(placeholder, value)
        path = local_cloud.data('postgres') / (name + '.sql')
        cloud.write_atomically(path, text, 0o600)
        restore(path)
        path.unlink()

    def _dump(self, name):
        return self._folder / 'databases' / (name + '.sql')


def _digest():
    """Return a digest of the program that makes a cloud."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.rglob('*.py')):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _identity(local_cloud):
    """Return (placeholder, value) of what no two clouds share.

    The sockets come first, because their folder may be in the other one.
    """
    return (('@SANDBOX_RUN@', str(local_cloud.run)),
            ('@SANDBOX_STATE@', str(local_cloud.state)),
            ('@SANDBOX_NETWORK@.', cloud.NETWORK + '.'))
