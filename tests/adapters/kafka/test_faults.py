"""Faults of a broker, injected into librdkafka's mock cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import pytest
from confluent_kafka import KafkaError

from support.kafka_mock import (
    FETCH,
    LIST_OFFSETS,
    OFFSET_COMMIT,
    PRODUCE,
    KafkaMock,
    MockKafkaStream,
)
from vigie.adapters.kafka.stream import KafkaStream
from vigie.errors import (
    ConflictError,
    DataError,
    RefusedMessageError,
    TransientError,
    UndeliveredError,
)
from vigie.records import Message, Position

TOPIC, GROUP = "logs", "scorer"


@pytest.fixture
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as cluster:
        yield cluster


@pytest.fixture
def stream(mock: KafkaMock) -> Iterator[MockKafkaStream]:
    kafka = MockKafkaStream(mock)
    kafka.create_topic(TOPIC, 1)
    yield kafka
    kafka.close()


def lines(n: int) -> list[Message]:
    return [Message(b"line %d" % number) for number in range(n)]


@contextmanager
def back_in(mock: KafkaMock, seconds: float) -> Iterator[None]:
    """Start the brokers again after some seconds, while the block runs."""
    back = Timer(seconds, mock.up)
    back.start()
    try:
        yield
    finally:
        back.join()


def drained(stream: KafkaStream, group: str = GROUP) -> list[int]:
    with stream.consumer(group, TOPIC) as consumer:
        found = []
        while records := consumer.poll(100):
            found += [record.offset for record in records]
        return found


def test_an_unreachable_cluster_is_reported_within_five_seconds() -> None:
    begin = time.monotonic()
    kafka = KafkaStream("127.0.0.1:1")
    for call in (
        lambda: kafka.partitions(TOPIC),
        lambda: kafka.produce(TOPIC, lines(1)),
        lambda: kafka.consumer(GROUP, TOPIC).__enter__(),
    ):
        begin = time.monotonic()
        with pytest.raises(TransientError, match=r"127\.0\.0\.1:1"):
            call()
        assert time.monotonic() - begin < 5


def test_lines_produced_while_brokers_are_down_arrive_once(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    stream.produce(TOPIC, lines(10))
    mock.down()
    with back_in(mock, 2.0):
        assert stream.produce(TOPIC, lines(300)) == 10
    assert drained(stream) == list(range(310))


def test_reading_continues_after_an_outage(mock: KafkaMock, stream: MockKafkaStream) -> None:
    stream.produce(TOPIC, lines(300))
    with stream.consumer(GROUP, TOPIC) as consumer:
        first = consumer.poll(100)
        mock.down()
        rest = []
        with back_in(mock, 2.0):
            consumer.commit({0: Position(len(first), "state")})
            while records := consumer.poll(100):
                rest += records
        assert [r.offset for r in [*first, *rest]] == list(range(300))
        assert consumer.committed() == {0: Position(len(first), "state")}


def test_waiting_for_brokers_is_limited(mock: KafkaMock) -> None:
    stream = MockKafkaStream(mock, outage_s=2.0)
    stream.create_topic(TOPIC, 1)
    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert len(consumer.poll(10)) == 10
        mock.down()
        for call in (
            lambda: consumer.poll(10),
            lambda: consumer.commit({0: Position(10)}),
        ):
            begin = time.monotonic()
            with pytest.raises(TransientError, match=r"127\.0\.0\.1"):
                call()
            assert time.monotonic() - begin < 12
        mock.up()


def test_the_first_undelivered_message_is_reported(mock: KafkaMock) -> None:
    stream = MockKafkaStream(mock, outage_s=2.0)
    stream.create_topic(TOPIC, 1)
    stream.produce(TOPIC, lines(5))
    mock.down()
    with pytest.raises(UndeliveredError, match=r"0 of 7 messages.*message 1") as caught:
        stream.produce(TOPIC, lines(7))
    assert caught.value.first == 0
    mock.up()
    assert stream.produce(TOPIC, lines(7)) >= 5, "a new producer was created"


def test_retries_after_transient_errors_write_no_duplicates(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    mock.fail(PRODUCE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT)
    assert stream.produce(TOPIC, lines(50)) == 0
    assert drained(stream) == list(range(50))


def test_a_refused_message_is_reported_with_the_setting_to_change(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    mock.fail(PRODUCE, *[KafkaError.MSG_SIZE_TOO_LARGE] * 2)
    with pytest.raises(RefusedMessageError, match=r"0 of 2 .*max\.message\.bytes") as caught:
        stream.produce(TOPIC, lines(2))
    assert (caught.value.first, caught.value.is_too_large) == (0, True)
    assert stream.produce(TOPIC, lines(1)) == 0


def test_a_message_refused_for_another_reason_is_reported(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    mock.fail(PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(RefusedMessageError, match="TOPIC_AUTHORIZATION_FAILED") as caught:
        stream.produce(TOPIC, lines(2))
    assert (caught.value.first, caught.value.is_too_large) == (0, False)


def test_a_batch_that_is_too_large_is_written_message_by_message(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    mock.fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    assert stream.produce(TOPIC, lines(20)) == 0
    assert drained(stream) == list(range(20))


def test_a_message_above_the_default_limit_of_the_client_is_written(
    stream: MockKafkaStream,
) -> None:
    """The default limit of librdkafka is 1,000,000 bytes, that of brokers 1,048,588."""
    assert stream.produce(TOPIC, [Message(b"x" * 3_000_000)]) == 0


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID])
def test_a_commit_that_brokers_refuse_is_a_conflict(
    mock: KafkaMock, stream: MockKafkaStream, code: int
) -> None:
    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(10)
        mock.fail(OFFSET_COMMIT, code)
        with pytest.raises(ConflictError, match="not committed"):
            consumer.commit({0: Position(10)})
        assert consumer.committed() == {0: Position(0)}


def test_a_commit_waits_for_a_coordinator_that_moves(
    mock: KafkaMock, stream: MockKafkaStream
) -> None:
    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as consumer:
        mock.fail(OFFSET_COMMIT, KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE)
        consumer.commit({0: Position(10, "s")})
        assert consumer.committed() == {0: Position(10, "s")}


def test_transient_errors_of_a_fetch_lose_nothing(mock: KafkaMock, stream: MockKafkaStream) -> None:
    stream.produce(TOPIC, lines(500))
    mock.fail(FETCH, *[KafkaError.NOT_LEADER_FOR_PARTITION] * 3)
    mock.fail(LIST_OFFSETS, KafkaError.LEADER_NOT_AVAILABLE)
    assert drained(stream) == list(range(500))


def test_lines_deleted_by_retention_are_reported(mock: KafkaMock, stream: MockKafkaStream) -> None:
    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(4)
        consumer.commit({0: Position(4)})
    mock.delete_records(TOPIC, 0, 8)
    with (
        stream.consumer(GROUP, TOPIC) as consumer,
        pytest.raises(DataError, match=r"lines 4 to 7 of 'logs'/0 were deleted"),
    ):
        consumer.poll(10)


def test_a_position_past_the_end_is_an_error(mock: KafkaMock, stream: MockKafkaStream) -> None:
    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(25)})
    with (
        stream.consumer(GROUP, TOPIC) as consumer,
        pytest.raises(DataError, match=r"line 25 .* does not exist: .* ends before 10"),
    ):
        consumer.poll(10)


def test_without_leases_a_later_consumer_takes_over(stream: MockKafkaStream) -> None:
    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as late:
        late.poll(10)
        with stream.consumer(GROUP, TOPIC) as successor:
            successor.poll(3)
            successor.commit({0: Position(3)})
        with pytest.raises(ConflictError, match="another client"):
            late.commit({0: Position(10)})


def test_a_reset_of_the_offsets_is_detected(mock: KafkaMock, stream: MockKafkaStream) -> None:
    from confluent_kafka import Consumer, TopicPartition

    stream.produce(TOPIC, lines(10))
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(5)})
        tool = Consumer({"bootstrap.servers": mock.servers, "group.id": GROUP})
        tool.commit(offsets=[TopicPartition(TOPIC, 0, 2)], asynchronous=False)
        tool.close()
        with pytest.raises(ConflictError, match="another client"):
            consumer.commit({0: Position(6)})
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(2)}
