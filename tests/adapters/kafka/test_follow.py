"""Following the stream on a real Kafka: members come, go, are slow, are fenced; lines stay one."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vigie.adapters.kafka import member as kafka_member
from vigie.adapters.kafka.stream import KafkaStream
from vigie.anomaly.scoring.follow_stream import FollowOptions, follow_stream
from vigie.anomaly.scoring.result import ScoreReport
from vigie.errors import ConflictError, FencedError, TransientError
from vigie.records import Document, IndexOutcome, Message, Position
from vigie.testing import FakeServices

LINES = [f"worker accepted request {n} from 10.0.0.9 in {n} ms".encode() for n in range(400)]
INDEX = "scored"


@pytest.fixture
def topic() -> str:
    return f"follow-{secrets.token_hex(4)}"


@pytest.fixture
def stream(kafka_servers: str, topic: str) -> Iterator[KafkaStream]:
    kafka = KafkaStream(kafka_servers, outage_s=20)
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

    def __init__(self, services: FakeServices, topic: str, member: str) -> None:
        super().__init__()
        self.services, self.stop = services, threading.Event()
        self.options = FollowOptions(
            topic=topic, group=topic, index=INDEX, member=member, batch_size=20
        )
        self.report: ScoreReport | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.report = follow_stream(
                self.services,
                self.options,
                should_stop=self.stop.is_set,
                on_report=lambda report: None,
                wait_s=0.2,
            )
        except Exception as exc:  # noqa: BLE001 (the test looks at it)
            self.error = exc

    def end(self) -> None:
        self.stop.set()
        self.join(60)
        assert not self.is_alive()


def until(condition: object, seconds: float = 25.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def coordinates(services: FakeServices) -> Counter[tuple[int, int]]:
    found = services.index.scan(INDEX)
    return Counter((d.body["partition"], d.body["offset"]) for d in found)


def expected(services: FakeServices, topic: str) -> Counter[tuple[int, int]]:
    ends = services.stream.end_offsets(topic)
    return Counter((p, offset) for p, end in ends.items() for offset in range(end))


def test_lines_that_arrive_later_are_scored_too(ready: FakeServices, topic: str) -> None:
    follower = Follower(ready, topic, "one")
    for _ in range(3):
        produce(ready.stream, topic, LINES[:40])  # type: ignore[arg-type]
        until(lambda: ready.stream.lag(topic, topic) == 0)
    follower.end()
    assert follower.error is None
    assert follower.report is not None
    assert (follower.report.read, follower.report.indexed) == (120, 120)
    assert coordinates(ready) == expected(ready, topic)


def test_members_that_come_and_go_score_every_line_once(ready: FakeServices, topic: str) -> None:
    dice = random.Random(7)
    followers = [Follower(ready, topic, "m0"), Follower(ready, topic, "m1")]
    for round_ in range(2, 7):
        produce(ready.stream, topic, LINES[:200])  # type: ignore[arg-type]
        time.sleep(dice.uniform(0.5, 2.0))
        if round_ % 2:
            dice.choice([f for f in followers if f.is_alive()]).end()
        else:
            followers.append(Follower(ready, topic, f"m{round_}"))
    until(lambda: ready.stream.lag(topic, topic) == 0, 90)
    for follower in followers:
        follower.end()
        assert follower.error is None
    assert coordinates(ready) == expected(ready, topic)


def test_a_sink_that_is_away_is_waited_for_as_a_member(
    ready: FakeServices, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_member, "MAX_GAP_S", 10.0)
    create, refusals = ready.index.create, iter(range(4))

    def refusing(index: str, documents: Sequence[Document]) -> IndexOutcome:
        if index == INDEX and next(refusals, None) is not None:
            raise TransientError("the sink is full")
        return create(index, documents)

    monkeypatch.setattr(ready.index, "create", refusing)
    produce(ready.stream, topic)  # type: ignore[arg-type]
    follower = Follower(ready, topic, "patient")
    until(lambda: ready.stream.lag(topic, topic) == 0)
    follower.end()
    assert follower.error is None
    assert follower.report is not None
    assert follower.report.read == len(LINES)
    assert coordinates(ready) == expected(ready, topic)
    assert {m.name: m.value for m in follower.report.metrics}["vigie_stream_rejoins"] == 0


def test_two_followers_of_one_name_do_not_fight(ready: FakeServices, topic: str) -> None:
    produce(ready.stream, topic)  # type: ignore[arg-type]
    first = Follower(ready, topic, "same")
    until(lambda: ready.stream.lag(topic, topic) == 0)
    second = Follower(ready, topic, "same")
    until(lambda: not first.is_alive())
    assert isinstance(first.error, FencedError)
    produce(ready.stream, topic)  # type: ignore[arg-type]
    until(lambda: ready.stream.lag(topic, topic) == 0)
    second.end()
    assert second.error is None
    assert coordinates(ready) == expected(ready, topic)


def test_a_worker_cannot_take_what_a_follower_reads(ready: FakeServices, topic: str) -> None:
    produce(ready.stream, topic)  # type: ignore[arg-type]
    follower = Follower(ready, topic, "live")
    until(lambda: ready.stream.lag(topic, topic) == 0)
    with pytest.raises(ConflictError), ready.stream.consumer(topic, topic, [0]):
        pass
    follower.end()
    assert follower.error is None


def test_a_follower_that_joins_stops_a_worker_at_its_next_commit(
    ready: FakeServices, topic: str
) -> None:
    produce(ready.stream, topic)  # type: ignore[arg-type]
    with ready.stream.consumer(topic, topic, [0]) as worker:
        records = worker.poll(10)
        follower = Follower(ready, topic, "live")
        until(lambda: ready.stream.lag(topic, topic) == 0)
        with pytest.raises(ConflictError):
            worker.commit({0: Position(records[-1].offset + 1)})
    follower.end()
    assert coordinates(ready) == expected(ready, topic)


def test_a_member_that_comes_back_has_its_partitions_at_once(
    stream: KafkaStream, topic: str
) -> None:
    produce(stream, topic)
    took = []
    for _ in range(3):
        begin = time.monotonic()
        with stream.consumer(topic, topic, member="back") as consumer:
            until(lambda: consumer.poll(1, timeout_s=0.5))
            took.append(time.monotonic() - begin)
    assert max(took[1:]) < 3.0


def test_a_scorer_that_is_too_slow_reads_again_and_loses_nothing(
    ready: FakeServices, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_member, "MAX_GAP_S", 6.0)
    create, slow = ready.index.create, iter([8.0])

    def sleeping(index: str, documents: Sequence[Document]) -> IndexOutcome:
        if index == INDEX:
            time.sleep(next(slow, 0.0))
        return create(index, documents)

    monkeypatch.setattr(ready.index, "create", sleeping)
    produce(ready.stream, topic)  # type: ignore[arg-type]
    follower = Follower(ready, topic, "slow")
    until(lambda: ready.stream.lag(topic, topic) == 0)
    follower.end()
    assert follower.error is None
    assert follower.report is not None
    assert {m.name: m.value for m in follower.report.metrics}["vigie_stream_rejoins"] == 1
    assert coordinates(ready) == expected(ready, topic)
