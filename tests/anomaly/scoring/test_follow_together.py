"""Followers and workers share a group: each of them scores lines, each line has one document."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from vigie.adapters.postgres.locks import SqlLocks
from vigie.adapters.postgres.stream import PgStream
from vigie.anomaly.scoring.follow_stream import FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreResult
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.records import Message
from vigie.testing import FakeServices
from vigie.testing.contracts import together

TOPIC, GROUP, INDEX, PARTITIONS = "logs", "scorer", "scored", 4


@pytest.fixture
def ready(tmp_path: Path, trained: FakeServices, database_url: str) -> Iterator[FakeServices]:
    engine = create_engine(database_url)
    services = FakeServices(tmp_path)
    services.deployments, services.bundles = trained.deployments, trained.bundles
    services.stream = PgStream(engine)  # type: ignore[assignment]
    services.locks = SqlLocks(engine)  # type: ignore[assignment]
    services.stream.create_topic(TOPIC, PARTITIONS)
    yield services
    engine.dispose()


def produce(services: FakeServices, n: int) -> None:
    """Write ``n`` lines to each partition."""
    for partition in range(PARTITIONS):
        lines = [Message(b"worker accepted request %d from 10.0.0.9" % i) for i in range(n)]
        services.stream.produce(TOPIC, lines, partition)


def follow(services: FakeServices, until: Callable[[], bool]) -> ScoreResult:
    return follow_stream(
        services,
        FollowOptions(topic=TOPIC, group=GROUP, index=INDEX),
        should_stop=until,
        on_result=lambda result: None,
        wait_s=0.1,
    )


def drained(services: FakeServices, seconds: float) -> Callable[[], bool]:
    """Return a function that checks at most every 0.2 s whether all lines are committed."""
    deadline, asked, ended = time.monotonic() + seconds, [0.0], threading.Event()

    def check() -> bool:
        now = time.monotonic()
        assert now < deadline, "lines are left"
        if not ended.is_set() and now - asked[0] > 0.2:
            asked[0] = now
            if services.stream.lag(GROUP, TOPIC) == 0:
                ended.set()
        return ended.is_set()

    return check


def coordinates(services: FakeServices) -> Counter[tuple[int, int]]:
    found = services.index.scan(INDEX)
    return Counter((d.body["partition"], d.body["offset"]) for d in found)


@pytest.mark.timeout(300)
def test_two_followers_share_four_partitions(ready: FakeServices) -> None:
    produce(ready, 25_000)
    first, second = results(
        together([partial(follow, ready, drained(ready, 240)) for _ in range(2)])
    )
    assert first.read + second.read == ready.index.count(INDEX) == 100_000
    assert min(first.read, second.read) >= 20_000


def test_a_follower_that_starts_later_gets_its_share(ready: FakeServices) -> None:
    produce(ready, 5_000)
    is_drained, started = drained(ready, 120), threading.Event()

    def early() -> bool:
        if ready.index.count(INDEX) > 2_000:
            started.set()
        return is_drained()

    def late() -> ScoreResult:
        assert started.wait(60)
        return follow(ready, is_drained)

    first, second = results(together([partial(follow, ready, early), late]))
    assert first.read + second.read == ready.index.count(INDEX) == 20_000
    assert second.read > 0


def test_workers_and_a_follower_share_a_group(ready: FakeServices) -> None:
    """Workers wait for partitions of the follower; the thresholds equal those of one worker."""
    produce(ready, 2_000)
    with ready.stream.consumer("alone", TOPIC):  # trim keeps the lines for this group
        pass
    ready_to_end = threading.Event()

    def work(partitions: list[int]) -> ScoreResult:
        return score_stream(
            ready,
            topic=TOPIC,
            group=GROUP,
            index=INDEX,
            partitions=partitions,
            max_lines=1_500,
            batch_size=100,
            lease_wait_s=60.0,
        )

    def workers() -> list[ScoreResult]:
        done = [work([0, 2]), work([1, 3]), work([0])]
        ready_to_end.set()
        return done

    is_drained = drained(ready, 120)
    followed, worked = together(
        [
            partial(follow, ready, lambda: ready_to_end.is_set() and is_drained()),
            workers,
        ]
    )
    assert isinstance(followed, ScoreResult), followed
    assert isinstance(worked, list), worked
    read = followed.read + sum(result.read for result in worked)
    assert read == ready.index.count(INDEX) == 4 * 2_000
    assert max(coordinates(ready).values()) == 1

    score_stream(ready, topic=TOPIC, group="alone", index="whole")
    assert thresholds(ready, INDEX) == thresholds(ready, "whole")


def thresholds(services: FakeServices, index: str) -> dict[str, Any]:
    return {
        document.id: document.body["threshold_used"]
        and pytest.approx(document.body["threshold_used"], abs=1e-9)
        for document in services.index.scan(index)
    }


def results(outcomes: list[Any]) -> list[ScoreResult]:
    for outcome in outcomes:
        assert isinstance(outcome, ScoreResult), outcome
    return outcomes
