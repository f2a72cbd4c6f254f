# SPDX-License-Identifier: Apache-2.0

"""What the figures of a benchmark or of a fault depend on."""

import os
import platform

import psutil


def describe():
    """Return what a published figure has to tell about this machine."""
    return {
        'processor': _processor(),
        'cores': os.cpu_count(),
        'memory_gib': round(psutil.virtual_memory().total / (1 << 30)),
        'system': platform.system() + ' ' + platform.release(),
        'python': platform.python_version(),
    }


def _processor():
    try:
        with open('/proc/cpuinfo') as stream:
            return next(line.partition(':')[2].strip() for line in stream
                        if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.machine()
