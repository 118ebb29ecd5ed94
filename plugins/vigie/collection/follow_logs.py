"""Collect API log lines continuously, and retry while a service is unavailable."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.errors import TransientError

if TYPE_CHECKING:
    from vigie.collection.ingest_logs import IngestResult

_LONGEST_WAIT_S = 60.0  # so that collection resumes soon after a service recovers
_JITTER = 0.25  # maximum added fraction of the wait, so that collectors retry at different times


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pause of ``wait_s`` seconds before the next attempt, after a service did not respond."""

    reason: str
    wait_s: float
    attempt: int


def follow_logs(
    collect: Callable[[], IngestResult],
    *,
    limit: int,
    interval_s: float,
    sleep: Callable[[float], None],
    jitter: Callable[[], float] = random.random,
) -> Iterator[IngestResult | Waiting]:
    """Call ``collect`` repeatedly and yield each result; the generator does not end.

    If a call collected ``limit`` lines, the next call follows immediately; otherwise it follows
    after ``interval_s`` seconds. After a TransientError, yield a :class:`Waiting` and retry. The
    wait doubles after each consecutive failure, up to one minute plus jitter. Other errors are
    raised.

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
            result = collect()
        except TransientError as exc:
            wait_s = min(interval_s * 2**failures, _LONGEST_WAIT_S)
            failures = min(failures + 1, 30)
            wait_s += wait_s * _JITTER * jitter()
            yield Waiting(str(exc), wait_s, failures)
        else:
            failures = 0
            wait_s = 0.0 if result.read >= limit else interval_s
            yield result
        if wait_s:
            sleep(wait_s)
