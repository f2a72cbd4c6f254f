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


@library.combined(library.EXAMPLES)
def test_nested_parameters_validate(heat, path, environment):
    """What an example hands down is accepted where it arrives.

    Only for a stack that is really made does Heat look into nested
    templates, and only here are the values of both levels together.
    """
    stack = heat.stack(path, environment)

    for nested in library.nested_stacks(stack):
        nested.validate(validate_res_tmpl_only=True)


@pytest.mark.parametrize('parameter,value,message', [
    ('drain_timeout', 0, 'one second and one day'),
    ('drain_timeout', 86401, 'one second and one day'),
    ('criteria', 'NEWEST', 'four criteria'),
    ('max_size', 0, 'between 1 and 1000'),
    ('user_data', 'Content-Type: multipart/mixed', 'MIME message'),
    ('metric_aggregation', 'rate of mean', 'aggregation method'),
])
def test_wrong_value_is_refused_with_a_sentence(heat, parameter, value,
                                                message):
    """A wrong value fails before anything is made, and says what is right."""
    stack = heat.stack(library.CLUSTER, parameters={parameter: value})

    with pytest.raises(exception.StackValidationFailed, match=message):
        stack.validate(validate_res_tmpl_only=True)
