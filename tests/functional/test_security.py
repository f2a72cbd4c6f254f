# SPDX-License-Identifier: Apache-2.0

"""What doc/source/security.rst says, on real services.

Whoever changes a statement there changes its test here.
"""

import time
from urllib import parse
import uuid

import pytest
import requests

from sandbox.services import heat
from sandbox.services import zaqar
from tests.functional import secrets_in_logs
from tests.functional import tenant

# Nobody listens there, so Zaqar says in its log what it could not deliver.
PASSWORD = 'webhook-' + uuid.uuid4().hex
WEBHOOK = 'http://zaqar:%s@127.0.0.1:9/hooks' % PASSWORD


@pytest.fixture(scope='module')
def silent(project):
    """A cluster for whose guests the test answers."""
    return project.create_silent(size=3, drain_timeout=250, wait=False)


@pytest.fixture(scope='module')
def strangers(local, silent):
    """Somebody in another project, with a cluster of their own."""
    other = tenant.Tenant(local, 'sandbox-other')
    stack = other.create_silent(size=0, drain_timeout=250, wait=False)
    yield other, stack
    other.delete_stacks()


@pytest.fixture(scope='module', autouse=True)
def gated(project, silent, strangers):
    """A cluster of the library, with agents; all are created at once."""
    gated = project.create_gated(3, webhooks=WEBHOOK)
    silent.wait('CREATE_COMPLETE')
    strangers[1].wait('CREATE_COMPLETE')
    return gated


class Access:
    """A queue as somebody sees it who has nothing but what servers have."""

    def __init__(self, project, config):
        self._base = project.local.cloud.url(zaqar.PORT)
        queue = config['queue']
        self.path = parse.urlsplit(queue['url']).path
        self.headers = {
            'Client-ID': str(uuid.uuid4()), 'Accept': 'application/json',
            'URL-Signature': queue['signature'],
            'URL-Expires': queue['expires'],
            'URL-Methods': ','.join(queue['methods']),
            'URL-Paths': ','.join(queue['paths']),
            'X-Project-Id': queue['project_id']}

    def ask(self, method='GET', path=None, body=None, **headers):
        """Send a request; return (status, document).

        :param headers: with "_" for "-"; None leaves one out.
        """
        changed = {name.replace('_', '-'): value
                   for name, value in headers.items()}
        answer = requests.request(
            method, self._base + (path or self.path), json=body,
            params={'echo': 'true', 'limit': 20}, timeout=60,
            headers={name: value for name, value in
                     {**self.headers, **changed}.items()
                     if value is not None})
        return answer.status_code, answer.json() if answer.content else {}

    def tokens(self):
        """Return {server: token} of the messages on the queue."""
        status, page = self.ask()
        assert 200 == status, status
        return {message['body']['resource_id']:
                message['body']['lifecycle_action_token']
                for message in page['messages']}


def accepted(stack, url=None, method='POST', body=None):
    """Whether Heat takes a signal."""
    return requests.request(
        method, url or stack.agent_config()['signal_url'], timeout=60,
        json=body or {'lifecycle_action_result': 'TEST'}).ok


def test_queue_access_shows_the_drains_of_all_members(project, silent):
    """A page that says less would give a false sense of safety."""
    silent.scale_in(2)

    pending = silent.wait_for_drains(2)
    access = Access(project, silent.agent_config())

    # Who waits has posted, or is about to.
    tenant.wait_for('the messages', lambda: pending == access.tokens())


def test_queue_access_does_nothing_but_read(project, silent):
    """One member that was taken over could make all others drain."""
    access = Access(project, silent.agent_config())
    before = access.tokens()
    queue = access.path.rpartition('/')[0]
    message = {'messages': [{'ttl': 60, 'body': {}}]}

    refused = {access.ask(method, path, body)[0] for method, path, body in (
        ('POST', access.path, message), ('DELETE', access.path, None),
        ('DELETE', access.path + '?pop=1', None),
        ('PUT', queue, {}), ('DELETE', queue, None), ('GET', queue, None),
        ('GET', queue + '/stats', None), ('GET', '/v2/queues', None),
        ('POST', queue + '/claims', {}), ('POST', queue + '/share', {}),
        ('POST', queue + '/purge', {}),
        ('GET', queue + '/subscriptions', None),
        ('POST', queue + '/subscriptions',
         {'subscriber': WEBHOOK, 'ttl': 600, 'options': {}}))}

    assert {404} == refused
    assert before == access.tokens()


