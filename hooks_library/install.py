# SPDX-License-Identifier: Apache-2.0

"""Where an installed library is on a host, and how it gets there and away.

Each release and each choice of a site has a folder of its own, and the
environment names one of them: replacing that file is the whole change. An
engine that was not restarted yet finds what it knows.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile

import yaml

from hooks_library import library

_HEADER = """\
# Written by heat-hooks-library. Do not change it: the next "install" replaces
# it, and "uninstall" removes it.

"""


class Place:
    """A host of heat-engine.

    :param prefix: what the folder of the templates is below.
    :param environment_dir: heat-engine's folder of environments.
    """

    def __init__(self, prefix, environment_dir):
        self._folder = (pathlib.Path(os.path.abspath(prefix))
                        / 'share/heat-lifecycle-hooks/library')
        self._environments = environment_dir
        self._environment = environment_dir / 'heat-lifecycle-hooks.yaml'

    def install(self, wanted, dry=False):
        """Install a library, and return what had to be changed.

        :param dry: only return it.
        """
        target = self._folder / wanted.name
        text = _HEADER + yaml.safe_dump({'resource_registry': {
            name: (target / value).as_uri() if value in wanted.files else value
            for name, value in wanted.types.items()}})
        before = self._read_environment()
        self._refuse_rivals(wanted)
        changes = []
        if _contents(target) != wanted.files:
            changes.append('write %s' % target)
            if not dry:
                with _sentences(target):
                    self._write_folder(target, wanted.files)
        if before != text:
            changes.append('write %s' % self._environment)
            if not dry:
                with _sentences(self._environment):
                    self._write_environment(text)
        if changes and self._folder.is_dir():
            # Engines that were not restarted yet still go by the one before.
            used = {target.name, self._named_in(before)}
            for path in sorted(self._folder.iterdir()):
                if path.name not in used:
                    changes.append('remove %s' % path)
                    if not dry:
                        with _sentences(path):
                            shutil.rmtree(path)
        return changes

    def uninstall(self, dry=False):
        """Remove all libraries, and return what had to be changed.

        :param dry: only return it.
        """
        changes = []
        if self._read_environment() is not None:
            changes.append('remove %s' % self._environment)
            if not dry:
                with _sentences(self._environment):
                    self._environment.unlink()
        if self._folder.is_dir():
            changes.append('remove %s' % self._folder)
            if not dry:
                with _sentences(self._folder):
                    shutil.rmtree(self._folder)
        return changes

    def _read_environment(self):
        """The environment as it is, None if there is none."""
        if not self._environments.is_dir():
            raise library.LibraryError(
                '%s is no folder: install Heat first, or name the '
                'environment_dir of heat.conf with --environment-dir.'
                % self._environments)
        if not os.path.lexists(self._environment):
            return None
        with _sentences(self._environment):
            text = self._environment.read_text(encoding='utf-8')
        if not text.startswith(_HEADER):
            raise library.LibraryError(
                '%s was not written by heat-hooks-library: move it away.'
                % self._environment)
        return text

    def _refuse_rivals(self, wanted):
        """Heat reads the files of the folder in no order."""
        for path in sorted(self._environments.glob('*')):
            if path == self._environment:
                continue
            try:
                registry = yaml.safe_load(path.read_text())[
                    'resource_registry']
                rivals = sorted(set(registry) & set(wanted.types))
            except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
                # Heat says what it thinks of it.
                continue
            if rivals:
                raise library.LibraryError(
                    '%s maps %s too, and Heat goes by either of the two: take '
                    'it out there.' % (path, rivals[0]))

    def _named_in(self, environment):
        """Name of the folder that an environment points to."""
        for name in os.listdir(self._folder):
            if (self._folder / name).as_uri() + '/' in (environment or ''):
                return name
        return None

    def _write_folder(self, target, files):
        for path in (*reversed(self._folder.parents), self._folder):
            if not path.exists():
                path.mkdir()
                path.chmod(0o755)
        with tempfile.TemporaryDirectory(
                prefix='.new-', dir=self._folder) as scratch:
            new = pathlib.Path(scratch, 'new')
            for name, text in files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding='utf-8')
            # heat-engine is another user, whatever the umask is here.
            for path in (new, *new.rglob('*')):
                path.chmod(0o755 if path.is_dir() else 0o644)
            if target.exists():
                # It was changed, and a folder cannot be replaced at once.
                target.rename(pathlib.Path(scratch, 'old'))
            new.rename(target)

    def _write_environment(self, text):
        # Heat reads all files here but those with a leading dot.
        with tempfile.NamedTemporaryFile(
                'w', encoding='utf-8', dir=self._environments,
                prefix='.heat-lifecycle-hooks-', delete=False) as stream:
            try:
                stream.write(text)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.replace(stream.name, self._environment)
            except BaseException:
                os.unlink(stream.name)
                raise


def _contents(folder):
    """What is in an installed library: {path below it: text}."""
    if not folder.is_dir():
        return None
    with _sentences(folder):
        return {path.relative_to(folder).as_posix():
                path.read_text(encoding='utf-8', errors='replace')
                for path in folder.rglob('*') if path.is_file()}


@contextlib.contextmanager
def _sentences(path):
    """Say in a sentence that something cannot be read or written."""
    try:
        yield
    except OSError as error:
        raise library.LibraryError(
            '%s cannot be changed or read (%s): run as a user who may.'
            % (path, error.strerror)) from None
