# SPDX-License-Identifier: Apache-2.0

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  profile:
    type: OS::Hooks::Profile
    properties:
      type: os.nova.server-1.0
      properties: {image: %(image)s}
      metadata: {tag: first}
'''


class ProfileTest(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self):
        self.senlin.profiles.clear()
        self.senlin.clusters.clear()
        self.senlin.nodes.clear()
        self.stack = self.parse_stack(TEMPLATE % {'image': 'guest'})
        self.profile = self.stack['profile']
        del self.journal[:]

    def create(self):
        self.run_task(self.profile.create)

    def left(self):
        """Metadata of the only profile that there is."""
        profile, = self.senlin.profiles.values()
        return profile['metadata']

    def test_created_as_the_template_says(self):
        """The servers would be other ones."""
        self.create()

        profile, = self.senlin.profiles.values()
        self.assertEqual(
            {'type': 'os.nova.server', 'version': '1.0',
             'properties': {'image': 'guest'}}, profile['spec'])
        self.assertEqual({'tag': 'first'}, profile['metadata'])
        self.assertEqual(profile['id'], self.profile.FnGetRefId())

    def test_refusal_by_senlin_is_told(self):
        """The stack would wait for Senlin to become well again."""
        for status, reason, type_ in (
                (400, "Unrecognizable spec item 'imag'", 'InvalidSpec'),
                (404, 'The profile_type could not be found.', None),
                (500, "'x' is not a Map", 'ESchema'),
                (500, 'No Image found for nonsense', 'InternalError')):
            self.start_over()
            self.senlin.refusals['profile'] = status, reason, type_

            error = self.assertRaises(base.ResourceFailure, self.create)

            self.assertIn('profile: Senlin refuses the profile: %s. Correct'
                          % reason.rstrip('.'), str(error))

    def test_trouble_of_senlin_is_waited_out(self):
        """A restart of Senlin, or of Nova, would fail the stack."""
        self.senlin.refusals['profile'] = 500, 'no database'

        self.create()

        self.assertEqual(['create profile'], self.journal)

    def test_answer_that_is_lost(self):
        """A second profile would be made, and the first one never deleted."""
        self.senlin.after = lambda request: (
            503 if request.method == 'POST' else None)

        self.create()

        self.assertEqual(['create profile'], self.journal)

    def test_engine_dies_anywhere_and_a_deletion_cleans_up(self):
        """The profile would stay in the project for ever."""
        for made in (0, 1):
            self.start_over()
            self.assertTrue(self.dies(made, self.create,
                                      hears_of_the_last=False))
            self.assertEqual(made, len(self.senlin.profiles))

            self.run_task(self.reload(self.profile).delete)

            self.assertEqual({}, self.senlin.profiles)

    def test_other_properties_replace_it(self):
        """Senlin cannot change them."""
        self.create()

        self.assertRaises(base.UpdateReplace, self.update, self.profile,
                          properties={'image': 'other'})

        self.assertEqual(['create profile'], self.journal)

    def test_metadata_are_changed_in_place(self):
        """Each tag would be another profile."""
        self.create()

        self.update(self.profile, metadata={'tag': 'second'})
        self.update(self.profile)

        self.assertEqual({'tag': 'second'}, self.left())
        self.assertEqual(['create profile', 'update profile'], self.journal)

    def test_profile_that_was_deleted_by_hand(self):
        """No further server could be made, and the stack would look well."""
        self.create()
        self.run_task(self.profile.check)
        gone = self.profile.resource_id
        self.senlin.profiles.clear()

        error = self.assertRaises(base.ResourceFailure, self.run_task,
                                  self.profile.check)

        self.assertIn('profile: profile %s is gone; update the stack' % gone,
                      str(error))
        self.assertRaises(base.UpdateReplace, self.update, self.profile)

    def test_deleted_when_nothing_uses_it(self):
        """It would stay in the project for ever."""
        self.create()

        self.run_task(self.profile.delete)
        self.run_task(self.reload(self.profile).delete)

        self.assertEqual({}, self.senlin.profiles)

    def test_left_to_the_servers_that_were_made_from_it(self):
        """An update would fail, long after it has done its work."""
        self.create()
        cluster = self.senlin.add_cluster(profile_id=self.profile.resource_id)
        self.senlin.clusters[cluster]['profile_id'] = None

        self.run_task(self.profile.delete)

        self.assertEqual({'tag': 'first', 'left_by_stack': self.stack.id},
                         self.left())

    def test_left_to_a_cluster_that_makes_servers_from_it(self):
        """An update that removes the profile would wait until its timeout."""
        self.create()
        self.senlin.add_cluster(profile_id=self.profile.resource_id)

        self.run_task(self.profile.delete)

        self.assertEqual({'tag': 'first', 'left_by_stack': self.stack.id},
                         self.left())

    def test_last_server_goes_while_it_is_left(self):
        """The cluster would have looked for the mark already."""
        self.create()
        cluster = self.senlin.add_cluster(profile_id=self.profile.resource_id)
        self.senlin.clusters[cluster]['profile_id'] = None
        self.senlin.after = lambda request: (
            self.senlin.nodes.clear() if request.method == 'PATCH' else None)

        self.run_task(self.profile.delete)

        self.assertEqual({}, self.senlin.profiles)

    def test_stack_delete_waits_for_the_cluster(self):
        """A profile would be left to a cluster that cleans nothing up."""
        self.create()
        cluster = self.senlin.add_cluster(profile_id=self.profile.resource_id)
        self.stack.action = self.stack.DELETE
        deletion = self.start_task(self.profile.delete)

        self.stand_still(deletion)
        self.assertEqual({'tag': 'first'}, self.left())
        self.senlin.nodes.clear()
        self.senlin.remove_cluster(cluster)
        deletion.run_to_completion()

        self.assertEqual({}, self.senlin.profiles)

    def test_wait_has_an_end(self):
        """The stack would end with "Timed out" and nothing else."""
        self.create()
        self.senlin.add_cluster(profile_id=self.profile.resource_id)
        self.stack.action = self.stack.DELETE
        wait = self.profile.handle_delete()
        self.clock.advance_time_seconds(3600)

        error = self.assertRaises(
            base.HeatError, self.profile.check_delete_complete, wait)

        self.assertIn('profile: Profile %s is still the one of a cluster; '
                      % self.profile.resource_id, str(error))

    @base.needs_senlin
    def test_senlin_was_taken_away(self):
        """The stack could not be deleted any more."""
        self.create()
        self.senlin.in_catalogue = False

        self.run_task(self.reload(self.profile).delete)
