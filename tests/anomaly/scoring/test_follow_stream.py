"""Following a stream in memory: results, outages, lost leases and stops."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from vigie.anomaly.scoring import follow_stream as module
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.follow_stream import MAX_LOST_LEASES, FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreResult
from vigie.errors import ConflictError, DataError, TransientError
from vigie.records import Document, IndexOutcome, Message, Position, StreamRecord
from vigie.testing import FakeServices
from vigie.testing.stream import FakeConsumer

TOPIC, GROUP, INDEX = "logs", "scorer", "scored"
OPTIONS = FollowOptions(topic=TOPIC, group=GROUP, index=INDEX)


@pytest.fixture
def ready(services: FakeServices, trained: FakeServices) -> FakeServices:
    services.deployments, services.bundles = trained.deployments, trained.bundles
    services.stream.create_topic(TOPIC)
    return services


def produce(services: FakeServices, n: int, partition: int = 0) -> None:
    lines = [Message(b"worker accepted request %d from 10.0.0.9 in 3 ms" % i) for i in range(n)]
    services.stream.produce(TOPIC, lines, partition)


def follow(
    services: FakeServices,
    until: Callable[[], bool],
    on_result: Callable[[ScoreResult], None] = lambda result: None,
    options: FollowOptions = OPTIONS,
    wait_s: float = 0.01,
) -> ScoreResult:
    """Follow the stream until ``until`` returns True; fail the test after 20 s."""
    deadline = time.monotonic() + 20

    def should_stop() -> bool:
        assert time.monotonic() < deadline, "timed out"
        return until()

    return follow_stream(
        services, options, should_stop=should_stop, on_result=on_result, wait_s=wait_s
    )


def is_drained(services: FakeServices) -> Callable[[], bool]:
    return lambda: services.stream.lag(GROUP, TOPIC) == 0


def metrics(result: ScoreResult) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.metrics}


def test_a_topic_that_does_not_exist_is_an_error(services: FakeServices) -> None:
    with pytest.raises(DataError, match="vigie stream topic"):
        follow(services, lambda: False)


def test_results_are_reported_and_lines_trimmed_while_lines_arrive(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REPORT_S", 0.2)
    results: list[ScoreResult] = []

    def is_enough() -> bool:
        produce(ready, 5)
        time.sleep(0.01)
        return len(results) == 3

    follow(ready, is_enough, results.append, wait_s=5.0)
    assert 0 < results[0].read < results[1].read < results[2].read
    assert ready.stream.first_offset(TOPIC, 0) > 0, "nothing was trimmed"


def test_one_result_is_reported_when_no_more_lines_arrive(ready: FakeServices) -> None:
    produce(ready, 20)
    results: list[ScoreResult] = []
    begun = time.monotonic()
    follow(ready, lambda: time.monotonic() - begun > 0.5, results.append)
    assert [result.read for result in results] == [20]


def test_the_longest_batch_is_reported(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = ready.index.create

    def slow(index: str, documents: Sequence[Document]) -> IndexOutcome:
        time.sleep(0.3)
        return create(index, documents)

    monkeypatch.setattr(ready.index, "create", slow)
    produce(ready, 10)
    result = follow(ready, is_drained(ready))
    assert 0.3 <= metrics(result)["vigie_stream_poll_gap_seconds"] < 5.0


def refuse(services: FakeServices, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    create, refusals = services.index.create, iter(range(times))

    def refusing(index: str, documents: Sequence[Document]) -> IndexOutcome:
        if index == INDEX and next(refusals, None) is not None:
            raise TransientError("the sink is full")
        return create(index, documents)

    monkeypatch.setattr(services.index, "create", refusing)


def test_a_follower_waits_for_the_index(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(ready, monkeypatch, times=4)
    produce(ready, 30)
    result = follow(ready, is_drained(ready))
    assert (result.read, result.indexed, ready.index.count(INDEX)) == (30, 30, 30)
    assert metrics(result)["vigie_stream_rejoins"] == 4


def test_a_stop_during_an_index_outage_reports_the_uncommitted_lines(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(ready, monkeypatch, times=1000)
    produce(ready, 30)
    results: list[ScoreResult] = []
    begun = time.monotonic()
    # A follower that did not stop during the wait would exceed the time limit of the test.
    with pytest.raises(TransientError, match=r"30 lines.*not committed.*the sink is full"):
        follow(ready, lambda: time.monotonic() - begun > 2.0, results.append, wait_s=3600.0)
    assert [(result.read, result.lag) for result in results] == [(0, None)]


def fail_at_polls(monkeypatch: pytest.MonkeyPatch, errors: Sequence[Exception]) -> list[Exception]:
    """Raise one of the errors at each poll; return the list of errors not raised yet."""
    poll, coming = FakeConsumer.poll, list(errors)

    def failing(self: FakeConsumer, most: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        if coming:
            raise coming.pop(0)
        return poll(self, most, timeout_s)

    monkeypatch.setattr(FakeConsumer, "poll", failing)
    return coming


def test_a_stop_during_a_broker_outage_ends_the_wait_of_the_follower(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at_polls(monkeypatch, [TransientError("no answer")] * 1000)
    begun = time.monotonic()
    result = follow(ready, lambda: time.monotonic() - begun > 2.0, wait_s=3600.0)
    assert (result.read, result.lag) == (0, None)


def test_a_follower_waits_for_brokers_for_any_number_of_attempts(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fail_at_polls(monkeypatch, [TransientError("no answer")] * 1200)
    produce(ready, 30)
    result = follow(ready, lambda: not left and is_drained(ready)(), wait_s=0.0)
    assert result.read == 30
    assert metrics(result)["vigie_stream_rejoins"] == 1200


def test_a_follower_waits_for_a_stream_that_does_not_answer(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags, silent = ready.stream.lags, iter(range(3))

    def sometimes(group: str, topic: str) -> dict[int, int]:
        if next(silent, None) is not None:
            raise TransientError("no answer")
        return lags(group, topic)

    produce(ready, 30)
    monkeypatch.setattr(ready.stream, "lags", sometimes)
    result = follow(ready, lambda: sum(lags(GROUP, TOPIC).values()) == 0)
    assert (result.read, metrics(result)["vigie_stream_rejoins"]) == (30, 0.0)


def test_a_lease_lost_after_a_long_outage_is_acquired_again(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = [TransientError("no answer")] * (MAX_LOST_LEASES + 2)
    fail_at_polls(monkeypatch, [*outage, ConflictError("another token")])
    produce(ready, 30)
    assert follow(ready, is_drained(ready), wait_s=0.0).read == 30


def test_many_lost_leases_in_a_row_end_the_follower(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [ConflictError("another token"), TransientError("no answer")] * 20
    left = fail_at_polls(monkeypatch, lost)
    produce(ready, 30)
    with pytest.raises(ConflictError):
        follow(ready, lambda: False, wait_s=0.0)
    assert len(left) == len(lost) - 2 * MAX_LOST_LEASES - 1
    assert not ready.stream.owners


def test_after_a_lease_is_lost_in_a_batch_each_line_has_one_document(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker acquires the lease before the follower commits, and commits first."""
    create, takeovers = ready.index.create, iter(range(1))

    def interrupted(index: str, documents: Sequence[Document]) -> IndexOutcome:
        outcome = create(index, documents)
        if index == INDEX and next(takeovers, None) is not None:
            ready.stream.expel(GROUP, TOPIC)
            with ready.stream.consumer(GROUP, TOPIC) as other:
                other.commit({0: Position(3)})
        return outcome

    monkeypatch.setattr(ready.index, "create", interrupted)
    produce(ready, 30)
    result = follow(ready, is_drained(ready))
    assert (result.read, result.indexed, result.already_there) == (27, 0, 27)
    assert ready.index.count(INDEX) == 30
    assert metrics(result)["vigie_stream_rejoins"] == 1


