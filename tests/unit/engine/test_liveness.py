# SPDX-License-Identifier: Apache-2.0

"""Failure detector for the other engines."""

from heat.common import service_utils
from heat.objects import service as service_object
from heat.tests import utils
import oslo_messaging

from tests.unit import base


class FailureDetectorTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.liveness = self.plugin_module('_engine.liveness')
        self.context = utils.dummy_context()
        self.asked = []
        # {engine: what it answers, or what is raised for it}.
        self.answers = {}
        self.patchobject(service_utils, 'engine_alive', new=self.is_alive)
        for engine in ('one', 'two', 'three'):
            self.start(engine)

    def is_alive(self, _context, engine):
        self.asked.append(engine)
        answer = self.answers[engine]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def start(self, engine):
        self.answers[engine] = True
        return service_object.Service.create(self.context, {
            'host': 'host', 'hostname': 'host', 'binary': 'heat-engine',
            'engine_id': engine, 'topic': 'engine', 'report_interval': 60})

    def die(self, *engines):
        self.answers.update(dict.fromkeys(engines, False))

    def detect(self):
        return self.liveness.FailureDetector(self.context)

    def probe(self, detector):
        self.time.sleep(6)
        return detector.newly_failed()

    def test_who_dies_is_found_once(self):
        """Nobody would go on, or somebody begin anew for ever."""
        detector = self.detect()
        self.assertEqual(set(), self.probe(detector))
        self.die('two')
        self.assertEqual(set(), self.probe(detector))
        self.assertEqual({'two'}, self.probe(detector))
        # Until whoever asks has done something about it.
        self.assertEqual({'two'}, self.probe(detector))

        detector.acknowledge({'two'})
        self.assertEqual(set(), self.probe(detector))
        self.die('three')
        self.probe(detector)
        self.assertEqual({'three'}, self.probe(detector))

    def test_who_is_slow_once_is_alive(self):
        """Its part would be taken from it, for a second of load."""
        detector = self.detect()
        self.die('two')
        self.probe(detector)
        self.answers['two'] = True
        self.assertEqual(set(), self.probe(detector))
        self.die('two')
        self.assertEqual(set(), self.probe(detector))

    def test_who_was_dead_before_has_no_part(self):
        """Each step of the next minutes would be begun twice."""
        self.die('two')
        detector = self.detect()
        self.assertEqual([set()] * 3,
                         [self.probe(detector) for _probe in range(3)])

    def test_who_was_only_slow_at_the_beginning_is_watched(self):
        """What it takes afterwards would be lost with it."""
        self.die('two')
        detector = self.detect()
        self.answers['two'] = True
        self.probe(detector)
        self.die('two')
        self.probe(detector)
        self.assertEqual({'two'}, self.probe(detector))

    def test_who_comes_and_dies_meanwhile_is_found(self):
        """An upgrade restarts all of them in the middle of a step."""
        detector = self.detect()
        self.start('four')
        self.die('four')
        self.probe(detector)
        self.assertEqual({'four'}, self.probe(detector))

    def test_message_bus_that_is_away_is_no_death(self):
        """Everything would be begun again when it is back."""
        detector = self.detect()
        self.answers.update(dict.fromkeys(
            self.answers, oslo_messaging.MessageDeliveryFailure('no bus')))
        self.assertEqual([set()] * 3,
                         [self.probe(detector) for _probe in range(3)])

    def test_who_has_stopped_or_not_reported_for_long_is_not_asked(self):
        """Each look would take seconds, as many as there ever were."""
        stopped = self.start('stopped')
        self.start('silent')
        service_object.Service.delete(self.context, stopped.id)
        self.clock.advance_time_seconds(121)
        for engine in ('one', 'two'):
            self.start(engine)
        self.detect()
        self.assertEqual({'one', 'two'}, set(self.asked))

    def test_nothing_is_asked_by_who_is_alone_or_has_asked_just_now(self):
        """A poll is every second, and most steps are over in five."""
        detector = self.detect()
        del self.asked[:]
        self.assertEqual(set(), detector.newly_failed())
        self.time.sleep(4)
        self.assertEqual(set(), detector.newly_failed())

        self.clock.advance_time_seconds(121)
        self.start('one')
        self.probe(detector)
        self.assertEqual([], self.asked)
