# SPDX-License-Identifier: Apache-2.0

"""Which release line a command is run in."""

import configparser
import importlib.metadata
import os
import re

import pytest

from sandbox import __main__ as command_line
from sandbox import cloud
from sandbox import environments
from sandbox import lifecycle
from sandbox import releases
from sandbox import services

ANOTHER = next(line for line in releases.KNOWN if line != releases.current())


@pytest.fixture
def started(monkeypatch):
    """What a command would go on as: [(path, arguments)]."""
    calls = []

    def execv(path, argv):
        calls.append((path, argv))
        raise SystemExit(0)
    monkeypatch.setattr(os, 'execv', execv)
    monkeypatch.delenv('SANDBOX_RELEASE', raising=False)
    return calls


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Path of the Python of another line."""
    monkeypatch.setattr(cloud, 'REPO', tmp_path)
    python = (tmp_path / '.tox' / releases.named('cloud', ANOTHER)
              / 'bin/python')
    python.parent.mkdir(parents=True)
    python.touch()
    return str(python)


def test_another_release_runs_in_its_environment(started, installed):
    """Services of two lines cannot be in one process."""
    argv = ['--release', ANOTHER, 'up', '--heat-engines', '2']

    with pytest.raises(SystemExit):
        command_line.main(argv)

    assert [(installed, [installed, '-m', 'sandbox', *argv])] == started


def test_release_of_the_variable_is_taken(started, installed, monkeypatch):
    """Whoever works on one line would have to say so each time."""
    monkeypatch.setenv('SANDBOX_RELEASE', ANOTHER)

    with pytest.raises(SystemExit):
        command_line.main(['status'])

    assert installed == started[0][0]


@pytest.mark.parametrize('words', [[], ['--release', releases.current()]])
def test_release_that_runs_this_goes_on(started, tmp_path, words):
    """A command would start itself for ever."""
    argv = [*words, '--state-dir', str(tmp_path), 'down']

    assert not command_line.main(argv)
    assert not started


def test_unknown_release_is_refused_with_those_there_are(started, capsys):
    """A typing error would start, or stop, another cloud."""
    with pytest.raises(SystemExit):
        command_line.main(['--release', '2025.9', 'up'])

    assert ('sandbox: There is no release "2025.9" here; there are: '
            '2024.1, 2026.1, 2026.2.\n') == capsys.readouterr().err


def test_release_that_is_not_installed_is_refused(
        started, capsys, monkeypatch, tmp_path):
    """The sentence is all that there is to go by."""
    monkeypatch.setattr(cloud, 'REPO', tmp_path)

    with pytest.raises(SystemExit):
        command_line.main(['--release', ANOTHER, 'up'])

    assert '"./run tox -e %s --notest" does that' % releases.named(
        'sandbox', ANOTHER) in capsys.readouterr().err


def test_every_line_has_its_own_folder():
    """Two lines would work on one database."""
    names = {releases.named('sandbox', line) for line in releases.KNOWN}

    assert len(releases.KNOWN) == len(names)
    assert cloud.DEFAULT_STATE.name == releases.named(
        'sandbox', releases.current())
    assert 'sandbox' == releases.named('sandbox', releases.DEFAULT)


def test_every_line_can_be_installed():
    """A line that tox does not know cannot be had."""
    tox = (cloud.REPO / 'tox.ini').read_text()

    for line in releases.KNOWN:
        for path in ('constraints/openstack-%s.txt' % line,
                     'sandbox/requirements-%s.txt' % line):
            assert (cloud.REPO / path).exists()
            assert path in tox


@pytest.mark.parametrize('line', releases.UNIT_TESTS_ONLY)
def test_every_line_without_a_cloud_can_be_tested(line):
    """A release that most sites run would be tested in words only."""
    path = 'constraints/openstack-%s.txt' % line
    pins = (cloud.REPO / path).read_text().splitlines()

    assert '%s: -c{toxinidir}/%s' % (line, path) in (
        cloud.REPO / 'tox.ini').read_text()
    assert [line] == [
        releases._UNIT_TESTS_ONLY[int(re.split('[=.]+', pin)[1])]
        for pin in pins if pin.startswith('openstack-heat===')]


def test_versions_that_made_the_data_are_those_of_the_line(tmp_path):
    """A cloud would start on the schemas of other releases."""
    wanted = dict(re.findall(r'^([a-z-]+)==(.*)$', (
        cloud.REPO / 'sandbox' / ('requirements-%s.txt' % releases.current())
    ).read_text(), re.MULTILINE))

    assert wanted == lifecycle.LocalCloud(cloud.Cloud(tmp_path))._versions()
    assert wanted['openstack-heat'] == importlib.metadata.version(
        'openstack-heat')
    assert ('senlin' in wanted) == releases.is_installed('senlin')


def test_heat_on_threads_has_signed_urls_checked(monkeypatch, tmp_path):
    """Every signal of an agent would be answered by HTTP 500.

    Heat 27 asks Keystone as a user of its own, and appends "/v3" itself.
    """
    monkeypatch.setattr(releases, 'on_threads', lambda: True)
    conf = configparser.RawConfigParser()
    conf.read_string(services.load(cloud.Cloud(tmp_path))['heat'].files()[
        'heat.conf'])
    asked = conf['ec2authtoken']

    assert ('password', 'heat') == (asked['auth_type'], asked['username'])
    assert asked['endpoint_override'].endswith(':5000')


def test_heat_on_threads_has_no_programs_for_its_apis(monkeypatch, tmp_path):
    """With several engines there would be no API."""
    monkeypatch.setattr(releases, 'on_threads', lambda: True)
    many = services.load(cloud.Cloud(tmp_path, heat_engines=2))

    for name, api in (('heat', 'heat-api'), ('heat-api-cfn',) * 2):
        assert ['-m', 'sandbox.services.heat', api] == (
            many[name].command()[1:4])


def test_help_names_every_line(capsys):
    """Nobody would find them."""
    with pytest.raises(SystemExit):
        environments.parse(command_line._parser(), ['--help'])

    assert ', '.join(releases.KNOWN) in capsys.readouterr().out
