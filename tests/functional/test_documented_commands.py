# SPDX-License-Identifier: Apache-2.0

"""The commands of the pages, run as they are written.

A resource, an output or an option that has another name by now would stop
whoever follows the page.
"""

import re
import socket
import subprocess
import sys
import textwrap
import uuid

import pytest
import requests

from sandbox import bootstrap
from sandbox import cloud
from sandbox import releases
from tests.functional import tenant

PAGES = cloud.REPO / 'doc' / 'source'

# Where examples/sessions listens.
PORT = 7000

# As the page says it for another release line than the usual one.
RUN = {} if releases.current() == releases.DEFAULT else {
    './run sandbox': './run tox -qq run -e %s --' % releases.named(
        'sandbox', releases.current())}


def blocks(page, heading):
    """Return the literal blocks of a section of a page, subsections aside."""
    text = (PAGES / page).read_text()
    section = re.search(
        r'^%s\n(?:===+|---+)\n(.*?)(?=^[^\n]+\n(?:===+|---+)\n|\Z)'
        % re.escape(heading), text, re.MULTILINE | re.DOTALL)
    assert section, '%s has no section "%s".' % (page, heading)
    return [textwrap.dedent(block) for block in re.findall(
        r'::\n\n((?:    [^\n]*\n|\n)+)', section[1])]


class Shell:
    """A terminal of somebody who follows the pages.

    :param words: {a word of the pages: what it stands for here}.
    """

    def __init__(self, local, words):
        self._words = words
        self._prepared = subprocess.run(
            [sys.executable, '-m', 'sandbox', '--state-dir',
             str(local.cloud.state), 'env'], check=True, text=True,
            stdout=subprocess.PIPE, cwd=cloud.REPO).stdout

    def run(self, *commands):
        """Run blocks as one script; return what it prints."""
        script = '\n'.join(commands)
        for word, meaning in self._words.items():
            script = script.replace(word, meaning)
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', self._prepared + script],
            cwd=cloud.REPO, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=3 * tenant.PATIENCE)
        assert 0 == done.returncode, '%s\n%s%s' % (
            script, done.stdout, done.stderr)
        return done.stdout


def name():
    return 'test-' + uuid.uuid4().hex[:8]


@pytest.fixture(scope='module')
def build(tmp_path_factory):
    """In the place of the folder of that name in the clone."""
    return '%s/' % tmp_path_factory.mktemp('build')


@pytest.fixture(scope='module')
def sessions(local, project, build):
    """A shell in which the page about the local cloud was followed."""
    stack = name()
    shell = Shell(local, {'my-sessions': stack, 'my-stack': stack,
                          'NAME': 'sessions', 'build/': build, **RUN})
    start, create = blocks('local_cloud.rst', 'Start')
    shell.run(start, create)
    yield shell, project.heat.resources.get(
        stack, 'sessions').physical_resource_id
    shell.run('openstack stack delete --wait --yes my-sessions')


@pytest.fixture(scope='module')
def group(local, build, tmp_path_factory):
    """A shell in which the quickstart was followed, up to its stack."""
    application = tmp_path_factory.mktemp('application') / 'user_data.sh'
    application.write_text(
        (cloud.REPO / 'examples/quickstart/user_data.sh').read_text().replace(
            # Long enough to be seen.
            'sleep 60', 'sleep 20'))
    stack = name()
    shell = Shell(local, {
        'my-group': stack, 'my-stack': stack, 'IMAGE': bootstrap.IMAGE,
        'FLAVOR': bootstrap.FLAVOR, 'NETWORK': bootstrap.NETWORK,
        '../examples/quickstart/user_data.sh': str(application)})
    create, look, _in_a_server, test = blocks('quickstart.rst',
                                              'Create the stack')
    shell.run(create, look, test)
    yield shell, stack
    shell.run(*blocks('quickstart.rst', 'Delete the stack'))


def servers_of(project, stack):
    """IDs of the servers of a stack of the library."""
    return project.heat.stacks.output_show(stack, 'servers')['output'][
        'output_value']


def wait_for_scale_in(project, stack, before):
    tenant.wait_for('the deletion of one server', lambda: (
        len(before) - 1 == len(set(before) & project.servers().keys())
        == len(servers_of(project, stack))))


def listens(address):
    try:
        with socket.create_connection((address, PORT), timeout=2):
            return True
    except OSError:
        return False


def test_status_and_logs_of_the_local_cloud(local):
    """A visitor would not learn why a stack failed."""
    [commands] = blocks('local_cloud.rst', 'Status, logs and stop')
    *look, stop = commands.strip().splitlines()

    said = Shell(local, RUN).run(*look)

    assert './run sandbox down' == stop
    assert re.search('^heat +running ', said, re.MULTILINE)
    last = said.splitlines()[-1]
    assert last and last in local.logs('heat')[0].read_text()


def test_local_cloud_page_drains_a_server(project, sessions):
    """The first thing that a visitor tries by hand would not work."""
    shell, stack = sessions
    before = servers_of(project, stack)
    for server in before:
        tenant.wait_for('sessions on %s' % server,
                        lambda s=server: listens(project.address(s)))

    said = shell.run(*blocks('local_cloud.rst', 'Scale in'))

    assert "'draining': {'" in said
    assert 'finished 12' == said.splitlines()[-1]
    wait_for_scale_in(project, stack, before)


def test_output_of_the_nested_stack_is_current(project, sessions):
    """A reader would take a server that is deleted for one in service."""
    shell, stack = sessions
    [current] = blocks('compose.rst', 'Current outputs')

    said = shell.run(current)

    found = set(re.findall('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}',
                           said))
    assert found == set(servers_of(project, stack))
    assert found and found <= set(project.servers())


def test_quickstart_drains_a_server(project, group):
    """A tenant would give up before the first drain."""
    shell, stack = group
    before = servers_of(project, stack)

    said = shell.run(*blocks('quickstart.rst', 'Scale in'))

    assert "'draining': {'" in said
    wait_for_scale_in(project, stack, before)


def test_scaling_url_is_replaced_as_the_page_says(project, group):
    """A URL that has leaked would stay valid."""
    shell, stack = group
    servers = servers_of(project, stack)

    def url():
        return project.heat.stacks.output_show(stack, 'scale_in_url')[
            'output']['output_value']
    old = url()

    shell.run(blocks('security.rst', 'Replace a scaling URL')[0])

    assert url() != old
    assert not requests.post(old, timeout=60).ok
    assert servers == servers_of(project, stack)
