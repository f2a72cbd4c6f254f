# SPDX-License-Identifier: Apache-2.0

"""Packages of the plugin: what may import what, and how Heat loads it."""

import ast
import gc
import graphlib
import types

from tests.unit import base

PLUGIN = base.REPO / 'heat_plugins'


def imports():
    """Return {module: modules of the plugin that it imports}."""
    found = {}
    for path in PLUGIN.rglob('*.py'):
        folder = path.relative_to(PLUGIN).parts[:-1]
        module = '.'.join((*folder, path.stem))
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                package = [*folder[:len(folder) - node.level + 1],
                           *filter(None, [node.module])]
                found[module].update('.'.join([*package, alias.name])
                                     for alias in node.names)
    return found


def test_only_modules_are_imported():
    """A name out of a module would come from a second copy of it.

    Heat puts a module that it loads into its package, and not into
    sys.modules, where Python would look for it.
    """
    found = imports()

    assert set().union(*found.values()) <= found.keys()


def test_modules_have_no_cycle():
    """Heat would load a module twice, with a cache and a lock for each."""
    graphlib.TopologicalSorter(imports()).prepare()


def test_senlin_can_be_deleted():
    """Code for Senlin would be left all over the plugin."""
    users = {module for module, imported in imports().items()
             if not module.startswith('senlin.')
             and any(name.startswith('senlin.') for name in imported)}

    assert {'lifecycle_hook', 'drain_wait_condition'} == users


def test_engine_knows_no_resource():
    """What makes up for Heat's engine would depend on what drains."""
    for module, imported in imports().items():
        if module.startswith('_engine.'):
            assert all(name.startswith('_engine.') for name in imported)


def test_heat_loads_each_module_once():
    """A copy of a module would have a cache and a lock of its own."""
    for module in imports():
        if module.endswith('__init__'):
            continue
        # Not by sys.modules, where Heat does not put most of them.
        base.PluginTestCase.plugin_module(module)
        name = 'heat.engine.plugins.' + module
        assert 1 == sum(
            found.__name__ in (name, 'heat_plugins.' + module)
            for found in gc.get_objects()
            if isinstance(found, types.ModuleType)), module
