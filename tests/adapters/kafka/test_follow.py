"""Following the stream on a real Kafka: followers start, stop and lose leases."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vigie.adapters.kafka.stream import KafkaStream
from vigie.anomaly.scoring.follow_stream import FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreResult
from vigie.records import Document, IndexOutcome, Message, Position
from vigie.testing import FakeServices
from vigie.testing.stores import FakeLocks

LINES = [f"worker accepted request {n} from 10.0.0.9 in {n} ms".encode() for n in range(400)]
INDEX = "scored"


@pytest.fixture
def topic() -> str:
    return f"follow-{secrets.token_hex(4)}"


@pytest.fixture
def stream(kafka_servers: str, topic: str) -> Iterator[KafkaStream]:
    locks = FakeLocks()
    kafka = KafkaStream(kafka_servers, locks=lambda: locks, patience_s=10)
    kafka.create_topic(topic, 4)
    yield kafka
    kafka.delete_topic(topic)
    kafka.close()


@pytest.fixture
def ready(tmp_path: Path, trained: FakeServices, stream: KafkaStream) -> FakeServices:
    services = FakeServices(tmp_path)
    services.deployments, services.bundles = trained.deployments, trained.bundles
    services.stream = stream  # type: ignore[assignment]
    return services


def produce(stream: KafkaStream, topic: str, lines: Sequence[bytes] = LINES) -> None:
    for partition in range(4):
        part = lines[partition::4]
        stream.produce(topic, [Message(line) for line in part], partition)


class Follower(threading.Thread):
    """``follow_stream`` in a thread."""

    def __init__(self, services: FakeServices, topic: str, batch_size: int = 20) -> None:
        super().__init__()
        self.services, self.stop = services, threading.Event()
        self.options = FollowOptions(topic=topic, group=topic, index=INDEX, batch_size=batch_size)
        self.result: ScoreResult | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = follow_stream(
                self.services,
                self.options,
                should_stop=self.stop.is_set,
                on_result=lambda result: None,
                wait_s=0.2,
            )
        except Exception as exc:  # noqa: BLE001 (the test checks it)
            self.error = exc

    def end(self) -> None:
        self.stop.set()
        self.join(60)
        assert not self.is_alive()


def until(condition: object, seconds: float = 25.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def coordinates(services: FakeServices) -> Counter[tuple[int, int]]:
    found = services.index.scan(INDEX)
    return Counter((d.body["partition"], d.body["offset"]) for d in found)


def expected(services: FakeServices, topic: str) -> Counter[tuple[int, int]]:
    ends = services.stream.end_offsets(topic)
    return Counter((p, offset) for p, end in ends.items() for offset in range(end))


def test_lines_that_arrive_later_are_scored_too(ready: FakeServices, topic: str) -> None:
    follower = Follower(ready, topic)
    for _ in range(3):
        produce(ready.stream, topic, LINES[:40])  # type: ignore[arg-type]
        until(lambda: ready.stream.lag(topic, topic) == 0)
    follower.end()
    assert follower.error is None
    assert follower.result is not None
    assert (follower.result.read, follower.result.indexed) == (120, 120)
    assert coordinates(ready) == expected(ready, topic)


def test_followers_that_start_and_stop_score_every_line_once(
    ready: FakeServices, topic: str
) -> None:
    dice = random.Random(7)
    followers = [Follower(ready, topic), Follower(ready, topic)]
    for round_ in range(2, 7):
        produce(ready.stream, topic, LINES[:200])  # type: ignore[arg-type]
        time.sleep(dice.uniform(0.5, 2.0))
        if round_ % 2:
            dice.choice([f for f in followers if f.is_alive()]).end()
        else:
            followers.append(Follower(ready, topic))
    until(lambda: ready.stream.lag(topic, topic) == 0, 90)
    for follower in followers:
        follower.end()
        assert follower.error is None
    assert coordinates(ready) == expected(ready, topic)


@pytest.mark.timeout(300)
def test_two_followers_share_four_partitions(ready: FakeServices, topic: str) -> None:
    lines = [b"worker accepted request %d from 10.0.0.9" % n for n in range(100_000)]
    produce(ready.stream, topic, lines)  # type: ignore[arg-type]
    followers = [Follower(ready, topic, 1000) for _ in range(2)]
    until(lambda: ready.stream.lag(topic, topic) == 0, 240)
    read = []
    for follower in followers:
        follower.end()
        assert follower.error is None
        assert follower.result is not None
        read.append(follower.result.read)
    assert sum(read) == ready.index.count(INDEX) == 100_000
    assert min(read) >= 20_000


def test_a_worker_gets_a_partition_when_the_follower_releases_it(
    ready: FakeServices, topic: str
) -> None:
    produce(ready.stream, topic)  # type: ignore[arg-type]
    follower = Follower(ready, topic)
    with ready.stream.consumer(topic, topic, [0], 30.0) as worker:
        until(lambda: sum(ready.stream.lags(topic, topic).values()) <= 100)
        assert worker.partitions == (0,)
    until(lambda: ready.stream.lag(topic, topic) == 0)
    follower.end()
    assert follower.error is None
    assert coordinates(ready) == expected(ready, topic)


def test_a_commit_after_the_lease_was_lost_is_refused(
    ready: FakeServices, stream: KafkaStream, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another consumer takes and commits the partition while the follower stores a batch."""
    create, takeovers = ready.index.create, iter(range(1))

    def interrupted(index: str, documents: Sequence[Document]) -> IndexOutcome:
        outcome = create(index, documents)
        if index == INDEX and next(takeovers, None) is not None:
            partition = int(documents[0].body["partition"])
            other_stream = KafkaStream(
                stream.cluster.servers
            )  # without leases, as if the lease was lost
            with other_stream.consumer(topic, topic, [partition]) as other:
                other.commit({partition: Position(3)})
            other_stream.close()
        return outcome

    monkeypatch.setattr(ready.index, "create", interrupted)
    produce(stream, topic)
    follower = Follower(ready, topic)
    until(lambda: stream.lag(topic, topic) == 0)
    follower.end()
    assert follower.error is None
    assert follower.result is not None
    metrics = {sample.name: sample.value for sample in follower.result.metrics}
    assert metrics["vigie_stream_rejoins"] == 1
    assert coordinates(ready) == expected(ready, topic)
