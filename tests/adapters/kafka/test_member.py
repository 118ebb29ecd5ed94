"""Members of a group on librdkafka's mock cluster: partitions that go, come back, or are away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from support.kafka_mock import KafkaMock, MockKafkaStream
from vigie.adapters.kafka import member as kafka_member
from vigie.adapters.kafka.member import KafkaMember
from vigie.errors import TransientError
from vigie.records import Message, Position

TOPIC, GROUP = "logs", "scorer"


@pytest.fixture
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as cluster:
        yield cluster


@pytest.fixture
def stream(mock: KafkaMock, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockKafkaStream]:
    monkeypatch.setattr(kafka_member, "MAX_GAP_S", 6.0)  # the mock does not know static members
    kafka = MockKafkaStream(mock)
    kafka.create_topic(TOPIC, 2)
    produce(kafka, 0, 20)
    produce(kafka, 1, 20)
    yield kafka
    kafka.close()


def produce(stream: MockKafkaStream, partition: int, n: int) -> None:
    stream.produce(TOPIC, [Message(b"line %d" % number) for number in range(n)], partition)


@contextmanager
def joined(stream: MockKafkaStream, name: str) -> Iterator[KafkaMember]:
    with stream.consumer(GROUP, TOPIC, member=name) as member:
        assert isinstance(member, KafkaMember)
        yield member


@contextmanager
def another(stream: MockKafkaStream) -> Iterator[None]:
    """A second member, which polls in a thread of its own."""
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            with suppress(TransientError):
                member.poll(100, timeout_s=0.2)

    with joined(stream, "second") as member:
        thread = threading.Thread(target=poll)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"


def read_all(member: KafkaMember) -> None:
    """Read and commit the 20 lines that each partition has."""
    records: list[Any] = []

    def is_read() -> bool:
        records.extend(member.poll(100, timeout_s=0.2))
        return len(records) == 40

    until(is_read)
    member.commit({0: Position(20, "zero"), 1: Position(20, "one")})


def test_a_partition_that_went_while_its_member_paused_is_read_when_it_comes_back(
    stream: MockKafkaStream,
) -> None:
    with joined(stream, "first") as member:
        read_all(member)
        with another(stream):
            until(lambda: member.idle(0.2) or len(member.partitions) == 1)
            member.poll(1)  # its sink is back: it resumes what it has left
            [kept] = member.partitions
        until(lambda: not member.poll(100, timeout_s=0.2) and len(member.partitions) == 2)
        produce(stream, 1 - kept, 5)
        records: list[Any] = []
        until(lambda: bool(records.extend(member.poll(100, timeout_s=0.2)) or records))
        assert {record.partition for record in records} == {1 - kept}


def test_a_commit_that_is_late_is_dropped_when_partitions_moved(stream: MockKafkaStream) -> None:
    """Sent under the new generation it would set back what another member has committed."""
    with joined(stream, "first") as member:
        until(lambda: bool(member.poll(10, timeout_s=0.2)) and len(member.partitions) == 2)
        client = Refusing(member)
        with pytest.raises(TransientError):
            member.commit({0: Position(5, "late"), 1: Position(5, "late")})
        with another(stream):
            until(lambda: member.idle(0.2) or len(member.partitions) == 1)
            asked = client.asked
            client.is_open = True
            until(lambda: not is_on_its_way(member))
            assert client.asked == asked
            assert stream.cluster.committed(GROUP, TOPIC, [0, 1]) == {}
            [kept] = member.partitions
            member.commit({kept: Position(7, "new")})
            assert stream.cluster.committed(GROUP, TOPIC, [0, 1]) == {kept: 7}


def is_on_its_way(member: KafkaMember) -> bool:
    errand = member._commits._on_its_way
    return errand is not None and not errand[1].done()


class Refusing:
    """Refuses a member's commits, as a coordinator does that loads its group, until it is open."""

    def __init__(self, member: KafkaMember) -> None:
        positions = member._reader.positions
        self._client, positions._client = positions._client, self  # type: ignore[assignment]
        self.is_open = False
        self.asked = 0

    def commit(self, **what: Any) -> Any:
        self.asked += 1
        if not self.is_open:
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))
        return self._client.commit(**what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_member_knows_what_is_committed_while_brokers_are_away(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    """Its start and its state are one answer: a second question could fail, or differ."""
    with joined(stream, "first") as member:
        until(lambda: bool(member.poll(1, timeout_s=0.2)))
        assert member.committed() == {0: Position(0), 1: Position(0)}
        read_on = Position(3, "state")
        member.commit({1: read_on})
        mock.down()
        assert member.committed() == {0: Position(0), 1: read_on}
        mock.up()
