# SPDX-License-Identifier: Apache-2.0

"""What an operator installs is the library, and Heat takes it as types."""

import contextlib
import io
import os
import pathlib
import shutil
import stat

from heat.common import exception
from heat.engine import environment
from heat.engine import resources
import pytest
import yaml

from hooks_library import __main__ as command
from hooks_library import library as installed_library
from tests.templates import library
from tests.unit import base

GNOCCHI = base.REPO / 'environments' / 'gnocchi.yaml'
MANUAL = base.REPO / 'environments' / 'manual.yaml'

# All that a user types.
FIVE_LINES = """\
heat_template_version: wallaby
resources:
  web:
    type: Hooks::LifecycleCluster
    properties: {image: x, flavor: x, network: x, max_size: 3,
                 scale_in_threshold: 1, scale_out_threshold: 2}
"""
USERS_METRIC = {'metric': 'sessions', 'metric_resource_id': 'id'}


class Host:
    """A host of heat-engine, with an empty folder of environments."""

    def __init__(self, folder):
        self.prefix = folder / 'prefix'
        self.environments = folder / 'environment.d'
        self.environments.mkdir()
        self.environment = self.environments / 'heat-lifecycle-hooks.yaml'

    def run(self, verb, *options):
        """Run the command; return its exit status, output and errors."""
        output, errors = io.StringIO(), io.StringIO()
        with (contextlib.redirect_stdout(output),
              contextlib.redirect_stderr(errors)):
            status = command.main([
                verb, '--prefix', str(self.prefix),
                '--environment-dir', str(self.environments),
                *map(str, options)])
        return status, output.getvalue(), errors.getvalue()

    def install(self, *options):
        status, output, errors = self.run('install', *options)
        assert (0, '') == (status, errors)
        return output.splitlines()

    def refuses(self, *options):
        """Return the one sentence with which it refuses to install."""
        before = self.files()
        status, output, errors = self.run('install', *options)
        assert (2, '') == (status, output)
        assert before == self.files()
        [sentence] = errors.splitlines()
        assert sentence.endswith('.')
        return sentence

    def files(self):
        """All that is there, {path: (text, mode)}."""
        return {path: (path.read_text(), stat.S_IMODE(path.stat().st_mode))
                for folder in (self.prefix, self.environments)
                for path in folder.rglob('*') if path.is_file()}

    def folders(self):
        """What the installed libraries are in."""
        return list(self.prefix.glob('share/heat-lifecycle-hooks/library/*'))

    def types(self):
        return yaml.safe_load(self.environment.read_text())[
            'resource_registry']


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def engine(heat, host):
    """Heat's engine, restarted with what is installed on the host."""
    registry = resources.global_env().registry._registry
    before = dict(registry)

    def restart():
        environment.read_global_environment(resources.global_env(),
                                            str(host.environments))
        return heat
    yield restart
    registry.clear()
    registry.update(before)


def stack(heat, text=FIVE_LINES, **environment):
    """The stack of a user who has a template and no other file."""
    return heat.stack_from(yaml.safe_load(text), {}, environment)


# What is installed.

