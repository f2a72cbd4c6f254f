# SPDX-License-Identifier: Apache-2.0

"""Constraints for lists of names: each name has to be known.

The constraints of Heat take one name. Without these, Nova or Senlin would
refuse a list with an unknown name after half of a stack was created.
"""

from heat.common.i18n import _
from heat.engine import constraints


class _EachConstraint:
    """Apply a constraint of Heat to each name of a list."""

    # The name of the constraint; a subclass sets it.
    name = None

    def validate(self, names, context):
        self._unknown = [name for name in names
                         if not self._is_known(name, context)]
        return not self._unknown

    def _is_known(self, name, context):
        if not name.strip():
            return False
        try:
            constraints.CustomConstraint(self.name).validate(
                name, context=context)
        except ValueError:
            return False
        return True

    def error(self, _names):
        return (_('There is no "%s"; correct the name or leave it out.')
                % '" and no "'.join(self._unknown))


class PoliciesConstraint(_EachConstraint):
    name = 'senlin.policy'

    def _is_known(self, name, context):
        # Senlin's client makes a path of it, and "../../v2" answers as well.
        return '/' not in name and super()._is_known(name, context)


class SecurityGroupsConstraint(_EachConstraint):
    name = 'neutron.security_group'


def constraint_mapping():
    return {
        'hooks.policies': PoliciesConstraint,
        'hooks.security_groups': SecurityGroupsConstraint,
    }
