# SPDX-License-Identifier: Apache-2.0

"""Poll loops and retries."""

import datetime

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions
from oslo_utils import timeutils
import requests
from zaqarclient.transport import errors as zaqar_errors

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  web:
    type: OS::Heat::None
'''

AWAY = (
    ksa_exceptions.ConnectFailure('refused'),
    ksa_exceptions.ConnectTimeout('silent'),
    ksa_exceptions.DiscoveryFailure('no versions'),
    ksa_exceptions.InternalServerError('oops'),
    ksa_exceptions.ServiceUnavailable('restarting'),
    ksa_exceptions.BadGateway('proxy'),
    # What openstacksdk makes of a service that does not tell its versions.
    sdk_exceptions.NotSupported('no supported versions'),
    sdk_exceptions.ServiceDiscoveryException('no endpoint data'),
    sdk_exceptions.HttpException('oops', http_status=500),
    sdk_exceptions.HttpException('proxy', http_status=504),
    zaqar_errors.InternalServerError(),
    zaqar_errors.ServiceUnavailableError(),
    requests.ConnectionError('aborted'),
    requests.Timeout('silent'),
)

REFUSALS = (
    ksa_exceptions.Unauthorized('who are you'),
    ksa_exceptions.EndpointNotFound('no such service'),
    sdk_exceptions.BadRequestException('wrong', http_status=400),
    sdk_exceptions.NotFoundException('gone', http_status=404),
    sdk_exceptions.ConflictException('locked', http_status=409),
    sdk_exceptions.HttpException('slower', http_status=429),
    sdk_exceptions.SDKException('a mistake of ours'),
    zaqar_errors.ForbiddenError(),
    base.HeatError('a sentence'),
)


class _RetryTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.module = self.plugin_module('_retry')
        # What the steps come to, the first one first.
        self.steps = []
        self.taken = 0

    def step(self):
        self.taken += 1
        outcome = self.steps.pop(0) if self.steps else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class PollOnceTest(_RetryTestCase):

    def setUp(self):
        super().setUp()
        self.poller = self.start()

    def start(self, **kwargs):
        return self.module.Poller(
            self.parse_stack(TEMPLATE, **kwargs)['web'])

    def look(self):
        return self.poller.poll_once(self.step)

    def waits(self):
        return self.assertRaises(base.PollDelay, self.look)

    def ends(self):
        return str(self.assertRaises(base.HeatError, self.look))

    def test_nothing_left_is_the_end(self):
        """A stack would wait for nothing."""
        self.assertTrue(self.look())

        self.assertEqual(1, self.taken)

    def test_one_step_each_time(self):
        """An engine that stops would not stop in the middle."""
        self.steps = ['Busy.', 'Busy.']

        for taken in (1, 2):
            self.assertEqual(3, self.waits().period)
            self.assertEqual(taken, self.taken)
        self.assertTrue(self.look())

    def test_end_comes_before_the_one_of_heat(self):
        """Heat says "Timed out" and nothing else."""
        self.steps = ['Cluster X is busy.'] * 2
        self.clock.advance_time_seconds(3589)
        self.waits()
        self.clock.advance_time_seconds(1)

        message = self.ends()

        self.assertIn('web: Cluster X is busy. This has taken the 3600 '
                      'seconds', message)
        self.assertIn('"--timeout" (in minutes)', message)

    def test_work_that_is_done_at_the_end_is_done(self):
        """A stack would fail although all is well."""
        self.clock.advance_time_seconds(4000)

        self.assertTrue(self.look())

    def test_timeout_of_the_stack_counts(self):
        """Heat's own end would come first."""
        self.poller = self.start(timeout_mins=2)
        self.steps = ['Busy.'] * 2
        self.clock.advance_time_seconds(109)
        self.waits()
        self.clock.advance_time_seconds(1)

        self.assertIn('120 seconds', self.ends())

    def test_refusal_ends_it_at_once(self):
        """A mistake would be repeated for five minutes."""
        for refusal in REFUSALS:
            self.steps = [refusal]
            self.assertRaises((type(refusal), base.HeatError), self.look)

    def test_mistake_of_ours_ends_it_at_once(self):
        """A bug would look like an outage."""
        for mistake in (ValueError('x'), AttributeError('status_code')):
            self.steps = [mistake]
            self.assertRaises(type(mistake), self.look)

    def test_service_that_is_not_in_the_catalogue_is_named(self):
        """A person would look for what is wrong with the template."""
        self.steps = [ksa_exceptions.EndpointNotFound(
            'public endpoint for clustering service not found')]

        message = self.ends()

        self.assertIn('web: public endpoint for clustering service not found',
                      message)
        self.assertIn('catalogue', message)

    def test_outage_is_waited_for(self):
        """A restart of a service would fail the stack."""
        for outage in AWAY:
            self.steps = [outage] * 3
            for _i in range(3):
                self.waits()
            self.assertTrue(self.look())

    def test_outage_has_an_end(self):
        """A stack would hang for an hour, and not say for whom."""
        outage = ksa_exceptions.ConnectFailure('no route to Senlin.\nat all')
        self.steps = [outage] * 3
        self.waits()
        self.clock.advance_time_seconds(299)
        self.waits()
        self.clock.advance_time_seconds(1)

        message = self.ends()

        self.assertIn('web: a service has not answered for 300 seconds: no '
                      'route to Senlin. Repeat', message)

    def test_each_outage_counts_for_itself(self):
        """Two short ones would be taken for a long one."""
        outage = sdk_exceptions.HttpException('oops', http_status=500)
        self.steps = [outage, outage, 'Busy.', outage, outage]
        for seconds in (0, 299, 1, 1, 299):
            self.clock.advance_time_seconds(seconds)
            self.waits()

        self.assertTrue(self.look())

    def test_outage_does_not_outlast_the_stack(self):
        """Heat's own end would come first."""
        self.poller = self.start(timeout_mins=1)
        self.steps = [ksa_exceptions.ConnectFailure('no route')]
        self.clock.advance_time_seconds(55)

        message = self.ends()

        self.assertIn('A service does not answer: no route.', message)
        self.assertIn('60 seconds', message)

    def test_outage_is_told_once_in_the_log(self):
        """Each poll would add a line."""
        self.steps = [ksa_exceptions.ConnectFailure('no route')] * 20
        for _i in range(20):
            self.waits()

        self.assertEqual(1, self.log.output.count('waiting for a service'))
        self.assertNotIn('Traceback', self.log.output)


class RetryOnOutageTest(_RetryTestCase):

    def retry(self):
        return self.module.retry_on_outage(lambda text: self.step() or text,
                                           'done')

    def test_answer_is_passed_on(self):
        """A signal would have no effect."""
        self.assertEqual('done', self.retry())

        self.assertEqual(0, self.time.slept)

    def test_outage_is_waited_for(self):
        """A signal would be lost, and the server stay until the timeout."""
        for outage in AWAY:
            self.steps = [outage] * 2
            self.assertEqual('done', self.retry())

        self.assertEqual(6 * len(AWAY), self.time.slept)

    def test_outage_has_an_end(self):
        """A thread of the engine would be gone until its restart."""
        begin = timeutils.utcnow()
        self.steps = [ksa_exceptions.ConnectFailure('no route')] * 1000

        self.assertRaises(ksa_exceptions.ConnectFailure, self.retry)

        self.assertEqual(datetime.timedelta(seconds=300),
                         timeutils.utcnow() - begin)

    def test_refusal_is_passed_on_at_once(self):
        """A forged signal would block a thread for minutes."""
        for refusal in REFUSALS:
            self.steps = [refusal]
            self.assertRaises(type(refusal), self.retry)

        self.assertEqual(0, self.time.slept)


class IgnoreMissingEndpointTest(_RetryTestCase):

    def leave_out(self, error):
        with self.module.ignore_missing_endpoint():
            raise error

    def test_what_needs_a_missing_service_is_left_out(self):
        """No stack could be deleted after a service was taken away."""
        for error in (ksa_exceptions.EndpointNotFound('no clustering'),
                      ksa_exceptions.EmptyCatalog('nothing at all')):
            self.leave_out(error)

        self.assertIn('left out: no clustering', self.log.output)
        self.assertNotIn('Traceback', self.log.output)

    def test_outage_is_not_left_out(self):
        """What the service still has would be left behind."""
        for error in AWAY:
            self.assertRaises(type(error), self.leave_out, error)


class DescribeTest(_RetryTestCase):

    def test_error_becomes_a_part_of_a_sentence(self):
        """A person would read a page of HTML."""
        for error, text in (
                (ValueError('too late.'), 'too late'),
                (ValueError('first: \nsecond'), 'first'),
                ('\n reason \n', 'reason'),
                (ValueError(), 'ValueError'),
                (ValueError('x' * 500), 'x' * 200)):
            self.assertEqual(text, self.module.describe(error))
