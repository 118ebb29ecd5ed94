"""The contract of :class:`vigie.roles.LogStream`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from vigie.errors import DataError
from vigie.records import Message, StreamRecord
from vigie.roles import LogIndex, LogStream, StreamConsumer
from vigie.testing.contracts import Contract, raised

CHECKS = Contract()

#: Random names, because other test runs and real topics may use the same broker.
_RUN = secrets.token_hex(4)
TOPIC, GROUP = f"vigie-logs-{_RUN}", f"vigie-scorer-{_RUN}"


@dataclass
class StreamSubject:
    """A stream, a log index, and two functions that simulate external events."""

    stream: LogStream
    index: LogIndex
    expel: Callable[[str, str], None]  # end the leases of a group on a topic
    trim: Callable[[str], int]  # run retention; return the number of deleted lines


def lines(n: int, start: int = 0) -> list[Message]:
    return [Message(b"line %d" % number, {"n": str(number)}) for number in range(start, start + n)]


def filled(subject: StreamSubject, n: int, partitions: int = 1) -> LogStream:
    subject.stream.create_topic(TOPIC, partitions)
    subject.stream.produce(TOPIC, lines(n))
    return subject.stream


def drain(consumer: StreamConsumer, page: int = 7) -> list[StreamRecord]:
    records: list[StreamRecord] = []
    while found := consumer.poll(page):
        records += found
    return records


def open_once(subject: StreamSubject, group: str = GROUP) -> None:
    with subject.stream.consumer(group, TOPIC):
        pass


@CHECKS
def a_topic_is_created_once(subject: StreamSubject) -> None:
    assert subject.stream.partitions(TOPIC) == 0
    assert subject.stream.create_topic(TOPIC, 3) is True
    subject.stream.produce(TOPIC, lines(2))
    assert subject.stream.create_topic(TOPIC, 5) is False
    assert subject.stream.partitions(TOPIC) == 3
    assert subject.stream.end_offsets(TOPIC) == {0: 2, 1: 0, 2: 0}
    assert subject.stream.first_offsets(TOPIC) == {0: 0, 1: 0, 2: 0}


@CHECKS
def a_topic_without_partitions_is_refused(subject: StreamSubject) -> None:
    raised(DataError, lambda: subject.stream.create_topic(TOPIC, 0))
    assert subject.stream.partitions(TOPIC) == 0


@CHECKS
def a_topic_that_does_not_exist_is_empty_and_cannot_be_used(subject: StreamSubject) -> None:
    stream = subject.stream
    assert (stream.end_offsets(TOPIC), stream.lag(GROUP, TOPIC)) == ({}, 0)
    assert stream.first_offsets(TOPIC) == {}
    raised(DataError, lambda: stream.produce(TOPIC, lines(1)))
    raised(DataError, lambda: open_once(subject))


@CHECKS
def a_partition_that_does_not_exist_cannot_be_used(subject: StreamSubject) -> None:
    stream = filled(subject, 1)
    raised(DataError, lambda: stream.produce(TOPIC, lines(1), partition=1))
    raised(DataError, lambda: stream.consumer(GROUP, TOPIC, [1]).__enter__())


@CHECKS
def offsets_are_dense_and_produce_returns_the_first(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    bases = [subject.stream.produce(TOPIC, lines(n)) for n in (3, 0, 1, 2)]
    assert bases == [0, 3, 3, 4]
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        assert [record.offset for record in drain(consumer)] == list(range(6))


@CHECKS
def any_bytes_are_kept_exactly(subject: StreamSubject) -> None:
    values = [b"", b"\x00", b"\xff\xfe\xed\xb3\xbf", bytes(range(256)), b"crlf\r\n", b"x" * 300_000]
    subject.stream.create_topic(TOPIC)
    subject.stream.produce(TOPIC, [Message(value, {"k": "é\u2028"}) for value in values])
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        records = drain(consumer)
    assert [record.value for record in records] == values
    assert {tuple(record.headers.items()) for record in records} == {(("k", "é\u2028"),)}


@CHECKS
def invalid_text_in_headers_becomes_visible_escapes(subject: StreamSubject) -> None:
    """In Python, a file name that is not valid UTF-8 contains lone surrogates."""
    subject.stream.create_topic(TOPIC)
    subject.stream.produce(TOPIC, [Message(b"a", {"source": "caf\udce9.log", "n\x00": "\x00"})])
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        [record] = drain(consumer)
    assert record.headers == {"source": "caf\\udce9.log", "n\\x00": "\\x00"}


@CHECKS
def headers_are_those_of_their_message(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    subject.stream.produce(TOPIC, [Message(b"a"), Message(b"b", {"x": "1"}), Message(b"c")])
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        assert [dict(record.headers) for record in drain(consumer)] == [{}, {"x": "1"}, {}]


@CHECKS
def records_have_coordinates_and_an_aware_time(subject: StreamSubject) -> None:
    stream = filled(subject, 1, partitions=2)
    stream.produce(TOPIC, lines(1), partition=1)
    with stream.consumer(GROUP, TOPIC, [1]) as consumer:
        [record] = drain(consumer)
    assert (record.topic, record.partition, record.offset) == (TOPIC, 1, 0)
    assert record.timestamp.utcoffset() is not None


@CHECKS
def poll_returns_at_most_the_requested_number_and_then_nothing(subject: StreamSubject) -> None:
    stream = filled(subject, 5)
    with stream.consumer(GROUP, TOPIC) as consumer:
        sizes = [len(consumer.poll(2)) for _ in range(4)]
        assert sizes == [2, 2, 1, 0]
        stream.produce(TOPIC, lines(1))
        assert [record.offset for record in consumer.poll(2)] == [5]


@CHECKS
def batches_of_all_sizes_are_read_in_order(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    for size in (1, 1500, 1, 1, 700, 3):
        subject.stream.produce(TOPIC, lines(size))
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        offsets = [record.offset for record in drain(consumer, page=333)]
    assert offsets == list(range(2206))


@CHECKS
def polling_several_partitions_keeps_each_in_order(subject: StreamSubject) -> None:
    stream = filled(subject, 10, partitions=3)
    stream.produce(TOPIC, lines(4), partition=2)
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.partitions == (0, 1, 2)
        records = drain(consumer, page=3)
    offsets = {p: [r.offset for r in records if r.partition == p] for p in range(3)}
    assert offsets == {0: list(range(10)), 1: [], 2: list(range(4))}