def test_queue_access_is_for_one_queue_as_it_was_signed(project, silent,
                                                        gated):
    """Whoever reads one hook would read the hooks of everybody."""
    access = Access(project, silent.agent_config())
    other = Access(project, gated.agent_config())

    refused = {status for status, _page in (
        access.ask(path=other.path),
        access.ask(path=other.path, URL_Paths=other.path),
        access.ask('POST', body={'messages': []}, URL_Methods='GET,POST'),
        access.ask(URL_Expires='2999-01-01T00:00:00'),
        access.ask(URL_Expires='2020-01-01T00:00:00'),
        access.ask(X_Project_Id=uuid.uuid4().hex),
        access.ask(URL_Signature='0' * 64))}

    assert {404} == refused


def test_outsider_reads_and_posts_nothing(project, silent, strangers):
    """Anybody could tell servers to drain."""
    access = Access(project, silent.agent_config())
    message = {'messages': [{'ttl': 60, 'body': {}}]}

    for method, body in (('GET', None), ('POST', message)):
        # Zaqar itself takes all but the first.
        for headers in ({}, {'URL_Signature': ''}, {'Extra_Spec': ''},
                        {'Extra_Spec': 'messagecode:1'}):
            assert 401 == access.ask(method, body=body, **{
                'URL_Signature': None, **headers})[0]
    # Another project's queue of this name is another queue.
    assert access.tokens()
    name = silent.agent_config()['queue']['name']
    assert [] == strangers[0].messages(name)
    assert not accepted(silent, url=silent.agent_config()[
        'signal_url'].partition('?')[0])


def test_signal_url_is_for_one_hook(project, silent, gated):
    """Whoever has one could signal to, or read, the rest of the stack."""
    url = silent.agent_config()['signal_url']
    other = gated.agent_config()['signal_url']
    path, _, query = url.partition('?')
    heat_url = project.local.cloud.url(heat.PORT)

    assert accepted(silent)
    assert not accepted(silent, url, method='GET')
    assert not accepted(silent, url, method='PUT')
    assert not accepted(silent, path[:-len('hook')] + 'drained?' + query)
    assert not accepted(silent, other.partition('?')[0] + '?' + query)
    assert not accepted(silent, url[:-1])
    assert not accepted(silent, url.replace('/signal/', '/waitcondition/'))
    assert not requests.get(
        '%s/v1/%s/stacks?%s' % (heat_url, silent.agent_config()[
            'queue']['project_id'], query), timeout=60).ok


def test_member_can_end_the_drain_of_another(project, silent):
    """A page that says less would give a false sense of safety."""
    tokens = Access(project, silent.agent_config()).tokens()
    url = silent.agent_config()['signal_url']
    (early, first), (kept, second) = sorted(
        item for item in tokens.items() if item[1] in
        silent.pending().values())

    silent.signal({'lifecycle_action_token': second,
                   'lifecycle_action_result': 'ROLLBACK'}, url)
    silent.signal({'lifecycle_action_token': first}, url)
    tenant.wait_for('the deletion', lambda: early not in project.servers())

    assert kept in silent.members()
    # Which of them it was, nobody can tell: they have the same URL.
    assert any(early in event and 'by the signal URL' in event
               for event in silent.events('hook'))


def test_member_can_delete_no_server_that_does_not_drain(project, silent,
                                                         engine_log):
    """One member that was taken over could end the cluster."""
    before = project.servers()
    url = silent.agent_config()['signal_url']
    told = [*silent.members(), *silent.ids_of_others(), str(uuid.uuid4())]

    for token in told:
        for result in ('CONTINUE', 'ROLLBACK'):
            silent.signal({'lifecycle_action_token': token,
                           'lifecycle_action_result': result}, url)
    # The last one was acted upon when one that was sent later has been.
    silent.signal({'lifecycle_action_result': 'TEST', 'reason': 'last'}, url)
    tenant.wait_for('the last signal', lambda: any(
        'last' in event for event in silent.events('hook')))

    # Nova takes its time, and says ACTIVE meanwhile.
    time.sleep(4)
    assert before == project.servers()
    assert 'Traceback' not in engine_log()


def test_signal_counts_once_and_in_time(project, silent):
    """A signal that was overheard would end the next drain too."""
    silent.scale_in()
    [(server, token)] = silent.wait_for_drains(1).items()
    rest = silent.members() - {server}
    silent.let_go(server)

    for result in ('CONTINUE', 'ROLLBACK', None):
        assert silent.signal({'lifecycle_action_token': token,
                              'lifecycle_action_result': result}).ok
    silent.scale_in()
    [after] = silent.wait_for_drains(1)
    silent.signal({'lifecycle_action_token': token})
    time.sleep(4)

    assert [after] == list(silent.pending())
    assert rest == silent.members()


