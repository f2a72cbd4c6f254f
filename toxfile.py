# SPDX-License-Identifier: Apache-2.0

"""Let all tox environments of this project share one virtual environment.

tox notes in a virtual environment which of its environments made it, and
builds it anew for another, though `envdir` and `deps` are the same. Here that
would be minutes of installation for nothing. Without the note tox keeps what
it finds; a change of Python or of `deps` still rebuilds it.
"""

import json

from tox.plugin import impl


@impl
def tox_on_install(tox_env, arguments, section, of_type):
    """Forget the name after it was compared and before the packages are."""
    notes = tox_env.env_dir / '.tox-info.json'
    content = json.loads(notes.read_text())
    if content.pop('ToxEnv', None):
        notes.write_text(json.dumps(content, indent=2))