def test_lines_that_another_owner_committed_are_not_reported_as_uncommitted(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, refused = FakeConsumer.commit, []

    def too_late(self: FakeConsumer, positions: Mapping[int, Position]) -> None:
        commit(self, positions)  # as if the other owner committed
        refused.append(positions)
        raise ConflictError("lease lost")

    monkeypatch.setattr(FakeConsumer, "commit", too_late)
    produce(ready, 30)
    result = follow(ready, lambda: bool(refused))
    assert (result.read, result.lag) == (0, 0)


def test_lines_of_a_partition_that_another_owner_took_are_not_reported(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(ready, monkeypatch, times=1)
    produce(ready, 30)
    taken: list[AbstractContextManager[Any]] = []

    def is_taken() -> bool:
        if not taken and ready.stream.positions and not ready.stream.owners:
            taken.append(ready.stream.consumer(GROUP, TOPIC))
            taken[0].__enter__()
            return False
        return bool(taken) and time.monotonic() - begun > 1.0

    begun = time.monotonic()
    result = follow(ready, is_taken)
    assert (result.read, result.lag) == (0, 30)


def test_a_partition_that_a_worker_holds_is_skipped(ready: FakeServices) -> None:
    ready.stream.create_topic("two", 2)
    for partition in range(2):
        ready.stream.produce("two", [Message(b"worker accepted request")] * 10, partition)
    with ready.stream.consumer(GROUP, "two", [0]):
        result = follow(
            ready,
            lambda: ready.stream.lags(GROUP, "two") == {0: 10, 1: 0},
            options=dataclasses.replace(OPTIONS, topic="two"),
        )
    assert result.read == 10


def test_a_new_champion_scores_the_lines_after_its_promotion(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHAMPION_S", 0.0)
    second = promote_later(ready, monkeypatch)

    def is_done() -> bool:
        if not second and is_drained(ready)():
            second.append(2)
        elif second and ready.stream.end_offsets(TOPIC)[0] == 10 and opened == [2]:
            produce(ready, 10)
        return ready.stream.end_offsets(TOPIC)[0] == 20 and is_drained(ready)()

    opened: list[int] = []
    replaced = module.champion_detector

    def noting(services: FakeServices, name: str) -> Any:
        if second:
            opened.append(2)
        return replaced(services, name)

    monkeypatch.setattr(module, "champion_detector", noting)
    produce(ready, 10)
    result = follow(ready, is_done)
    scored_by = [document.body["model_version"] for document in ready.index.scan(INDEX)]
    assert sorted(scored_by) == [1] * 10 + [2] * 10
    assert result.model_version == 2


def promote_later(services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return an empty list; a version that is appended to it becomes the champion."""
    first, version = champion_detector(services, OPTIONS.detector), list[int]()

    def deployed(name: str) -> Any:
        return dataclasses.replace(first.deployment, version=[1, *version][-1])

    def opened(services: FakeServices, name: str) -> Any:
        return dataclasses.replace(first, deployment=deployed(name))

    monkeypatch.setattr(services.deployments, "champion", deployed)
    monkeypatch.setattr(module, "champion_detector", opened)
    return version


def test_the_champion_is_kept_during_a_database_outage(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHAMPION_S", 0.0)
    champion, asked = ready.deployments.champion, []

    def gone(name: str) -> Any:
        asked.append(name)
        if len(asked) > 1:
            raise TransientError("the database is unavailable")
        return champion(name)

    monkeypatch.setattr(ready.deployments, "champion", gone)
    produce(ready, 30)
    result = follow(ready, lambda: len(asked) > 3)
    assert (result.read, metrics(result)["vigie_stream_rejoins"]) == (30, 0.0)


def test_the_backoff_for_a_busy_index_is_reported(
    ready: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready.index, "take_backoff_s", lambda: 1.5, raising=False)
    produce(ready, 5)
    result = follow(ready, is_drained(ready))
    assert metrics(result)["vigie_es_backoff_seconds"] == 1.5
