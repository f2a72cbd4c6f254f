# SPDX-License-Identifier: Apache-2.0

"""The installed library on a Heat that was restarted with it.

A stack lives through all that an operator does, as on a site: the library is
installed, upgraded and removed again while the stack is there.
"""

import contextlib
import shutil

import pytest

from hooks_library import __main__ as command
from sandbox import bootstrap
from sandbox import cloud
from tests.functional import tenant

DOOR = 'Hooks::LifecycleCluster' if tenant.WITH_SENLIN else (
    'Hooks::LifecycleGroup')


class Site:
    """The operator's folders, and Heat going by them."""

    def __init__(self, local, folder):
        self._local = local
        self._options = ['--prefix', str(folder / 'prefix'),
                         '--environment-dir', str(folder / 'environment.d')]
        self.environments = folder / 'environment.d'

    def run(self, verb, *options):
        """Run the command, and restart Heat."""
        assert 0 == command.main([verb, *self._options, *map(str, options)])
        self.restart()

    def restart(self):
        self._local.kill('heat')
        self._local.start('heat')


@pytest.fixture
def site(local, tmp_path):
    """A site with an empty library; Heat is as it was afterwards."""
    site = Site(local, tmp_path)
    packaged = str(cloud.packaged('heat', 'environment.d'))
    shutil.copytree(packaged, site.environments)
    conf = local.cloud.conf('heat')
    before = conf.read_text()
    after = before.replace(packaged, str(site.environments))
    assert before != after
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(site.restart)
        at_the_end.callback(conf.write_text, before)
        conf.write_text(after)
        yield site


def five_lines(criteria):
    """All that a user types, with an application that says when it is done."""
    return {'heat_template_version': 'wallaby', 'resources': {'web': {
        'type': DOOR,
        'properties': {
            'image': bootstrap.IMAGE, 'flavor': bootstrap.FLAVOR,
            'network': bootstrap.NETWORK, 'max_size': 3,
            'drain_timeout': tenant.PATIENCE, 'criteria': criteria,
            'user_data': (tenant.TEMPLATES / 'gate.sh').read_text()}}}}


def criteria(stack):
    """Of the hook, as it is in the stack of the front door."""
    hook, name = stack.place_of('hook')
    template = stack.project.heat.stacks.template(hook)
    parameter = template['resources'][name]['properties']['criteria']
    return stack.project.heat.stacks.get(hook).parameters[
        parameter['get_param']]


def update(stack, **options):
    stack.project.heat.stacks.update(stack.id, **options)
    status, why = stack.end('UPDATE')
    assert 'UPDATE_COMPLETE' == status, why


def types(project):
    return {kind.resource_type for kind in
            project.heat.resource_types.list(filters={'name': 'Hooks::.*'})}


def test_user_needs_no_files(site, project, tmp_path):
    """A stack of five lines is updated, outlives an upgrade, and drains."""
    site.run('install', '--environment',
             cloud.REPO / 'environments' / 'manual.yaml')
    assert {DOOR, 'Hooks::ServerUserData'} <= types(project)
    stack = project.create_stack(five_lines('RANDOM'))
    [server] = stack.members()

    # Another release: its files are elsewhere, and its defaults differ.
    choice = tmp_path / 'site.yaml'
    choice.write_text(
        'resource_registry: {Hooks::ScalingAlarms: OS::Heat::None}\n'
        'parameter_defaults: {scale_in_threshold: 3, '
        'scale_out_threshold: 4}\n')
    site.run('install', '--environment', choice)
    update(stack, existing=True)
    update(stack, template=five_lines('OLDEST_FIRST'))
    assert 'OLDEST_FIRST' == criteria(stack)
    assert {server} == stack.members()

    stack.start_delete()
    tenant.wait_for('the drain', lambda: project.is_draining(server))
    assert server in project.servers()
    project.release(server)
    tenant.wait_for('the stack to be gone', stack.is_gone)
    assert server not in project.servers()

    site.run('uninstall')
    assert set() == types(project)
