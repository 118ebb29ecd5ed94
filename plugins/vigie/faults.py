"""Crash points: named places in the code at which a test kills the process.

Tests use crash points to show that a retry after a crash loses no data. The signal is SIGKILL,
because it prevents any clean-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "VIGIE_CRASH_AT"
_calls: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process at call N with ``name`` if ``VIGIE_CRASH_AT`` is ``name:N`` (or name)."""
    wanted, _, times = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _calls[name] += 1
    if _calls[name] >= int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
