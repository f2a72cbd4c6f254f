# SPDX-License-Identifier: Apache-2.0

"""Base class of the tests of OS::Hooks::Cluster."""

from tests.unit import base

TEMPLATE = '''
heat_template_version: wallaby
resources:
  cluster:
    type: OS::Hooks::Cluster
    properties:
      profile: %(profile)s
      min_size: 1
      max_size: 4
      desired_capacity: 2
      timeout: 1800
      policies: [%(policy)s]
      metadata: {tag: first}
'''

SCALING = 'senlin.policy.scaling-1.0'


class ClusterTestCase(base.ServiceTestCase):

    def setUp(self):
        super().setUp()
        self.start_over()

    def start_over(self, **values):
        for table in (self.senlin.profiles, self.senlin.policies,
                      self.senlin.clusters, self.senlin.nodes,
                      self.senlin.actions):
            table.clear()
        self.senlin.bindings = []
        self.profile = self.senlin.add_profile()
        self.policy = self.senlin.add_policy('scaling', SCALING)
        self.hook = self.senlin.add_hook(timeout=300)
        stack = self.parse_stack(TEMPLATE % {
            'profile': self.profile, 'policy': self.policy})
        self.rsrc = stack['cluster']
        if values:
            self.rsrc.t = self.changed(self.rsrc, **values)
            self.rsrc.reparse()
        del self.journal[:]

    def create(self):
        self.run_task(self.rsrc.create)

    def create_guarded(self, **values):
        """A cluster with a hook on it, as a condition leaves it."""
        self.start_over(**values)
        self.create()
        self.senlin.bind_hook(self.rsrc.resource_id, self.hook)
        del self.journal[:]

    def create_fails(self):
        error = self.assertRaises(base.ResourceFailure, self.create)
        return str(error)

    def update_fails(self, **values):
        error = self.assertRaises(base.ResourceFailure, self.update,
                                  self.rsrc, **values)
        return str(error)

    def delete(self):
        self.run_task(self.rsrc.delete)

    @property
    def cluster(self):
        cluster, = self.senlin.clusters.values()
        return cluster

    def members(self):
        return self.senlin.nodes_of(self.rsrc.resource_id)

    def policies(self):
        return [b['policy_id'] for b in
                self.senlin.bindings_of(self.rsrc.resource_id)]

    def hook_policy(self):
        policy, = self.senlin.policies_of(self.hook)
        return policy['id']

    def resizes(self):
        return [a['inputs'] for a in self.senlin.actions.values()
                if a['action'] == 'CLUSTER_RESIZE']
