# SPDX-License-Identifier: Apache-2.0

"""The methods of Heat's group that OS::Hooks::AutoScalingGroup relies on."""

import ast
import hashlib
import inspect
import textwrap

from sandbox import releases
from tests.unit import base

# What of Heat is overridden, or has to be as it is for that: methods by the
# class that has them, and a digest of their text. It is the same in Heat 22
# to 27, but for one.
PINNED = {
    'AutoScalingResourceGroup._create_template': 'a63ad3598bfc',
    'AutoScalingResourceGroup.get_attribute': '2f67a5d3ae36',
    'AutoScalingResourceGroup._nested_output_defns': '2b3a3a4694cf',
    'AutoScalingGroup.get_size': '880d972cef30',
    'AutoScalingGroup.check_create_complete': 'b61c70262169',
    'AutoScalingGroup.check_update_complete': 'e18042fefbd8',
    'AutoScalingGroup._get_new_capacity': '1caf5b060e90',
    'AutoScalingGroup.resize': '26fb32635564',
    'AutoScalingGroup.handle_update': '4cc3116a6a20',
    'AutoScalingGroup.adjust': '4fd7113ce56f',
    'AutoScalingGroup.validate': '95341ddb5e03',
    'CooldownMixin._check_scaling_allowed': '1ca6c38fd571',
    'CooldownMixin._finished_scaling': '2b230748db65',
    'InstanceGroup._resolve_attribute': (
        '12c90f95e8e7' if releases.current() < '2025.1' else '6e26088afd63'),
    'InstanceGroup.get_size': '239e2c3766c3',
    'InstanceGroup.validate': '7fe4eb09814b',
    'InstanceGroup.check_create_complete': 'c46984f6fabf',
    'InstanceGroup.handle_update': '48a4e3615748',
    'InstanceGroup._create_template': '57f0a57eb46d',
    'InstanceGroup._replace': '48b881c7cde6',
    'InstanceGroup._check_for_completion': 'da6e1e40c8cf',
    'InstanceGroup.resize': '55a81307edd0',
    'InstanceGroup._nested_output_defns': '83c4f7ad23f9',
}

# Not overridden, but they call what is.
RELIED_ON = {'adjust', '_replace', 'check_create_complete',
             'check_update_complete'}

GROUPS = ('AutoScalingResourceGroup', 'AutoScalingGroup', 'InstanceGroup',
          'CooldownMixin')


def test_heat_is_as_it_was_when_this_was_written():
    """A new release could call something else, and members go at once.

    Read what has changed, and the group again, before a digest is changed.
    """
    group = base.PluginTestCase.plugin_class('OS::Hooks::AutoScalingGroup')
    ours = {name for name, value in vars(group).items()
            if inspect.isfunction(value)}

    digests = {}
    for cls in group.__mro__[1:]:
        for name, method in vars(cls).items():
            if (inspect.isfunction(method)
                    and cls.__name__ in GROUPS
                    and (name in ours or name in RELIED_ON)):
                digests['%s.%s' % (cls.__name__, name)] = digest(method)
    assert PINNED == digests


def digest(method):
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]
