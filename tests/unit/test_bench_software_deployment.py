# SPDX-License-Identifier: Apache-2.0

"""What the servers of the comparison are made of."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from bench import software_deployment
from tests.agent import fake_cloud


@pytest.fixture
def hook(tmp_path):
    """Run the hook on some deployments, with the folders of this test."""
    text = (software_deployment.TEMPLATES / 'heat_config.py').read_text()
    for folder in ('/var/run/heat-config', '/var/lib/collector'):
        text = text.replace(folder, str(tmp_path))
    script = tmp_path / 'hook.py'
    script.write_text(text)

    def run(deployments):
        (tmp_path / 'heat-config').write_text(json.dumps(deployments))
        subprocess.run([sys.executable, script], check=True)
    return run


@pytest.mark.parametrize(('interval', 'line'), [
    (None, ''), (7, 'polling_interval = 7')])
def test_user_data_is_complete(interval, line):
    """os-collect-config would not start, and look infinitely slow."""
    template = software_deployment.template('/opt/bin', interval, 2)

    for number in range(2):
        server = template['resources']['server_%d' % number]['properties']
        user_data = server['user_data']
        assert not re.search('@[A-Z]+@', user_data)
        assert 'PATH="/opt/bin:$PATH"' in user_data
        assert line in user_data
        assert bool(interval) == ('polling_interval' in user_data)
        assert user_data.startswith('#!')
        deployment = template['resources']['deployment_%d' % number]
        assert ['DELETE'] == deployment['properties']['actions']


def test_deployment_runs_once_and_is_signalled(hook, tmp_path):
    """The stack of the comparison would wait until its timeout."""
    with fake_cloud.FakeCloud() as cloud:
        deployment = {
            'id': 'd', 'config': 'echo "$greeting" >>%s/out' % tmp_path,
            'inputs': [{'name': 'greeting', 'value': 'hello'},
                       {'name': 'deploy_signal_id',
                        'value': cloud.config['signal_url']}]}
        hook([deployment])
        hook([deployment])
        cloud.shutdown()

    assert 'hello\n' == pathlib.Path(tmp_path / 'out').read_text()
    assert [0] == [signal['deploy_status_code'] for signal in cloud.signals]
