# SPDX-License-Identifier: Apache-2.0

"""A snapshot makes one local cloud out of another, and only a whole one."""

import types

import pytest

from sandbox import cloud
from sandbox import snapshot

SERVICES = [types.SimpleNamespace(name='nova', databases=('nova',),
                                  endpoints=()),
            types.SimpleNamespace(name='keystone', databases=('keystone',),
                                  endpoints=('identity',)),
            types.SimpleNamespace(name='redis', databases=(), endpoints=())]


def make(folder):
    made = cloud.Cloud(folder)
    made.make_folders()
    return made


@pytest.fixture
def origin(tmp_path):
    origin = make(tmp_path / 'origin')
    for service, name in (('keystone', 'key'), ('postgres', 'PG_VERSION'),
                          ('redis', 'dump')):
        (origin.data(service) / name).write_text(service)
    origin.secret('admin')
    return origin


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'snapshot'


def of(folder, **versions):
    return snapshot.Snapshot(folder, versions, SERVICES)


def dump(local_cloud):
    """Return what writes a database that names its cloud."""
    def write(name, path):
        path.write_text('%s %s %s %s1' % (
            name, local_cloud.state / 'data', local_cloud.run / 'socket',
            cloud.NETWORK + '.'))
    return write


def save(folder, origin, **versions):
    taken = of(folder, **versions)
    with taken.lock():
        taken.save(origin, dump(origin))
    return taken


def test_copy_is_the_same_cloud_elsewhere(tmp_path, folder, origin,
                                          monkeypatch):
    """Services would look for their database in the other cloud."""
    taken = save(folder, origin)
    # Its sockets cannot be in a folder with so long a name.
    copy = make(tmp_path / ('copy' * 20))
    monkeypatch.setattr(cloud, 'NETWORK', '127.99.0')

    taken.copy_files(copy)
    seen = []
    taken.restore(copy, 'nova', lambda path: seen.append(path.read_text()))

    assert ['nova %s %s 127.99.0.1' % (copy.state / 'data',
                                       copy.run / 'socket')] == seen
    assert origin.secret('admin') == copy.secret('admin')
    assert 'keystone' == (copy.data('keystone') / 'key').read_text()
    # Nothing of a store that may be at work.
    assert [] == list(copy.data('redis').iterdir())
    assert [] == list(copy.data('postgres').iterdir())


def test_snapshot_of_another_release_is_not_used(folder, origin):
    """A cloud would start with schemas that its services do not know."""
    save(folder, origin, nova='1')

    assert of(folder, nova='1').is_usable()
    assert not of(folder, nova='2').is_usable()


def test_snapshot_that_was_cut_short_is_not_used(folder, origin):
    """A cloud would lack what was not written."""
    save(folder, origin)

    def fail(_name, _path):
        raise OSError('disk full')
    with of(folder).lock(), pytest.raises(OSError):
        of(folder).save(origin, fail)

    assert not of(folder).is_usable()


def test_snapshot_is_for_its_user_only(folder, origin):
    """It holds every password of the cloud."""
    save(folder, origin)

    assert 0o700 == folder.stat().st_mode & 0o777


def test_databases_are_for_their_user_only_in_an_open_folder(folder, origin):
    """SANDBOX_SNAPSHOT_DIR may be a folder that everybody can read."""
    folder.mkdir(mode=0o755)
    save(folder, origin)

    assert 0o700 == (folder / 'databases').stat().st_mode & 0o777
