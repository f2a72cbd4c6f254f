# SPDX-License-Identifier: Apache-2.0

"""What Octavia's load balancers are made of here: HAProxy processes."""
