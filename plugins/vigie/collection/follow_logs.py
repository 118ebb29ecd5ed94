"""Collect again and again, and wait out a service that is down."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.errors import TransientError

if TYPE_CHECKING:
    from vigie.collection.ingest_logs import IngestReport

_LONGEST_WAIT_S = 60.0  # a service that comes back is noticed within a minute
_JITTER = 0.25  # share of the wait: collectors that failed together do not return together


@dataclass(frozen=True, slots=True)
class Waiting:
    """A service did not answer; the next attempt is in ``wait_s`` seconds."""

    reason: str
    wait_s: float
    attempt: int


def follow_logs(
    collect: Callable[[], IngestReport],
    *,
    limit: int,
    interval_s: float,
    sleep: Callable[[float], None],
    jitter: Callable[[], float] = random.random,
) -> Iterator[IngestReport | Waiting]:
    """Yield what each round did, for ever; the caller stops by not asking for the next.

    A full round (``limit`` lines) is followed by the next at once, any other after ``interval_s``.
    While a service is down the wait doubles, up to a minute; nothing is lost meanwhile, because the
    cursor stays. Errors that waiting cannot cure are raised.

    Examples
    --------
    >>> def down():
    ...     raise TransientError("the API did not answer")
    >>> rounds = follow_logs(down, limit=1, interval_s=10, sleep=lambda s: None, jitter=lambda: 0)
    >>> [next(rounds).wait_s for _ in range(5)]
    [10.0, 20.0, 40.0, 60.0, 60.0]
    """
    failures = 0
    while True:
        try:
            report = collect()
        except TransientError as exc:
            wait_s = min(interval_s * 2**failures, _LONGEST_WAIT_S)
            failures = min(failures + 1, 30)
            wait_s += wait_s * _JITTER * jitter()
            yield Waiting(str(exc), wait_s, failures)
        else:
            failures = 0
            wait_s = 0.0 if report.read >= limit else interval_s
            yield report
        if wait_s:
            sleep(wait_s)
