# SPDX-License-Identifier: Apache-2.0

"""Heat itself accepts every file, sent the way the client sends it."""

from heat.common import exception
import pytest

from tests.templates import library


@library.combined(library.TEMPLATES + library.EXAMPLES)
def test_validates(heat, path, environment):
    """Everything we ship can be started, in each of our environments.

    Heat checks only the top level of what it is sent, so each template is
    sent on its own as well as through the examples that nest it.
    """
    stack = heat.stack(path, environment)

    stack.validate(validate_res_tmpl_only=True)


@library.combined(library.TEMPLATES + library.EXAMPLES)
def test_nested_parameters_validate(heat, path, environment):
    """What a template hands down is accepted where it arrives.

    Only for a stack that is really made does Heat look into nested
    templates, and only here are the values of all levels together.
    """
    stack = heat.stack(path, environment)

    for nested in library.nested_stacks(stack):
        nested.validate(validate_res_tmpl_only=True)


@pytest.mark.parametrize('parameter,value,message', [
    ('drain_timeout', 0, 'one second and one day'),
    ('drain_timeout', 86401, 'one second and one day'),
    ('criteria', 'NEWEST', 'YOUNGEST_FIRST or RANDOM'),
    ('max_size', 0, 'between 1 and 1000'),
    ('user_data', 'Content-Type: multipart/mixed', 'MIME message'),
])
def test_wrong_value_is_refused_with_a_sentence(heat, parameter, value,
                                                message):
    """A wrong value fails before anything is made, and says what is right."""
    stack = heat.stack(library.CLUSTER, parameters={parameter: value})

    with pytest.raises(exception.StackValidationFailed, match=message):
        stack.validate(validate_res_tmpl_only=True)


@pytest.mark.parametrize('parameters,requirement', [
    ({'scale_in_threshold': 40, 'scale_out_threshold': 10},
     'scale_in_threshold_is_below_scale_out_threshold'),
    ({'scale_in_threshold': 10, 'scale_out_threshold': 10},
     'scale_in_threshold_is_below_scale_out_threshold'),
    ({'desired_capacity': 0},
     'desired_capacity_is_between_min_size_and_max_size'),
    ({'desired_capacity': 3, 'max_size': 2},
     'desired_capacity_is_between_min_size_and_max_size'),
    ({'min_size': 3, 'desired_capacity': 3, 'max_size': 2},
     'desired_capacity_is_between_min_size_and_max_size'),
])
def test_values_that_do_not_fit_are_refused(heat, parameters, requirement):
    """Heat has no constraint over two parameters; the names say what is.

    Validated as for a stack that is really made, since the rule is nested.
    """
    stack = heat.stack(library.CLUSTER, parameters=parameters)

    with pytest.raises(exception.StackValidationFailed, match=requirement):
        stack[requirement].validate()


def test_values_that_fit_are_taken(heat):
    """A rule that refuses everything would pass the test above."""
    stack = heat.stack(library.CLUSTER, parameters={
        'scale_in_threshold': 10, 'scale_out_threshold': 10.5,
        'min_size': 2, 'desired_capacity': 3, 'max_size': 3})

    for name in ('scale_in_threshold_is_below_scale_out_threshold',
                 'desired_capacity_is_between_min_size_and_max_size'):
        stack[name].validate()
