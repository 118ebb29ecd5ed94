"""Named crash points: where a test may kill a process to prove that nothing is lost.

A crash point costs one dictionary look-up and does nothing unless the environment variable
``VIGIE_CRASH_AT`` holds its name (``name:3``: when it comes there for the third time); then the
process kills itself, as a power cut would: no clean-up runs.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "VIGIE_CRASH_AT"
_passed: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process with SIGKILL if ``VIGIE_CRASH_AT`` is ``name``, or ``name:TIMES``."""
    wanted, _, times = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] >= int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
