"""Named crash points: places at which a test kills the process to check crash safety.

A crash point does nothing unless the environment variable ``VIGIE_CRASH_AT`` contains its name, or
``name:3`` for the third call. The process then kills itself with SIGKILL, so that no clean-up runs.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "VIGIE_CRASH_AT"
_calls: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process with SIGKILL if ``VIGIE_CRASH_AT`` is ``name``, or ``name:TIMES``."""
    wanted, _, times = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _calls[name] += 1
    if _calls[name] >= int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
