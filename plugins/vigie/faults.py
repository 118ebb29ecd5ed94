"""Named crash points: where a test may kill a process to prove that nothing is lost.

A crash point costs one dictionary look-up and does nothing unless the environment variable
``VIGIE_CRASH_AT`` holds its name; then the process kills itself, as a power cut would: no clean-up
runs.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "VIGIE_CRASH_AT"


def crash_point(name: str) -> None:
    """Kill this process with SIGKILL if ``VIGIE_CRASH_AT`` is ``name``."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
