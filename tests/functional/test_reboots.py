# SPDX-License-Identifier: Apache-2.0

"""Servers of the examples serve again after a reboot, and still drain."""

from tests.functional import tenant
from tests.functional import test_batch
from tests.functional import test_real_servers as real

SESSIONS_PORT = 7000


def wait_for_boots(project, server, number):
    """Wait until the guest of a server has booted so often."""
    console = project.guest(server) / 'console.log'
    tenant.wait_for('boot %d' % number, lambda: (
        project.servers()[server] == 'ACTIVE'
        and console.read_text().count('boot finished') == number))


def reboot(project, server):
    """Reboot a server, and wait until its guest has booted again."""
    # What the application waits for comes before the end of the boot.
    wait_for_boots(project, server, 1)
    project.connection.compute.reboot_server(server, 'HARD')
    wait_for_boots(project, server, 2)


def test_sessions_are_served_again_and_drained(project):
    """A rebooted server would look alive, and serve and drain nobody."""
    stack = project.create_example(
        'sessions', environments=[tenant.DEMO, tenant.MANUAL],
        defaults={'desired_capacity': 1})
    [server] = stack.members()
    address = project.address(server)
    tenant.wait_for('the session server',
                    lambda: not real.refuses(address, SESSIONS_PORT))

    reboot(project, server)

    tenant.wait_for('the session server',
                    lambda: not real.refuses(address, SESSIONS_PORT))
    # Nothing of the user data ran twice.
    console = (project.guest(server) / 'console.log').read_text()
    assert 1 == console.count('drain-agent: installed')
    # Not by its timeout.
    assert 'handler wait_ports: succeeded' in stack.delete_and_read(server)
    assert not project.guest(server).exists()


def test_batch_worker_takes_jobs_again(project):
    """Jobs would wait for a worker that is paid for and idle."""
    jobs = test_batch.Jobs()
    try:
        stack = project.create_example(
            'batch', environments=[tenant.DEMO, tenant.MANUAL],
            jobs_url=jobs.url, job_timeout=120,
            defaults={'desired_capacity': 1})
        [server] = stack.members()
        tenant.wait_for('a job', jobs.at_work)
        before = len(jobs.taken)

        reboot(project, server)

        tenant.wait_for('another job', lambda: len(jobs.taken) > before)
        stack.start_delete()
        tenant.wait_for('the end of the stack', stack.is_gone)
    finally:
        jobs.close()


def test_server_that_was_off_starts_after_nova_was_killed(local, project):
    """A tenant could only delete the server."""
    stack = project.create_gated(size=1)
    [server] = stack.members()
    compute = project.connection.compute
    wait_for_boots(project, server, 1)
    compute.stop_server(server)
    tenant.wait_for('the end of the guest',
                    lambda: project.servers()[server] == 'SHUTOFF')
    local.kill('nova')
    local.start('nova')

    compute.start_server(server)

    wait_for_boots(project, server, 2)
