# SPDX-License-Identifier: Apache-2.0

"""How soon, how cheaply and how evenly servers drain, on a local cloud."""