def substituted(node, path):
    """A template's data as they should be installed."""
    if isinstance(node, list):
        return [substituted(value, path) for value in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {'get_file'}:
        return (path.parent / node['get_file']).read_text()
    return {key: substituted(value, path) for key, value in node.items()}


@library.each('path', library.TEMPLATES)
def test_installed_template_is_the_one_of_the_library(path, tmp_path):
    """A user of the installed library gets what the reference describes.

    Files are in the places of their names, and types in those of paths.
    """
    wanted = installed_library.Library(base.REPO / 'templates')
    relative = path.relative_to(base.REPO / 'templates')
    data = substituted(library.load(path), path)
    for resource in data['resources'].values():
        # Of the members of a group, if there are any.
        members = resource.get('properties', {}).get('resource')
        for nested in filter(None, (resource, members)):
            if nested['type'].endswith('.yaml'):
                words = pathlib.PurePath(nested['type']).stem.split('_')
                nested['type'] = 'Hooks::' + ''.join(map(str.title, words))

    assert data == yaml.safe_load(wanted.files[str(relative)])


def test_comments_are_installed(host):
    """Who reads the installed file finds the reasons in it."""
    host.install()

    comments = [line for line in library.CLUSTER.read_text().splitlines()
                if line.strip().startswith('#')]
    [folder] = host.folders()
    text = (folder / 'lifecycle_cluster.yaml').read_text()
    assert comments
    assert comments == [line for line in text.splitlines()
                        if line.strip().startswith('#')]


def test_every_type_is_there(host):
    """A template author finds each component under the name of its file."""
    host.install()

    for resource_type, url in host.types().items():
        assert pathlib.Path(url.replace('file://', '')).is_file()
    assert len(library.TEMPLATES) == len(host.types())
    assert {'Hooks::LifecycleCluster', 'Hooks::ServerUserData'
            } <= set(host.types())


# Heat's engine.

def test_template_of_five_lines_is_a_stack(engine, host):
    """A user needs no file of the library."""
    host.install('--environment', MANUAL)

    made = stack(engine())

    made.validate()
    names = {resource.type() for nested in library.nested_stacks(made)
             for resource in nested.values()}
    assert 'Hooks::ServerUserData' in names
    assert not [name for name in names if name.endswith('.yaml')]


def test_site_chooses_the_source_of_the_metric(engine, host):
    """A user of a site with one way to measure need not know it."""
    host.install('--environment', GNOCCHI)

    made = stack(engine(), parameter_defaults=USERS_METRIC)

    made.validate()
    assert 'OS::Aodh::GnocchiResourcesAlarm' in {
        resource.type() for nested in library.nested_stacks(made)
        for resource in nested.values()}


def test_site_without_a_choice_leaves_it_to_the_user(engine, host):
    """No cluster that never scales, because nobody chose a metric."""
    host.install()
    heat = engine()

    with pytest.raises(exception.StackValidationFailed,
                       match='Hooks::ScalingAlarms'):
        stack(heat).validate()
    stack(
        heat, parameter_defaults=USERS_METRIC,
        resource_registry={'Hooks::ScalingAlarms': 'Hooks::GnocchiAlarms'}
    ).validate()


OWN_SOURCE = """\
heat_template_version: wallaby
parameters:
  server_group: {type: string}
  scale_out_url: {type: string}
  scale_in_url: {type: string}
  scale_out_threshold: {type: number}
  scale_in_threshold: {type: number}
  repeat_actions: {type: boolean}
  query: {type: string}
resources:
  own: {type: OS::Heat::Value, properties: {value: {get_param: query}}}
"""


@pytest.mark.parametrize('site', [GNOCCHI, MANUAL], ids=library.name)
@pytest.mark.parametrize('choice', ['Hooks::GnocchiAlarms', 'own',
                                    'OS::Heat::None'])
def test_user_chooses_another_source(engine, host, site, choice):
    """The site's choice is a default, whatever the other source needs.

    Heat compares the user's source with the site's: mapped directly, a
    parameter that only one of them requires would refuse the stack.
    """
    host.install('--environment', site)
    files = {}
    if choice == 'own':
        choice = 'file:///home/user/own.yaml'
        files[choice] = OWN_SOURCE

    made = engine().stack_from(yaml.safe_load(FIVE_LINES), files, {
        'resource_registry': {'Hooks::ScalingAlarms': choice},
        'parameter_defaults': {**USERS_METRIC, 'query': 'q'}})

    made.validate()
    [front_door] = [nested for nested in library.nested_stacks(made)
                    if 'alarms' in nested and 'hook' in nested]
    alarms = front_door['alarms']
    assert {'OS::Heat::None': 'NoneResource'}.get(
        choice, 'TemplateResource') == type(alarms).__name__
    if files:
        assert 'own' in library.nested(alarms)


def test_defaults_of_the_site_are_those_of_the_templates(engine, host,
                                                         tmp_path):
    """Heat ignores the defaults of its own environment; these hold.

    A user's environment has the last word.
    """
    site = tmp_path / 'site.yaml'
    site.write_text(yaml.safe_dump({'parameter_defaults': {
        'network': 'the "only" one', 'drain_timeout': 600,
        'security_groups': ['web', 'ssh']}}))
    host.install('--environment', site)
    heat = engine()
    text = FIVE_LINES.replace('network: x, ', '')
    manual = {'Hooks::ScalingAlarms': 'OS::Heat::None'}

    made = stack(heat, text, resource_registry=manual)
    made.validate()
    front_door = library.nested(made['web'])
    assert 'the "only" one' == front_door.parameters['network']
    assert 600 == front_door.parameters['drain_timeout']
    assert ['web', 'ssh'] == list(front_door.parameters['security_groups'])

    made = stack(heat, text, resource_registry=manual,
                 parameter_defaults={'drain_timeout': 700})
    assert 700 == library.nested(made['web']).parameters['drain_timeout']


def test_site_has_a_source_of_its_own(engine, host, tmp_path):
    """A site that measures in its own way touches none of our files."""
    (tmp_path / 'query.txt').write_text('busy{}\n')
    (tmp_path / 'load_alarms.yaml').write_text(OWN_SOURCE.replace(
        '{get_param: query}', '{get_file: query.txt}'))
    site = tmp_path / 'site.yaml'
    site.write_text(
        'resource_registry:\n'
        '  Hooks::ScalingAlarms: load_alarms.yaml\n'
        'parameter_defaults: {query: q}\n')
    host.install('--environment', site)

    made = stack(engine())

    made.validate()
    [value] = [nested['own'] for nested in library.nested_stacks(made)
               if 'own' in nested]
    assert 'busy{}\n' == value.properties['value']
    assert 'Hooks::LoadAlarms' in host.types()


def test_environment_of_a_clone_is_taken_with_a_package(host, tmp_path):
    """What the documentation says to type would be refused."""
    clone = shutil.copytree(base.REPO / 'environments',
                            tmp_path / 'environments').parent
    shutil.copytree(base.REPO / 'templates', clone / 'templates')

    host.install('--environment', clone / 'environments/cpu.yaml')

    assert 'Hooks::CpuAlarms' == host.types()['Hooks::SiteAlarms']
    with (clone / 'templates/components/cpu_alarms.yaml').open('a') as stream:
        stream.write('# Not the one of the library.\n')
    assert 'give the file another name' in host.refuses(
        '--environment', clone / 'environments/cpu.yaml')


def test_alias_has_the_properties_of_the_interface():
    """A source that fits the front door fits a site's choice too."""
    alias = library.load(installed_library.ALIAS_TEMPLATE)

    assert library.SOURCE_INTERFACE == set(alias['parameters'])
    assert library.SOURCE_INTERFACE == set(
        alias['resources']['alarms']['properties'])
    assert 'outputs' not in alias


# The command.

def test_second_run_changes_nothing(host):
    """Configuration management may run it at every hour."""
    first = host.install('--environment', GNOCCHI)
    before = host.files()

    assert ['nothing to do'] == host.install('--environment', GNOCCHI)

    assert 'restart heat-engine' == first[-1]
    assert before == host.files()


def test_check_tells_and_changes_nothing(host):
    """An operator sees what would be done, and a monitor what is not."""
    status, output, _errors = host.run('install', '--check')
    assert 1 == status
    assert output.startswith('would write ')
    assert {} == host.files()

    host.install()
    assert 0 == host.run('install', '--check')[0]
    before = host.files()
    assert 1 == host.run('uninstall', '--check')[0]
    assert before == host.files()


@pytest.mark.parametrize('damage', [
    lambda host: next(host.folders()[0].glob('*.yaml')).write_text('{}'),
    lambda host: next(host.folders()[0].glob('*.yaml')).unlink(),
    lambda host: host.environment.unlink(),
    lambda host: (host.folders()[0] / 'more.yaml').write_text('{}'),
], ids=['changed', 'removed', 'unmapped', 'added'])
def test_damage_is_found_and_put_right(host, damage):
    """What somebody has changed by hand does not stay."""
    host.install()
    before = host.files()
    damage(host)

    assert 1 == host.run('install', '--check')[0]
    host.install()

    assert before == host.files()
    assert 1 == len(host.folders())


def test_upgrade_leaves_the_old_one_to_running_engines(host):
    """No stack fails between the upgrade and the restart of an engine."""
    host.install()
    old = set(host.types().values())
    host.install('--environment', GNOCCHI)

    assert old.isdisjoint(host.types().values())
    for url in old:
        assert pathlib.Path(url.replace('file://', '')).is_file()

    host.install('--environment', MANUAL)
    assert 2 == len(host.folders())


def test_uninstall_leaves_nothing(host):
    """What is not ours stays, and there is nothing else."""
    mine = host.environments / 'default.yaml'
    mine.write_text('resource_registry: {}\n')
    host.install()
    host.install('--environment', GNOCCHI)

    status, output, _errors = host.run('uninstall')

    assert 0 == status
    assert output.endswith('restart heat-engine\n')
    assert [mine] == list(host.files())
    assert (0, 'nothing to do\n', '') == host.run('uninstall')


def test_engine_of_another_user_can_read_it(host):
    """heat-engine is not root, and root's umask may be strict."""
    before = os.umask(0o077)
    try:
        host.install()
    finally:
        os.umask(before)

    assert {0o644} == {mode for _text, mode in host.files().values()}
    [folder] = host.folders()
    while folder != host.prefix.parent:
        assert 0o755 == stat.S_IMODE(folder.stat().st_mode), folder
        folder = folder.parent


def test_dead_install_is_done_again(host, monkeypatch):
    """A host that went down in the middle is not half installed.

    It dies at each change of the disk that others can see, in turn.
    """
    class Died(Exception):
        pass

    def dies(*_args):
        raise Died

    for target in ('pathlib.Path.rename', 'os.replace'):
        with monkeypatch.context() as patch:
            patch.setattr(target, dies)
            with pytest.raises(Died):
                host.install()
        assert [] == list(host.environments.iterdir())

    host.install()
    assert 1 == len(host.folders())
    assert 0 == host.run('install', '--check')[0]


# Refusals.

def test_missing_folder_of_environments(host):
    """Heat is not installed, or its folder has another name."""
    host.environments.rmdir()

    assert ('%s is no folder: install Heat first, or name the '
            'environment_dir of heat.conf with --environment-dir.'
            % host.environments) in host.refuses()


def test_templates_that_are_none(host, tmp_path):
    """A wrong path does not install an empty library."""
    assert ('has no lifecycle_cluster.yaml: name the folder of the templates '
            'with --templates.') in host.refuses('--templates', tmp_path)


def test_file_of_somebody_else(host):
    """What a person wrote is not replaced, and not removed."""
    host.environment.write_text('resource_registry: {}\n')

    said = 'was not written by heat-hooks-library: move it away.'
    assert said in host.refuses()
    assert said in host.run('uninstall')[2]


def test_type_that_somebody_else_maps(host):
    """Heat would take the one or the other, by the order of the disk."""
    rival = host.environments / 'rival.yaml'
    rival.write_text('resource_registry: {Hooks::LifecycleCluster: x.yaml}\n')

    assert ('%s maps Hooks::LifecycleCluster too, and Heat goes by either of '
            'the two: take it out there.' % rival) in host.refuses()


@pytest.mark.parametrize('text, said', [
    ('parameter_defaults: {drain_timeoutt: 1}',
     'sets "drain_timeoutt", which is a parameter of no template of the '
     'library: correct the name or remove it.'),
    ('parameters: {drain_timeout: 1}', 'has the section "parameters"'),
    ('resource_registry: {OS::Hooks::LifecycleHook: OS::Heat::None}',
     'maps "OS::Hooks::LifecycleHook": a site chooses Hooks::ScalingAlarms'),
    ('resource_registry: {Hooks::ScalingAlarms: gone.yaml}',
     'gone.yaml cannot be read (No such file or directory).'),
    ('resource_registry: {Hooks::ScalingAlarms: cluster.yaml}',
     'cluster.yaml would be Hooks::Cluster, which is taken: give the file '
     'another name.'),
    ('resource_registry: {Hooks::ScalingAlarms: nests.yaml}',
     'nests.yaml uses other.yaml, which is not in the library: use its '
     'types, or put everything into one file.'),
    ('resource_registry: {Hooks::ScalingAlarms: broken.yaml}',
     'broken.yaml is no YAML: '),
    ('- a list', 'is not a mapping.'),
    ('{', 'is no YAML: '),
])
def test_environment_that_is_none_of_a_site(host, tmp_path, text, said):
    """A slip is told at once, and not by the first stack of a user."""
    (tmp_path / 'cluster.yaml').write_text(OWN_SOURCE)
    (tmp_path / 'broken.yaml').write_text('{')
    (tmp_path / 'nests.yaml').write_text(
        'resources: {a: {type: other.yaml}}\n')
    site = tmp_path / 'site.yaml'
    site.write_text(text)

    assert said in host.refuses('--environment', site)


def test_folder_that_may_not_be_written(host, monkeypatch):
    """The command run without sudo, say."""
    def denied(*_args, **_options):
        raise PermissionError(13, 'Permission denied')

    # The tests may run as root, who may everything.
    monkeypatch.setattr(pathlib.Path, 'mkdir', denied)

    assert ('cannot be changed or read (Permission denied): run as a user '
            'who may.') in host.refuses()
