# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from heat.engine import constraints
from heat.engine import resources

from tests.unit import base


class KnownNamesTest(base.PluginTestCase):

    def setUp(self):
        super().setUp()

        def validate(_constraint, value, context=None):
            if value.startswith('no-such'):
                raise ValueError(value)
        self.patchobject(constraints.CustomConstraint, 'validate',
                         new=validate)
        self.names = [
            resources.global_env().get_constraint(name)()
            for name in ('hooks.policies', 'hooks.security_groups')]

    def test_known_names_are_taken(self):
        """A constraint that refuses all would keep everybody out."""
        for constraint in self.names:
            for names in ([], ['web'], ['web', 'ssh']):
                self.assertTrue(constraint.validate(names, mock.sentinel.c))

    def test_each_unknown_name_is_told(self):
        """Who corrects a list sees all that is wrong with it."""
        for constraint in self.names:
            self.assertFalse(constraint.validate(
                ['no-such-1', 'web', 'no-such-2'], mock.sentinel.c))
            self.assertEqual(
                'There is no "no-such-1" and no "no-such-2"; correct the '
                'name or leave it out.', constraint.error([]))

    def test_path_is_no_policy(self):
        """Senlin answers to it, but not with a policy."""
        self.assertFalse(self.names[0].validate(['../../v2'], None))

    def test_empty_entry_is_no_name(self):
        """A comma too much is not a security group of that name."""
        for constraint in self.names:
            for names in ([''], ['web', ' ', 'ssh']):
                self.assertFalse(constraint.validate(names, mock.sentinel.c))
