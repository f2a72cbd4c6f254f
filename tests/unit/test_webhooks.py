# SPDX-License-Identifier: Apache-2.0

import itertools

import requests
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base

A, B, C = ('http://%s.example.com/hook' % name for name in 'abc')

TEMPLATE = '''
heat_template_version: wallaby
resources:
  endpoints:
    type: OS::Hooks::Webhooks
    properties:
      queue: the-queue
      urls: [%s, %s]
''' % (A, B)


class _WebhooksTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self):
        self.zaqar.subscribed.clear()
        self.journal.clear()
        self.rsrc = self.parse_stack(TEMPLATE)['endpoints']

    def create(self):
        self.run_task(self.rsrc.create)

    def delete(self):
        self.run_task(self.rsrc.delete)

    def subscribers(self, queue='the-queue'):
        return sorted(s.subscriber for s in self.zaqar.subscribed
                      if s.queue_name == queue)

    def subscribe_somebody_else(self, url):
        return self.zaqar.subscription('the-queue', subscriber=url, ttl=3600,
                                       options={'heat_resource': 'another'})


class UrlsTest(base.PluginTestCase):

    def problem(self, *urls):
        return self.plugin_module('_urls').problem(urls)

    def test_good_urls_are_taken(self):
        """An endpoint could not be told at all."""
        label = 'a' * 63
        for host in ('a', 'a.example.com', 'a.example.com.', 'a_b', '1a',
                     '192.0.2.1', '[2001:db8::1]', 'user:secret@a.example',
                     'a:1', 'a:65535', '.'.join([label] * 3 + ['a' * 61])):
            for scheme in ('http', 'https'):
                self.assertIsNone(
                    self.problem('%s://%s/x?y=z' % (scheme, host)))

    def test_what_is_wrong_is_told(self):
        """Zaqar takes them, and fails at each message."""
        label = 'a' * 63
        host = 'URL 1 has no valid host and port'
        for url, problem in (
                ('', 'URL 1 is empty'),
                ('http://a/b c', 'URL 1 has a space or another character '
                                 'that has to be percent-encoded'),
                ('ftp://a/', 'URL 1 does not begin with http:// or https://'),
                ('http://a/#b', 'URL 1 has a "#", and what follows it would '
                                'never be sent'),
                ('http:///a', host), ('http://a:x/', host),
                ('http://a:0/', host), ('http://a:65536/', host),
                ('http://http://a/', host), ('http://-a/', host),
                ('http://a..b/', host), ('http://192.0.2/', host),
                ('http://192.0.2.256/', host), ('http://[::g]/', host),
                ('http://%s/' % '.'.join([label] * 3 + ['a' * 62]), host)):
            self.assertEqual(problem, self.problem(url))
            self.assertEqual(problem.replace('URL 1', 'URL 2'),
                             self.problem('http://z/', url))

    def test_spellings_of_one_url_are_one(self):
        """An endpoint would be told twice."""
        for first, second in (
                ('http://a', 'http://a/'), ('http://a/', 'http://A:80/'),
                ('https://a/', 'https://a:443/'), ('http://a/', 'HTTP://a/')):
            self.assertEqual('URL 2 is the same as URL 1',
                             self.problem(first, second))
        for first, second in (
                ('http://a/', 'https://a/'), ('http://a:81/', 'http://a:82/'),
                ('http://a/x', 'http://a/y'), ('http://a/?x', 'http://a/?y'),
                ('http://u@a/', 'http://v@a/'), ('http://a/', 'http://a:81/'),
                ('http://u:v@a/', 'http://u:w@a/')):
            self.assertIsNone(self.problem(first, second))


class CreateTest(_WebhooksTestCase):

    def test_every_endpoint_is_subscribed(self):
        """An endpoint would never be told of anything."""
        self.create()

        self.assertEqual([A, B], self.subscribers())

    def test_subscriptions_outlive_the_stack(self):
        """Zaqar forgets a subscription after an hour if nothing is said."""
        self.create()

        # In a hundred years.
        self.assertTrue(all(s.ttl > 100 * 365 * 86400
                            for s in self.zaqar.subscribed))

    def test_endpoint_of_somebody_else_is_refused(self):
        """Their deletion would silence ours, or ours theirs."""
        self.subscribe_somebody_else(B)

        failure = self.assertRaises(base.ResourceFailure, self.create)

        self.assertIn('endpoints: http://b.example.com/... is told of queue '
                      'the-queue by a subscription of somebody else',
                      str(failure))
        self.assertEqual([B], self.subscribers())

    def test_zaqar_may_be_away_for_a_while(self):
        """A restart of Zaqar would fail the stack."""
        self.zaqar.down = zaqar_errors.ServiceUnavailableError()
        runner = self.start_task(self.rsrc.create)
        self.stand_still(runner)

        self.zaqar.down = None
        runner.run_to_completion()

        self.assertEqual([A, B], self.subscribers())

    def test_urls_that_nobody_can_post_to_are_refused(self):
        """Zaqar takes them, and fails at each message."""
        rsrc = self.parse_stack(TEMPLATE.replace(B, A))['endpoints']
        self.patchobject(type(rsrc), 'is_service_available',
                         return_value=(True, None))

        refusal = self.assertRaises(base.StackValidationFailed, rsrc.validate)

        self.assertIn('URL 2 is the same as URL 1.', str(refusal))

    def test_engine_dies_anywhere_and_an_update_carries_on(self):
        """The second try would meet what nobody owns, or make it twice."""
        for changes in itertools.count():
            for hears in (True, False):
                self.start_over()
                if not self.dies(changes, self.create,
                                 hears_of_the_last=hears):
                    return
                self.rsrc = self.reload(self.rsrc)
                self.update(self.rsrc)
                self.assertEqual([A, B], self.subscribers())
                self.delete()
                self.assertEqual([], self.subscribers())


