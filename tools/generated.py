# SPDX-License-Identifier: Apache-2.0

"""Write files that are made from others, or tell which are stale."""

import argparse
import pathlib

REPO = pathlib.Path(__file__).resolve().parents[1]
COMMAND = 'tox -e genref'


def main(purpose, produce, folder, ending, complaint):
    """Write what is stale; with --check, complain about it instead.

    :param produce: returns the text of every file by its path.
    :param folder: where nothing with this ending is written by hand.
    """
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument('--check', action='store_true',
                        help='fail when a file is stale instead of writing it')
    check = parser.parse_args().check

    files = produce()
    found = stale(files, folder, ending)
    if check and found:
        return (f'{complaint}: {", ".join(found)}; run `{COMMAND}` and commit '
                'the result.')
    if check:
        return 0
    for name in found:
        path = REPO / name
        if name in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name])
        else:
            path.unlink()
        print(name)
    return 0


def stale(files, folder, ending):
    """What is not as produced, is missing, or comes from nothing more."""
    changed = {name for name, text in files.items()
               if not (REPO / name).exists()
               or (REPO / name).read_text() != text}
    there = {str(path.relative_to(REPO))
             for path in (REPO / folder).rglob(f'*{ending}')}
    return sorted(changed | (there - set(files)))
