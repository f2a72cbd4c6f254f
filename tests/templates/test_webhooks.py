# SPDX-License-Identifier: Apache-2.0

"""Which webhooks a stack takes, and when their subscriptions come and go."""

from heat.common import exception
import pytest

from tests.templates import library

COMPONENT = library.COMPONENTS / 'webhooks.yaml'

# Empty alone is not among them: to the front door that means nobody.
REFUSED = [
    ',', 'http://a.example.com,', ',http://a.example.com',
    'http://a.example.com,,http://b.example.com',
    ' ', 'a.example.com', '/hook', 'hook', 'ftp://a.example.com/',
    'mailto:ops@example.com', 'trust+http://a.example.com/',
    'javascript:alert(1)', 'http:', 'http://', 'http:///hook', 'http:hook',
    'http://user:secret@/hook', 'http://http://a.example.com/',
    'http://a.example.com:/', 'http://a.example.com:0/',
    'http://a.example.com:65536/', 'http://a.example.com:http/',
    'http://[::1/', 'http://[nonsense]/', 'http://256.1.1.1/',
    'http://1.2.3/', 'http://a..example.com/', 'http://-a.example.com/',
    'http://{host}/', 'http://$host/', 'http://%s/' % ('a' * 300),
    'http://a.example.com/ho ok', ' http://a.example.com/',
    'http://a.example.com/ ', 'http://a.example.com/\n',
    'http://a.example.com/\u2603', 'http://\u2603.example.com/',
    'http://a.example.com/#hook',
    'http://a.example.com,http://a.example.com',
    'http://a.example.com/h,http://b.example.com/h,http://a.example.com/h',
    'http://a.example.com,HTTP://A.example.com:80/',
    'https://a.example.com/,https://a.example.com:443/',
]

TAKEN = [
    'http://a.example.com', 'https://a.example.com/', 'HTTPS://a.example.com',
    'http://localhost:8080/hook', 'http://10.0.0.5/', 'http://[fd00::5]:8/x',
    'https://user:p%40ss@a.example.com/hook?key=value&more=%2C',
    'http://a_b.example.com./', 'http://xn--n3h.example.com/%E2%98%83',
    'http://a.example.com/1,http://a.example.com/2,http://a.example.com:81/1',
    'http://a.example.com/,https://a.example.com/',
    'https://me:x@a.example.com/,https://you:x@a.example.com/',
]


def _dependencies(stack, name):
    return {needed.name for needed in
            stack.dependencies.requires(stack[name])}


@pytest.mark.parametrize('path', [library.CLUSTER, COMPONENT],
                         ids=library.name)
@pytest.mark.parametrize('webhooks', REFUSED)
def test_what_is_no_list_of_urls_is_refused(heat, path, webhooks):
    """Zaqar takes nearly all of these, and then nobody is ever told."""
    stack = heat.stack(path, parameters={'webhooks': webhooks})

    with pytest.raises(exception.StackValidationFailed,
                       match="'webhooks'.* http:// or https:// URLs"):
        stack.validate()


@pytest.mark.parametrize('webhooks', TAKEN)
def test_every_endpoint_is_handed_on_as_it_is(heat, webhooks):
    """An endpoint that is spelt in an unusual way is told like any other."""
    stack = heat.stack(COMPONENT, parameters={'webhooks': webhooks})

    stack.validate()
    assert webhooks.split(',') == stack['subscriptions'].properties['urls']


def test_component_without_an_endpoint_is_refused(heat):
    """Who composes it in has a reason, and a typing error in a name."""
    stack = heat.stack(COMPONENT, parameters={'webhooks': ''})

    with pytest.raises(exception.StackValidationFailed,
                       match="'webhooks'.* at least one URL"):
        stack.validate()


def test_refusal_keeps_the_secret(heat):
    """The reason of a failed stack is read by more people than its input."""
    stack = heat.stack(COMPONENT, parameters={
        'webhooks': 'http://user:secret@a.example.com:x/'})

    with pytest.raises(exception.StackValidationFailed) as refusal:
        stack.validate()
    assert 'secret' not in str(refusal.value)


@pytest.mark.parametrize('path', [library.CLUSTER, COMPONENT],
                         ids=library.name)
def test_urls_are_hidden(path):
    """`openstack stack show` would print the endpoints' secrets."""
    assert library.load(path)['parameters']['webhooks']['hidden']


def test_cluster_without_webhooks_subscribes_nobody(heat):
    """Zaqar without a notifier is enough for everything else."""
    stack = heat.stack(library.CLUSTER)

    assert 'endpoints' not in stack.resources
    assert {'hook', 'cluster'} == _dependencies(stack, 'drained')


def test_endpoints_hear_of_the_last_servers(heat):
    """They are deleted after the drain, and the queue after them."""
    stack = heat.stack(library.CLUSTER,
                       parameters={'webhooks': 'http://a.example.com'})

    assert 'endpoints' in _dependencies(stack, 'drained')
    assert {'hook'} == _dependencies(stack, 'endpoints')


def test_cluster_hands_on_its_queue_and_its_webhooks(heat):
    """The endpoints would hear of another cluster's servers."""
    stack = heat.stack(library.CLUSTER,
                       parameters={'webhooks': ','.join(TAKEN[:3])})
    library.resolve(stack, 'hook', {'queue_name': 'the-queue'})

    subscriptions = library.nested(stack['endpoints'])['subscriptions']

    assert TAKEN[:3] == subscriptions.properties['urls']
    assert 'the-queue' == subscriptions.properties['queue']
