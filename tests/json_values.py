# SPDX-License-Identifier: Apache-2.0

"""What JSON can say, for the tests that make it up by the thousand.

The examples are the same in every run, so that CI does not fail for a change
that has nothing to do with it.
"""

import json
import os
import re

import hypothesis
from hypothesis import strategies as st

# More of them find more, in proportion.
EXAMPLES = int(os.environ.get('FUZZ_EXAMPLES', 10000))

# Deeper than C's parser of JSON goes, and near that.
_DEPTHS = (5, 50, 300, 700, 800, 850, 900, 950, 2000, 100000)


def examples(number):
    """Settings for a test with so many examples, always the same ones."""
    return hypothesis.settings(
        max_examples=number, derandomize=True, database=None, deadline=None,
        report_multiple_bugs=False,
        # What is arranged once serves all examples.
        suppress_health_check=list(hypothesis.HealthCheck))


def wire(value):
    """Return a value of a strategy of ours as the bytes of its JSON."""
    return _DEEP.sub(_deepen, json.dumps(value)).encode()


# Python's own tools cannot print or copy what is nested so deep, so a value
# has a text in its place.
_DEEP = re.compile(r'"deep ([1-9]\d*) (list|dict)"')


def _deepen(found):
    depth = int(found[1])
    if found[2] == 'list':
        return '[' * depth + ']' * depth
    return '{"x":' * depth + '0' + '}' * depth


# Surrogates and NUL included, which JSON can spell and UTF-8 cannot.
texts = st.text(st.characters(), max_size=40)

_LONG = st.builds(lambda text, times: text * times,
                  st.sampled_from(['x', 'ü', '\0', '\n', '\ud800', '-', '"']),
                  st.sampled_from([300, 5000, 70000]))

_NUMBERS = st.one_of(
    st.integers(-10, 400), st.integers(), st.floats(),
    st.sampled_from([10 ** 400, -10 ** 400, 2 ** 63, 1e308, -0.0,
                     float('nan'), float('inf'), float('-inf')]))

_SCALARS = st.one_of(st.none(), st.booleans(), _NUMBERS, texts)

_SMALL = st.recursive(
    _SCALARS, lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(texts, inner, max_size=3)), max_leaves=6)

# Of each kind that somebody may send where we expect another.
values = st.one_of(
    _SCALARS, _SMALL, _SCALARS, _SMALL, _LONG,
    st.builds('deep {} {}'.format, st.sampled_from(_DEPTHS),
              st.sampled_from(['list', 'dict'])))


def objects(fields):
    """Objects with any of these fields, and maybe others.

    :param fields: {key: strategy of its value}.
    """
    return st.builds(
        lambda known, more: {**more, **known},
        st.fixed_dictionaries({}, optional=fields),
        st.one_of(st.just({}), st.just({}),
                  st.dictionaries(texts, values, max_size=3)))
