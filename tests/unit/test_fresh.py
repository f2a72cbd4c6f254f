# SPDX-License-Identifier: Apache-2.0

"""The README's commands, as a stranger's machine is given them."""

import pytest

from sandbox import cloud
from sandbox import launcher
from tools import fresh


def test_commands_are_those_of_the_readme():
    """Something else would be tried than what a visitor copies."""
    lines = fresh.commands((cloud.REPO / 'README.rst').read_text())

    assert ['demo', 'test'] == list(lines)
    assert set(lines) < set(launcher.VERBS)


@pytest.mark.parametrize('text', [
    'Type ./run demo first.\n', '    ./run demonstrate\n',
    '    cd x; ./run demo\n',
])
def test_prose_is_no_command(text):
    """Half a sentence would be typed."""
    assert {} == fresh.commands(text)


def test_options_of_a_command_are_typed_too():
    """The README may need one, and would then be tried without."""
    assert {'demo': './run demo --keep'} == fresh.commands(
        'As here::\n\n    ./run demo --keep\n')


def test_root_is_told_how_to_reach_pypi_and_nothing_else():
    """It would have packages or settings that a stranger does not have."""
    told = fresh.environment(
        {'HTTPS_PROXY': 'http://p:3128', 'no_proxy': 'localhost',
         'SANDBOX_NETWORK': '127.80.0', 'PYTHONPATH': '/x', 'CI': 'true'},
        ":env:.cert='/etc/ca.crt'\nglobal.index-url='https://pypi.example'\n"
        "global.find-links='/wheels'\nglobal.constraint='/c.txt'\n")

    assert {'HTTPS_PROXY': 'http://p:3128', 'no_proxy': 'localhost',
            'SANDBOX_NETWORK': '127.80.0', 'PIP_CERT': '/etc/ca.crt',
            'PIP_INDEX_URL': 'https://pypi.example'} == told


def test_certificates_of_the_machine_are_found(tmp_path):
    """Behind a proxy with a certificate of its own nothing is downloaded."""
    path = tmp_path / 'ca.crt'
    path.touch()

    assert str(path) == fresh.certificates(
        {'PIP_CERT': '/gone', 'SSL_CERT_FILE': str(path)})
    assert fresh.certificates({}) is None


def test_root_that_is_half_made_is_no_root(tmp_path, monkeypatch):
    """Each later run would fail in it."""
    monkeypatch.setenv('PATH', str(tmp_path))
    program = tmp_path / 'debootstrap'
    program.write_text('#!/bin/sh\nexit 1\n')
    program.chmod(0o755)

    with pytest.raises(fresh.Failed, match='debootstrap'):
        fresh.made(tmp_path / 'roots', 'trixie')

    assert not (tmp_path / 'roots/trixie').exists()


def test_every_supported_debian_is_tried(monkeypatch, tmp_path, capsys):
    """One that nobody tries would be promised."""
    monkeypatch.setattr(fresh, '_try', lambda args, suite, lines: [
        (line, suite == 'trixie', 1) for line in lines])

    status = fresh.main(['--roots', str(tmp_path)])

    tried = [line.split() for line in capsys.readouterr().out.splitlines()
             if line]
    assert 1 == status
    assert [(suite, command) for suite in ('bookworm', 'trixie', 'testing')
            for command in ('demo', 'test')] == [
                (words[0], words[3]) for words in tried]
    assert {'bookworm', 'testing'} == {
        words[0] for words in tried if words[-1] == '0'}
