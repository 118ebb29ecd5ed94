"""Continuous collection: the waits after full rounds, other rounds and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from vigie.collection.follow_logs import Waiting, follow_logs
from vigie.collection.ingest_logs import IngestResult
from vigie.errors import SettingsError, TransientError


def report(read: int) -> IngestResult:
    return IngestResult(read=read, offset=read, restarted=False, lost=0, lag=None, counts={})


def answers(*outcomes: IngestResult | Exception) -> Callable[[], IngestResult]:
    left: Iterator[IngestResult | Exception] = iter(outcomes)

    def collect() -> IngestResult:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return collect


def test_the_next_round_follows_a_full_one_at_once_and_others_after_the_interval() -> None:
    slept: list[float] = []
    rounds = follow_logs(
        answers(report(10), report(3), report(0), report(0)),
        limit=10,
        interval_s=5,
        sleep=slept.append,
    )
    assert [next(rounds).read for _ in range(4)] == [10, 3, 0, 0]  # type: ignore[union-attr]
    assert slept == [5, 5]


def test_waits_double_with_jitter_and_are_reset_by_a_success() -> None:
    slept: list[float] = []
    down = TransientError("down")
    rounds = follow_logs(
        answers(down, down, down, report(1), down, report(1)),
        limit=10,
        interval_s=8,
        sleep=slept.append,
        jitter=lambda: 1.0,
    )
    events = [next(rounds) for _ in range(6)]
    assert [type(event) for event in events].count(Waiting) == 4
    assert slept == [10, 20, 40, 8, 10]


def test_the_wait_has_an_upper_limit() -> None:
    rounds = follow_logs(
        answers(*[TransientError("down")] * 2000),
        limit=1,
        interval_s=1,
        sleep=lambda _: None,
        jitter=lambda: 1.0,
    )
    assert max(next(rounds).wait_s for _ in range(2000)) == 75  # type: ignore[union-attr]


def test_a_permanent_error_is_raised() -> None:
    rounds = follow_logs(
        answers(SettingsError("GRADIO_URL")), limit=1, interval_s=1, sleep=lambda _: None
    )
    with pytest.raises(SettingsError):
        next(rounds)
