"""Bounded exponential backoff for a busy or unavailable server."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from vigie.errors import TransientError

log = logging.getLogger(__name__)

_DOUBLINGS = 30  # avoids an overflow; the longest wait is reached earlier


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of the waits in one operation, in seconds."""

    first_s: float = 0.25  # first wait; it doubles with each attempt and is shortened at random
    longest_s: float = 10.0  # upper limit of one wait
    total_s: float = 90.0  # limit of the time without progress; then an error is raised
    is_absolute: bool = False  # whether ``total_s`` also limits the time with progress
    disk_s: float = 60.0  # limit while a disk is full
    first_response_s: float = 1.0  # limit until the server has responded once
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class Waits:
    """Exponential backoff with jitter and a total limit for one operation.

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
        """Restart ``total_s`` after a part of the request succeeded, unless ``is_absolute``."""
        if not self.patience.is_absolute:
            self.began = self.patience.clock()

    def of_next_part(self) -> Waits:
        """Return the backoff for the next part of the operation: new unless ``is_absolute``."""
        return self if self.patience.is_absolute else Waits(self.patience, self.total_s)

    def wait(self, problem: TransientError, limit_s: float | None = None) -> None:
        """Sleep before the next attempt, or raise ``problem`` if the limit would be exceeded."""
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
