# SPDX-License-Identifier: Apache-2.0

"""How a server of the local cloud gets a guest, an address and user data."""
