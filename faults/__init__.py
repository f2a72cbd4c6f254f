# SPDX-License-Identifier: Apache-2.0

"""Faults, injected while servers drain with sessions open on them."""
