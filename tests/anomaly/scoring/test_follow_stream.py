"""Following a stream in memory: when it tells, when it ends, what it measures."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from vigie.anomaly.scoring import follow_session
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.follow_stream import MAX_REJOINS, FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreReport
from vigie.errors import ConflictError, DataError, TransientError
from vigie.records import Document, IndexOutcome, Message, Position, StreamRecord
from vigie.testing import FakeServices
from vigie.testing.stream import FakeConsumer

TOPIC, INDEX = "logs", "scored"
OPTIONS = FollowOptions(topic=TOPIC, group="scorer", index=INDEX, member="m")


@pytest.fixture
def ready(services: FakeServices, trained: FakeServices) -> FakeServices:
    services.deployments, services.bundles = trained.deployments, trained.bundles
    services.stream.create_topic(TOPIC)
    return services


def produce(services: FakeServices, n: int) -> None:
    lines = [Message(b"worker accepted request %d from 10.0.0.9 in 3 ms" % i) for i in range(n)]
    services.stream.produce(TOPIC, lines)


def follow(
    services: FakeServices,
    until: Callable[[], bool],
    on_report: Callable[[ScoreReport], None] = lambda report: None,
    **changes: Any,
) -> ScoreReport:
    """Follow until something is true; a test that waits for more than 20 s fails."""
    deadline = time.monotonic() + 20

    def should_stop() -> bool:
        assert time.monotonic() < deadline, "it does not end"
        return until()

    options: dict[str, Any] = {"wait_s": 0.01} | changes
    return follow_stream(services, OPTIONS, should_stop=should_stop, on_report=on_report, **options)


def figures(report: ScoreReport) -> dict[str, float]:
    return {sample.name: sample.value for sample in report.metrics}


def test_a_topic_that_is_not_there_is_an_error(services: FakeServices) -> None:
    with pytest.raises(DataError, match="vigie stream topic"):
        follow(services, lambda: False)


def test_it_tells_while_lines_keep_arriving_and_trims(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_session, "_REPORT_S", 0.2)
    poll, told = FakeConsumer.poll, []

    def steady(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        produce(ready, 5)
        time.sleep(0.01)
        return poll(self, most, timeout_s)

    monkeypatch.setattr(FakeConsumer, "poll", steady)
    follow(ready, lambda: len(told) == 3, told.append, wait_s=5.0)
    assert 0 < told[0].read < told[1].read < told[2].read
    assert ready.stream.first_offset(TOPIC, 0) >= told[2].read, "the stream grows without end"


def test_quiet_is_told_once(ready: FakeServices) -> None:
    produce(ready, 20)
    told: list[ScoreReport] = []
    begun = time.monotonic()
    follow(ready, lambda: time.monotonic() - begun > 0.5, told.append)
    assert [report.read for report in told] == [20]


def test_batches_grow_while_they_are_fast_and_the_gap_is_told(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = polled_sizes(ready, monkeypatch, max_gap_s=90.0)
    create = ready.index.create

    def slow(index: str, documents: Sequence[Document]) -> IndexOutcome:
        if len(asked) == 1:
            time.sleep(0.3)
        return create(index, documents)

    monkeypatch.setattr(ready.index, "create", slow)
    produce(ready, 900)
    report = follow(ready, lambda: ready.stream.lag("scorer", TOPIC) == 0)
    assert asked[:4] == [100, 200, 400, 800]
    assert 0.3 <= figures(report)["vigie_stream_poll_gap_seconds"] < 5.0


def test_time_in_which_the_member_is_heard_of_neither_counts_nor_shrinks_batches(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = polled_sizes(ready, monkeypatch, max_gap_s=3.0)
    monkeypatch.setattr(FakeConsumer, "idle", lambda self, seconds: time.sleep(seconds))
    refuse(ready, monkeypatch, times=2)
    produce(ready, 300)
    report = follow(ready, lambda: ready.stream.lag("scorer", TOPIC) == 0, wait_s=0.5)
    assert figures(report)["vigie_stream_poll_gap_seconds"] < 0.5
    assert asked[1] == 200


def polled_sizes(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch, max_gap_s: float
) -> list[int]:
    poll, asked = FakeConsumer.poll, []

    def noting(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        asked.append(most)
        return poll(self, most, timeout_s)

    monkeypatch.setattr(FakeConsumer, "poll", noting)
    monkeypatch.setattr(FakeConsumer, "max_gap_s", max_gap_s)
    return asked


def refuse(services: FakeServices, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    create, refusals = services.index.create, iter(range(times))

    def refusing(index: str, documents: Sequence[Document]) -> IndexOutcome:
        if index == INDEX and next(refusals, None) is not None:
            raise TransientError("the sink is full")
        return create(index, documents)

    monkeypatch.setattr(services.index, "create", refusing)


def test_a_stop_while_the_sink_is_away_tells_and_says_what_is_left(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeConsumer, "idle", lambda self, seconds: time.sleep(seconds))
    refuse(ready, monkeypatch, times=1000)
    produce(ready, 30)
    told: list[ScoreReport] = []
    begun = time.monotonic()
    with pytest.raises(TransientError, match=r"30 lines.*not committed.*the sink is full"):
        follow(ready, lambda: time.monotonic() - begun > 2.0, told.append, wait_s=30.0)
    assert time.monotonic() - begun < 4.0
    assert [(report.read, report.lag) for report in told] == [(0, None)]


class Away:
    """A stream whose brokers go away after the first membership."""

    def __init__(self, services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
        self.joins = 0
        self.consumer = services.stream.consumer
        monkeypatch.setattr(services.stream, "consumer", self.join)
        monkeypatch.setattr(FakeConsumer, "poll", self.poll)
        monkeypatch.setattr(follow_session, "_SILENCE_S", 0.0)

    @contextmanager
    def join(self, *names: Any, **more: Any) -> Iterator[FakeConsumer]:
        self.joins += 1
        if self.joins > 1:
            raise TransientError("nobody answers")
        with self.consumer(*names, **more) as consumer:
            yield consumer

    def poll(self, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        raise TransientError("nobody answers")


def test_a_stop_while_brokers_are_away_ends_it_at_once(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, begun = Away(ready, monkeypatch), time.monotonic()
    report = follow(ready, lambda: time.monotonic() - begun > 2.0, wait_s=30.0)
    assert time.monotonic() - begun < 3.5
    assert away.joins >= 1
    assert (report.read, report.lag) == (0, None)


def test_brokers_may_stay_away_for_any_number_of_joins(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(ready, monkeypatch)
    report = follow(ready, lambda: away.joins > 1200, wait_s=0.0)
    assert figures(report)["vigie_stream_rejoins"] >= 1200


def test_a_silence_is_outlived_as_a_member(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll, silent = FakeConsumer.poll, iter(range(3))

    def sometimes(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        if next(silent, None) is not None:
            raise TransientError("nobody answers")
        return poll(self, most, timeout_s)

    monkeypatch.setattr(FakeConsumer, "poll", sometimes)
    produce(ready, 30)
    report = follow(ready, lambda: ready.stream.lag("scorer", TOPIC) == 0)
    assert (report.read, report.lag, figures(report)["vigie_stream_rejoins"]) == (30, 0, 0.0)


def lose_at_polls(
    monkeypatch: pytest.MonkeyPatch, errors: Sequence[Exception]
) -> Iterator[Exception]:
    """Let each of the first polls end a membership; return the errors that are left."""
    poll, coming = FakeConsumer.poll, iter(errors)

    def failing(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        if error := next(coming, None):
            raise error
        return poll(self, most, timeout_s)

    monkeypatch.setattr(FakeConsumer, "poll", failing)
    monkeypatch.setattr(follow_session, "_SILENCE_S", 0.0)
    return coming


def test_partitions_that_are_lost_after_a_long_outage_are_joined_again(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = [TransientError("nobody answers")] * (MAX_REJOINS + 2)
    lose_at_polls(monkeypatch, [*outage, ConflictError("another generation")])
    produce(ready, 30)
    report = follow(ready, lambda: ready.stream.lag("scorer", TOPIC) == 0, wait_s=0.0)
    assert report.read == 30


def test_partitions_that_are_lost_again_and_again_in_vain_end_it(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [ConflictError("another generation"), TransientError("nobody answers")] * 20
    left = lose_at_polls(monkeypatch, lost)
    with pytest.raises(ConflictError):
        follow(ready, lambda: False, wait_s=0.0)
    assert len(list(left)) == len(lost) - 2 * MAX_REJOINS - 1


def test_a_scorer_that_is_slow_takes_smaller_batches_as_the_next_member(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = polled_sizes(ready, monkeypatch, max_gap_s=0.6)
    give_up_when_away(monkeypatch, 0.6)
    create = ready.index.create

    def slow(index: str, documents: Sequence[Document]) -> IndexOutcome:
        time.sleep(0.01 * len(documents))  # 100 lines, the first batch, never fit
        return create(index, documents)

    monkeypatch.setattr(ready.index, "create", slow)
    produce(ready, 150)
    report = follow(ready, lambda: ready.stream.lag("scorer", TOPIC) == 0)
    assert report.read == 150
    assert asked[0] == 100
    assert max(asked[1:]) <= 40


def give_up_when_away(monkeypatch: pytest.MonkeyPatch, gap_s: float) -> None:
    """Refuse the commits of a member that polled too long ago, as a group does."""
    poll, commit, heard = FakeConsumer.poll, FakeConsumer.commit, [0.0]

    def noting(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        records = poll(self, most, timeout_s)
        heard[0] = time.monotonic()
        return records

    def in_time(self: FakeConsumer, positions: Mapping[int, Position]) -> None:
        if time.monotonic() - heard[0] > gap_s:
            raise ConflictError("away for too long")
        commit(self, positions)

    monkeypatch.setattr(FakeConsumer, "poll", noting)
    monkeypatch.setattr(FakeConsumer, "commit", in_time)


def test_lines_that_somebody_else_committed_are_not_in_hand(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, refused = FakeConsumer.commit, []

    def too_late(self: FakeConsumer, positions: Mapping[int, Position]) -> None:
        commit(self, positions)  # stands for the other's commit
        refused.append(positions)
        raise ConflictError("partitions lost")

    monkeypatch.setattr(FakeConsumer, "commit", too_late)
    produce(ready, 30)
    report = follow(ready, lambda: bool(refused))
    assert (report.read, report.lag) == (0, 0)


def test_lines_whose_partitions_went_while_the_sink_was_away_are_not_in_hand(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll, polled_without = FakeConsumer.poll, []

    def losing(self: FakeConsumer, seconds: float) -> None:
        self.assignment, self.keys = 2, []

    def noting(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        if not self.keys:
            polled_without.append(most)
        return poll(self, most, timeout_s)

    monkeypatch.setattr(FakeConsumer, "idle", losing)
    monkeypatch.setattr(FakeConsumer, "poll", noting)
    refuse(ready, monkeypatch, times=1000)
    produce(ready, 30)
    report = follow(ready, lambda: bool(polled_without))
    assert (report.read, report.lag) == (0, 30)


def test_a_champion_that_was_not_taken_over_is_taken_over_later(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_session, "_CHAMPION_S", 0.0)
    second = promote_later(ready, monkeypatch)
    committed, asked = FakeConsumer.committed, []

    def sometimes(self: FakeConsumer) -> dict[int, Position]:
        if second:
            asked.append(self)
            if len(asked) == 1:
                raise TransientError("positions are not told")
        return committed(self)

    def is_done() -> bool:
        if not second and ready.index.count(INDEX) == 10:
            second.append(2)
        elif len(asked) > 1 and ready.stream.end_offsets(TOPIC)[0] == 10:
            produce(ready, 10)
        return ready.index.count(INDEX) == 20

    monkeypatch.setattr(FakeConsumer, "committed", sometimes)
    produce(ready, 10)
    report = follow(ready, is_done)
    scored_by = [document.body["model_version"] for document in ready.index.scan(INDEX)]
    assert sorted(scored_by) == [1] * 10 + [2] * 10
    assert report.model_version == 2


def promote_later(services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list: once a version is in it, the champion has that version."""
    first, version = champion_detector(services, OPTIONS.detector), list[int]()

    def deployed(name: str) -> Any:
        return dataclasses.replace(first.deployment, version=[1, *version][-1])

    def opened(services: FakeServices, name: str) -> Any:
        return dataclasses.replace(first, deployment=deployed(name))

    monkeypatch.setattr(services.deployments, "champion", deployed)
    monkeypatch.setattr(follow_session, "champion_detector", opened)
    return version


def test_a_database_that_is_away_leaves_the_champion_as_it_is(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_session, "_CHAMPION_S", 0.0)
    champion, asked = ready.deployments.champion, []

    def gone(name: str) -> Any:
        asked.append(name)
        if len(asked) > 1:
            raise TransientError("the database is away")
        return champion(name)

    monkeypatch.setattr(ready.deployments, "champion", gone)
    produce(ready, 30)
    report = follow(ready, lambda: len(asked) > 3)
    assert (report.read, figures(report)["vigie_stream_rejoins"]) == (30, 0.0)


def test_waits_for_a_busy_index_are_told(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready.index, "take_backoff_s", lambda: 1.5, raising=False)
    produce(ready, 5)
    report = follow(ready, lambda: ready.stream.lag("scorer", TOPIC) == 0)
    assert figures(report)["vigie_es_backoff_seconds"] == 1.5
