# SPDX-License-Identifier: Apache-2.0

from sandbox import releases

if releases.on_threads():
    from oslo_service import backend

    # Before anything of Heat is imported, as its own programs do.
    backend.init_backend(backend.BackendType.THREADING)
