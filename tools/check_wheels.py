# SPDX-License-Identifier: Apache-2.0

"""Check that what is installed here can be installed without a compiler.

    .tox/cloud/bin/python -m tools.check_wheels

Asks the package index, for each Python and architecture of the default line,
for a wheel of every distribution of this environment. Exits with 1 if one is
missing. By hand, after a change of constraints/openstack-2026.2.txt.
"""

import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tempfile

CONSTRAINTS = (pathlib.Path(__file__).resolve().parents[1] / 'constraints'
               / 'openstack-2026.2.txt')
PYTHONS = ('3.11', '3.12', '3.13', '3.14')
ARCHITECTURES = ('x86_64', 'aarch64')
# The oldest system is Debian 12, with glibc 2.36. A wheel has one of the tags
# up to that; "manylinux2014" is the older name of 2.17.
_TAGS = ('manylinux2014', *('manylinux_2_%d' % minor
                            for minor in range(17, 37)))
# Published as source only, without anything to compile.
_PURE = {'ncclient', 'ovs', 'simplegeneric', 'testresources'}
_MISSING = re.compile(r'No matching distribution found for ([^=\s]+)')


def installed():
    """Return {name: requirement} of this environment.

    Another Python may have another release of what is not pinned.
    """
    pinned = {_normal(line.partition('==')[0])
              for line in CONSTRAINTS.read_text().splitlines()}
    found = {}
    for distribution in importlib.metadata.distributions():
        name = _normal(distribution.name)
        if name not in _PURE:
            found[name] = ('%s==%s' % (name, distribution.version)
                           if name in pinned else name)
    return found


def _normal(name):
    return re.sub('[-_.]+', '-', name).lower()


def missing(requirements, python, architecture):
    """Return the requirements for which there is no wheel.

    :raises RuntimeError: if pip fails for another reason.
    """
    left, found = dict(requirements), []
    while True:
        with tempfile.TemporaryDirectory() as folder:
            # Nothing is downloaded but what says what a wheel is.
            done = subprocess.run(
                [sys.executable, '-m', 'pip', 'install', '--dry-run',
                 '--quiet', '--no-deps', '--only-binary', ':all:',
                 '--target', folder, '--python-version', python,
                 *('--platform=%s_%s' % (tag, architecture) for tag in _TAGS),
                 *left.values()], capture_output=True, text=True)
        if not done.returncode:
            return found
        match = _MISSING.search(done.stderr)
        if not match:
            raise RuntimeError(done.stderr)
        found.append(left.pop(match[1]))


def main():
    requirements = installed()
    failed = False
    for python in PYTHONS:
        for architecture in ARCHITECTURES:
            without = missing(requirements, python, architecture)
            failed = failed or bool(without)
            print('Python %s on %s: %s' % (
                python, architecture, 'no wheel of ' + ', '.join(without)
                if without else 'a wheel of all %d' % len(requirements)),
                flush=True)
    return failed


if __name__ == '__main__':
    sys.exit(main())
