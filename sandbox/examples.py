# SPDX-License-Identifier: Apache-2.0

"""The examples of the library, with clusters of Senlin's or without a hook.

They are made with a group of Heat's, which every release line has.
"""

import shutil

from sandbox import cloud

_GROUP = 'templates/lifecycle_group.yaml'
# What is another with and without the hook: the group that listens is Heat's
# own then.
_HOOKED = ('OS::Hooks::AutoScalingGroup',
           '    properties:\n      hook: {get_resource: hook}\n')
_STOCK = ('OS::Heat::AutoScalingGroup', '    properties:\n')


def write(name, folder, with_senlin, with_hook=True):
    """Write an example with the library into a folder.

    :param name: of the example, without its folder and suffix.
    :param with_hook: False for what has no hook to ask; for a cluster an
        environment is enough, environments/without-hook.yaml.
    :returns: path of the template.
    """
    for part in ('templates', 'examples'):
        shutil.copytree(cloud.REPO / part, folder / part, dirs_exist_ok=True)
    path = folder / 'examples' / (name + '.yaml')
    if with_senlin:
        # All that somebody changes who has Senlin.
        _replace(path, 'lifecycle_group.yaml', 'lifecycle_cluster.yaml')
    elif not with_hook:
        for old, new in zip(_HOOKED, _STOCK):
            _replace(folder / _GROUP, old, new)
    return path


def _replace(path, old, new):
    text = path.read_text()
    if text.count(old) != 1:
        raise cloud.SandboxError('%s has to have "%s" once.' % (path, old))
    path.write_text(text.replace(old, new))