@tenant.needs_senlin
def test_token_is_enough_where_senlin_is_in_reach(project, silent,
                                                  strangers):
    """A page that says less would give a false sense of safety.

    Senlin asks neither whose token it is nor whose cluster.
    """
    [(server, token)] = silent.wait_for_drains(1).items()
    senlin = strangers[0].connection.clustering

    assert 404 == senlin.get('/actions/%s' % token).status_code
    answer = senlin.patch(
        '/actions/%s' % token, json={'action': {'status': 'CANCELLED'}},
        microversion='1.14')
    assert 202 == answer.status_code
    tenant.wait_for('the end of the drain', lambda: not silent.pending())
    assert server in silent.members()

    silent.scale_in()
    [(server, token)] = silent.wait_for_drains(1).items()
    answer = senlin.post(
        '/clusters/%s/actions' % uuid.uuid4(), microversion='1.9',
        json={'complete_lifecycle': {'lifecycle_action_token': token}})

    assert 202 == answer.status_code
    tenant.wait_for('the deletion', lambda: server not in project.servers())


def test_other_tenant_sees_nothing_of_the_stack(silent, strangers):
    """The attributes of a hook are secrets."""
    other, stack = strangers

    def ask(asked, path=''):
        return other.connection.session.get(
            other.local.cloud.url(heat.PORT, '/v1/%s/stacks/%s/%s%s' % (
                other.connection.session.get_project_id(), asked.name,
                asked.id, path)), raise_exc=False).status_code

    for path in ('', '/resources/hook'):
        assert 200 == ask(stack, path)
        assert ask(silent, path) in (403, 404)
    if tenant.WITH_SENLIN:
        assert not other.connection.clustering.get(
            '/clusters/%s' % silent.cluster_id).ok
    # Signed for theirs, it is of no use for ours.
    query = stack.agent_config()['signal_url'].partition('?')[2]
    assert not accepted(silent, silent.agent_config()[
        'signal_url'].partition('?')[0] + '?' + query)


def test_scaling_url_drains_and_nothing_else(project, gated):
    """Whoever has it could delete servers with open sessions."""
    url = gated.output('scale_in_url')
    before = gated.members()

    assert not requests.get(url, timeout=60).ok
    # As many as the caller wants, whatever the step of a cluster is; a group
    # knows nothing but its step.
    assert requests.post(url, json={'count': 2}, timeout=60).ok
    drains = gated.wait_for_drains(2 if tenant.WITH_SENLIN else 1)
    tenant.wait_for('the handlers', lambda: all(
        project.is_draining(server) for server in drains))

    assert before == gated.members()
    for server in drains:
        project.release(server)
    tenant.wait_for('the deletion',
                    lambda: not drains.keys() & gated.members())


def test_scaling_urls_can_be_replaced(project, gated):
    """A URL that has leaked would be good for ever."""
    old = gated.output('scale_in_url')
    servers = gated.members()
    project.heat.resources.mark_unhealthy(*gated.place_of('scale_in'), True,
                                          'leaked')

    gated.update()

    assert gated.output('scale_in_url') != old
    assert not requests.post(old, timeout=60).ok
    assert servers == gated.members()


def test_no_secret_is_in_any_log(local, project, gated):
    """Whoever reads logs could end drains, or act as a service.

    The other tests of this module have made the traffic: creation, scale-in,
    signals that are taken and refused, failed webhooks, an update.
    """
    secrets = {'password of the webhook': PASSWORD,
               **secrets_in_logs.of_cloud(local),
               **secrets_in_logs.of_hook(gated.agent_config())}
    guests = [project.guest(server) / 'var/log/drain-agent.log'
              for server in gated.members()]
    assert all('server' in log.read_text() for log in guests)

    logs = sorted(local.cloud.logs.glob('*.log')) + guests

    assert [] == secrets_in_logs.found(logs, secrets)


def test_what_was_given_out_dies_with_the_stack(project, silent):
    """Servers that were kept, or copies of their disks, would have power."""
    config = silent.agent_config()
    access = Access(project, config)

    silent.start_delete()
    tenant.wait_for('the deletion', silent.is_cleared)

    assert not silent.signal(
        {'lifecycle_action_result': 'TEST'}, config['signal_url']).ok
    # Its signature is good for ten years, but there is nothing to read.
    assert {} == access.tokens()
    assert not project.queue_exists(config['queue']['name'])


def test_new_key_of_zaqar_ends_every_access(local, project, gated):
    """A key that has leaked would read all queues for ever."""
    access = Access(project, gated.agent_config())
    conf = local.cloud.conf('zaqar')
    text = conf.read_text()
    assert 200 == access.ask()[0]
    local.kill('zaqar')
    try:
        conf.write_text(text.replace(local.cloud.secret('zaqar-urls'), 'new'))
        local.start('zaqar')
        assert 404 == access.ask()[0]
    finally:
        local.kill('zaqar')
        conf.write_text(text)
        local.start('zaqar')

    assert 200 == access.ask()[0]