class UpdateTest(_WebhooksTestCase):

    def setUp(self):
        super().setUp()
        self.create()
        self.journal.clear()

    def test_only_what_changes_is_touched(self):
        """An endpoint would miss what is posted while it is made anew."""
        self.update(self.rsrc, urls=[C, B])

        # First the new one: an endpoint that moves misses nothing.
        self.assertEqual(['subscribe %s' % C, 'unsubscribe %s' % A],
                         self.journal)

    def test_order_does_not_matter(self):
        """A sorted list would be another list."""
        self.update(self.rsrc, urls=[B, A])

        self.assertEqual([], self.journal)

    def test_lost_subscription_is_found_and_made_again(self):
        """Somebody has cleaned up, and an endpoint stays silent for ever."""
        self.zaqar.subscribed.pop(0)

        failure = self.assertRaises(base.ResourceFailure, self.run_task,
                                    self.rsrc.check)
        self.update(self.rsrc)

        self.assertIn('lost the subscriptions of http://a.example.com/... to '
                      'queue the-queue; update the stack', str(failure))
        self.assertEqual([A, B], self.subscribers())
        self.run_task(self.rsrc.check)

    def test_subscriptions_of_others_stay(self):
        """A queue may have readers of which the stack knows nothing."""
        self.subscribe_somebody_else(C)
        self.zaqar.subscription('the-queue', subscriber='mailto:me@x',
                                ttl=60, options=None)

        self.update(self.rsrc, urls=[A])
        self.delete()

        self.assertEqual([C, 'mailto:me@x'], self.subscribers())

    def test_more_than_a_page_of_subscriptions(self):
        """What is on the second page would be made twice, or never go."""
        urls = ['http://a.example.com/%d' % number for number in range(45)]

        self.update(self.rsrc, urls=urls)
        self.assertEqual(sorted(urls), self.subscribers())
        self.update(self.rsrc, urls=urls[40:])
        self.assertEqual(sorted(urls[40:]), self.subscribers())

    def test_another_queue_is_another_resource(self):
        """The endpoints would go on hearing of the old queue."""
        self.assertRaises(base.UpdateReplace, self.update, self.rsrc,
                          queue='another')

    def test_engine_dies_anywhere_and_the_update_is_repeated(self):
        """An endpoint would be left out, or be told for ever."""
        for changes in itertools.count():
            self.start_over()
            self.create()
            if not self.dies(changes, self.update, self.rsrc, urls=[B, C]):
                return
            self.rsrc = self.reload(self.rsrc)
            self.update(self.rsrc, urls=[B, C])
            self.assertEqual([B, C], self.subscribers())


class DeleteTest(_WebhooksTestCase):

    def test_nothing_is_left(self):
        """Zaqar keeps subscriptions to queues that are gone, for ever."""
        self.create()

        self.delete()

        self.assertEqual([], self.subscribers())

    def test_what_is_gone_already_is_fine(self):
        """A stack could not be deleted once somebody has cleaned up."""
        self.create()
        known, stays = self.zaqar.subscribed
        self.zaqar.subscriptions = lambda queue, limit: _Stale(
            [known, stays])
        known.delete()

        self.delete()

        self.assertEqual([], self.subscribers())

    def test_resource_that_was_never_made_removes_nothing(self):
        """A failed stack would unsubscribe everybody else."""
        self.zaqar.subscription('the-queue', subscriber=A, ttl=60,
                                options={})
        self.rsrc.state_set(self.rsrc.CREATE, self.rsrc.FAILED)

        self.delete()

        self.assertEqual([A], self.subscribers())

    def test_zaqar_that_is_away_is_waited_for(self):
        """A subscription that nobody can find would stay."""
        self.create()
        self.zaqar.down = requests.ConnectionError()
        runner = self.start_task(self.rsrc.delete)
        self.stand_still(runner)

        self.zaqar.down = None
        runner.run_to_completion()

        self.assertEqual([], self.subscribers())


class _Stale(list):
    """A listing that was true a moment ago."""

    def stream(self):
        return iter(self)


class SecretsTest(_WebhooksTestCase):

    def test_no_secret_in_a_message(self):
        """Reasons and events are read by more people than the template."""
        show = self.plugin_module('_urls').without_secrets

        self.assertEqual('https://a.example.com:8/...',
                         show('https://me:secret@a.example.com:8/s3?k=y'))
