"""How long to wait for a service that is busy or away, and when to give up; no client library."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from vigie.errors import TransientError

log = logging.getLogger(__name__)

_DOUBLINGS = 30  # by then any longest wait is reached; 2.0 ** 1024 is no float any more


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of the waits of one operation, in seconds."""

    first_s: float = 0.25
    longest_s: float = 10.0  # a server that comes back is noticed within this
    total_s: float = 90.0  # without any progress; then TransientError, and Airflow retries
    is_absolute: bool = False  # progress does not renew ``total_s``: the caller must be back
    disk_s: float = 60.0  # a full disk is not freed by waiting: tell sooner
    greeting_s: float = 1.0  # until a server has answered once: fail fast
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class Waits:
    """The waits of one operation: each up to twice the one before, jittered, bounded in total.

    Examples
    --------
    >>> slept = []
    >>> waits = Waits(Patience(total_s=3, sleep=slept.append, clock=lambda: 0, jitter=lambda: 1))
    >>> for _ in range(4):
    ...     waits.wait(TransientError("busy"))
    >>> slept
    [0.25, 0.5, 1.0, 2.0]
    """

    def __init__(self, patience: Patience, total_s: float | None = None) -> None:
        self.patience = patience
        self.total_s = patience.total_s if total_s is None else total_s
        self.attempt = 0
        self.began = patience.clock()

    def progressed(self) -> None:
        """Allow the whole time again: something was achieved (the server is still busy, though)."""
        if not self.patience.is_absolute:
            self.began = self.patience.clock()

    def of_next_part(self) -> Waits:
        """Return the waits of an operation's next part, which goes on after a success."""
        return self if self.patience.is_absolute else Waits(self.patience, self.total_s)

    def wait(self, problem: TransientError, limit_s: float | None = None) -> None:
        """Sleep before the next attempt; raise ``problem`` when that would be too long."""
        patience = self.patience
        doubled = patience.first_s * 2 ** min(self.attempt, _DOUBLINGS)
        step = min(patience.longest_s, doubled)
        pause = step * (0.5 + patience.jitter() / 2)
        waited = patience.clock() - self.began
        if waited + pause > min(self.total_s, limit_s or self.total_s):
            raise problem
        self.attempt += 1
        log.warning("%s; attempt %d in %.2f s", problem, self.attempt + 1, pause)
        patience.sleep(pause)
