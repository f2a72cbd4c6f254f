# SPDX-License-Identifier: Apache-2.0

"""Ports of the local cloud, on the address of its control plane.

Standard library only: ``run`` probes them before anything is installed.
"""

KEYSTONE = 5000
RABBITMQ = 5672
HEAT_CFN = 8000
HEAT = 8004
GNOCCHI = 8041
AODH = 8042
NOVA = 8774
SENLIN = 8777
PLACEMENT = 8778
ZAQAR = 8888
PROMETHEUS = 9090
GLANCE = 9292
NEUTRON = 9696
OCTAVIA = 9876
# For tools that want to see into RabbitMQ, which cannot do without.
RABBITMQ_DISTRIBUTION = 25672

# {name for people: port} of what is in every local cloud.
ALWAYS = {name.lower().replace('_', '-'): port
          for name, port in sorted(globals().items())
          if name.isupper() and name not in (
              'PROMETHEUS', 'RABBITMQ', 'RABBITMQ_DISTRIBUTION', 'SENLIN')}
