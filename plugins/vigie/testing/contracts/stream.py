"""The contract of :class:`vigie.roles.LogStream`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from vigie.errors import ConflictError, DataError
from vigie.records import Document, IndexSpec, Message, Position, StreamRecord
from vigie.roles import LogIndex, LogStream, StreamConsumer
from vigie.testing.contracts import Contract, raised, together

CHECKS = Contract()
TOPIC, GROUP = "vigie-logs", "vigie-scorer"


@dataclass
class StreamSubject:
    """A stream, an index to write into, and the two things that happen to a stream from outside."""

    stream: LogStream
    index: LogIndex
    expel: Callable[[str, str], None]  # end the sessions of a group's members on a topic
    trim: Callable[[str], int]  # run retention; return how many lines it dropped


def _lines(n: int, start: int = 0) -> list[Message]:
    return [Message(b"line %d" % number, {"n": str(number)}) for number in range(start, start + n)]


def _filled(subject: StreamSubject, n: int, partitions: int = 1) -> LogStream:
    subject.stream.create_topic(TOPIC, partitions)
    subject.stream.produce(TOPIC, _lines(n))
    return subject.stream


def _drain(consumer: StreamConsumer, page: int = 7) -> list[StreamRecord]:
    records: list[StreamRecord] = []
    while found := consumer.poll(page):
        records += found
    return records


def _open(subject: StreamSubject, group: str = GROUP) -> None:
    with subject.stream.consumer(group, TOPIC):
        pass


@CHECKS
def a_topic_is_created_once(subject: StreamSubject) -> None:
    assert subject.stream.partitions(TOPIC) == 0
    assert subject.stream.create_topic(TOPIC, 3) is True
    subject.stream.produce(TOPIC, _lines(2))
    assert subject.stream.create_topic(TOPIC, 5) is False
    assert subject.stream.partitions(TOPIC) == 3
    assert subject.stream.end_offsets(TOPIC) == {0: 2, 1: 0, 2: 0}


@CHECKS
def a_topic_without_partitions_is_refused(subject: StreamSubject) -> None:
    raised(DataError, lambda: subject.stream.create_topic(TOPIC, 0))
    assert subject.stream.partitions(TOPIC) == 0


@CHECKS
def a_topic_that_does_not_exist_is_empty_but_cannot_be_used(subject: StreamSubject) -> None:
    stream = subject.stream
    assert (stream.end_offsets(TOPIC), stream.lag(GROUP, TOPIC)) == ({}, 0)
    raised(DataError, lambda: stream.produce(TOPIC, _lines(1)))
    raised(DataError, lambda: _open(subject))


@CHECKS
def a_partition_that_does_not_exist_cannot_be_used(subject: StreamSubject) -> None:
    stream = _filled(subject, 1)
    raised(DataError, lambda: stream.produce(TOPIC, _lines(1), partition=1))
    raised(DataError, lambda: stream.consumer(GROUP, TOPIC, [1]).__enter__())


@CHECKS
def offsets_are_dense_and_produce_returns_the_first(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    bases = [subject.stream.produce(TOPIC, _lines(n)) for n in (3, 0, 1, 2)]
    assert bases == [0, 3, 3, 4]
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        assert [record.offset for record in _drain(consumer)] == list(range(6))


@CHECKS
def any_bytes_survive_exactly(subject: StreamSubject) -> None:
    values = [b"", b"\x00", b"\xff\xfe\xed\xb3\xbf", bytes(range(256)), b"crlf\r\n", b"x" * 300_000]
    subject.stream.create_topic(TOPIC)
    subject.stream.produce(TOPIC, [Message(value, {"k": "é\u2028"}) for value in values])
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        records = _drain(consumer)
    assert [record.value for record in records] == values
    assert {tuple(record.headers.items()) for record in records} == {(("k", "é\u2028"),)}


@CHECKS
def headers_are_those_of_their_message(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    subject.stream.produce(TOPIC, [Message(b"a"), Message(b"b", {"x": "1"}), Message(b"c")])
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        assert [dict(record.headers) for record in _drain(consumer)] == [{}, {"x": "1"}, {}]


@CHECKS
def records_carry_coordinates_and_an_aware_time(subject: StreamSubject) -> None:
    stream = _filled(subject, 1, partitions=2)
    stream.produce(TOPIC, _lines(1), partition=1)
    with stream.consumer(GROUP, TOPIC, [1]) as consumer:
        [record] = _drain(consumer)
    assert (record.topic, record.partition, record.offset) == (TOPIC, 1, 0)
    assert record.timestamp.utcoffset() is not None


@CHECKS
def poll_returns_at_most_what_was_asked_and_then_nothing(subject: StreamSubject) -> None:
    stream = _filled(subject, 5)
    with stream.consumer(GROUP, TOPIC) as consumer:
        sizes = [len(consumer.poll(2)) for _ in range(4)]
        assert sizes == [2, 2, 1, 0]
        stream.produce(TOPIC, _lines(1))
        assert [record.offset for record in consumer.poll(2)] == [5]


@CHECKS
def many_small_and_few_large_batches_read_alike(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    for size in (1, 1500, 1, 1, 700, 3):
        subject.stream.produce(TOPIC, _lines(size))
    with subject.stream.consumer(GROUP, TOPIC) as consumer:
        offsets = [record.offset for record in _drain(consumer, page=333)]
    assert offsets == list(range(2206))


@CHECKS
def polling_several_partitions_keeps_each_in_order(subject: StreamSubject) -> None:
    stream = _filled(subject, 10, partitions=3)
    stream.produce(TOPIC, _lines(4), partition=2)
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.partitions == (0, 1, 2)
        records = _drain(consumer, page=3)
    offsets = {p: [r.offset for r in records if r.partition == p] for p in range(3)}
    assert offsets == {0: list(range(10)), 1: [], 2: list(range(4))}


@CHECKS
def a_fresh_group_starts_at_the_oldest_line(subject: StreamSubject) -> None:
    stream = _filled(subject, 3)
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(0, "")}


@CHECKS
def a_commit_inside_a_batch_is_where_the_next_member_starts(subject: StreamSubject) -> None:
    stream = _filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(10)
        consumer.commit({0: Position(4, '{"mean": 1.5}')})
        assert consumer.committed() == {0: Position(4, '{"mean": 1.5}')}
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(4, '{"mean": 1.5}')}
        assert [record.offset for record in _drain(consumer)] == list(range(4, 10))


@CHECKS
def groups_do_not_see_each_other(subject: StreamSubject) -> None:
    stream = _filled(subject, 4)
    with stream.consumer(GROUP, TOPIC) as one, stream.consumer("other", TOPIC) as other:
        one.poll(4)
        one.commit({0: Position(4)})
        assert other.committed() == {0: Position(0)}
        assert len(other.poll(9)) == 4
    assert (stream.lag(GROUP, TOPIC), stream.lag("other", TOPIC)) == (0, 4)


@CHECKS
def lag_is_what_is_not_committed(subject: StreamSubject) -> None:
    stream = _filled(subject, 10, partitions=2)
    stream.produce(TOPIC, _lines(5), partition=1)
    assert stream.lag(GROUP, TOPIC) == 15
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(20)
        assert stream.lag(GROUP, TOPIC) == 15
        consumer.commit({0: Position(10), 1: Position(3)})
    assert stream.lag(GROUP, TOPIC) == 2


@CHECKS
def too_much_state_is_refused_and_nothing_committed(subject: StreamSubject) -> None:
    stream = _filled(subject, 2)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(1, "x" * 3072)})
        for metadata in ("x" * 3073, "é" * 1537, "nul\x00", "\udcff"):
            raised(DataError, partial(consumer.commit, {0: Position(2, metadata)}))
        assert consumer.committed() == {0: Position(1, "x" * 3072)}


@CHECKS
def two_members_cannot_own_one_partition(subject: StreamSubject) -> None:
    stream = _filled(subject, 2, partitions=2)
    with stream.consumer(GROUP, TOPIC, [0]):
        raised(ConflictError, lambda: _open(subject))
        with stream.consumer(GROUP, TOPIC, [1]) as other:
            assert other.partitions == (1,)
    _open(subject)


@CHECKS
def racing_members_leave_one_owner(subject: StreamSubject) -> None:
    stream = _filled(subject, 20)
    members = [stream.consumer(GROUP, TOPIC) for _ in range(4)]
    outcomes = together([member.__enter__ for member in members])
    owners = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
    assert len(owners) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 3
    members[owners[0]].__exit__(None, None, None)


@CHECKS
def a_commit_for_a_partition_of_somebody_else_is_refused(subject: StreamSubject) -> None:
    stream = _filled(subject, 2, partitions=2)
    with stream.consumer(GROUP, TOPIC, [0]) as consumer:
        wrong = {0: Position(1), 1: Position(1)}
        raised(ConflictError, lambda: consumer.commit(wrong))
        assert consumer.committed() == {0: Position(0)}


@CHECKS
def a_member_that_lost_its_partition_cannot_commit(subject: StreamSubject) -> None:
    stream = _filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as zombie:
        zombie.poll(10)
        subject.expel(GROUP, TOPIC)
        with stream.consumer(GROUP, TOPIC) as successor:
            successor.poll(3)
            successor.commit({0: Position(3)})
            raised(ConflictError, lambda: zombie.commit({0: Position(10)}))
            assert successor.committed() == {0: Position(3)}


@CHECKS
def a_crash_between_index_and_commit_replays_exactly_the_uncommitted_lines(
    subject: StreamSubject,
) -> None:
    stream = _filled(subject, 50)
    subject.index.ensure(IndexSpec("anomalies", {"offset": "long"}))
    created, already_there = 0, 0
    for crashes in (True, True, False):
        with stream.consumer(GROUP, TOPIC) as consumer:
            start = consumer.committed()[0].offset
            first = True
            while records := consumer.poll(10):
                assert not first or records[0].offset == start
                first = False
                outcome = subject.index.create("anomalies", [_scored(r) for r in records])
                created += outcome.created
                already_there += outcome.already_there
                if crashes and records[0].offset > start:
                    break  # the second batch is indexed, not committed
                consumer.commit({0: Position(records[-1].offset + 1)})
    assert (created, already_there) == (50, 20)
    assert subject.index.count("anomalies") == 50


def _scored(record: StreamRecord) -> Document:
    key = f"{record.topic}-{record.partition}-{record.offset}"
    return Document(key, {"offset": record.offset})


@CHECKS
def a_crash_before_indexing_loses_nothing(subject: StreamSubject) -> None:
    stream = _filled(subject, 9)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(9)  # and dies here
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert [record.offset for record in _drain(consumer)] == list(range(9))


@CHECKS
def state_and_offset_move_together(subject: StreamSubject) -> None:
    stream = _filled(subject, 100)
    total = 0
    for stop_after in (1, 2, 3, 99):
        with stream.consumer(GROUP, TOPIC) as consumer:
            position = consumer.committed()[0]
            total = int(position.metadata or 0)
            for _ in range(stop_after):
                records = consumer.poll(11)
                if not records:
                    break
                total += sum(record.offset for record in records)
                consumer.commit({0: Position(records[-1].offset + 1, str(total))})
            consumer.poll(5)  # read but never committed
    assert total == sum(range(100))


@CHECKS
def retention_drops_only_what_every_group_committed(subject: StreamSubject) -> None:
    stream = subject.stream
    stream.create_topic(TOPIC)
    assert subject.trim(TOPIC) == 0
    for _ in range(3):
        stream.produce(TOPIC, _lines(10))
    assert subject.trim(TOPIC) == 0, "a topic that nobody reads keeps everything"
    for group, offset in ((GROUP, 20), ("slow", 10)):
        with stream.consumer(group, TOPIC) as consumer:
            consumer.commit({0: Position(offset)})
    assert subject.trim(TOPIC) == 10
    for group, start in ((GROUP, 20), ("slow", 10), ("fresh", 10)):
        with stream.consumer(group, TOPIC) as consumer:
            offsets = [record.offset for record in _drain(consumer)]
        assert offsets == list(range(start, 30))
    assert stream.lag("unknown", TOPIC) == 20
    assert stream.produce(TOPIC, _lines(1)) == 30


@CHECKS
def lines_lost_to_retention_are_an_error_not_a_jump(subject: StreamSubject) -> None:
    stream = _filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(10)})
        subject.trim(TOPIC)
        consumer.commit({0: Position(2)})  # somebody rewinds
    with stream.consumer(GROUP, TOPIC) as consumer:
        raised(DataError, lambda: consumer.poll(5))
    stream.produce(TOPIC, _lines(5))
    with stream.consumer(GROUP, TOPIC) as consumer:
        raised(DataError, lambda: consumer.poll(5))


@CHECKS
def a_deleted_topic_starts_again_from_nothing(subject: StreamSubject) -> None:
    stream = _filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(10, "state")})
        stream.delete_topic(TOPIC)
        raised(ConflictError, lambda: consumer.commit({0: Position(10)}))
    stream.delete_topic(TOPIC)
    assert stream.create_topic(TOPIC) is True
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(0, "")}
        assert consumer.poll(5) == []


@CHECKS
def concurrent_producers_leave_no_gap_and_a_reader_skips_nothing(subject: StreamSubject) -> None:
    subject.stream.create_topic(TOPIC)
    n_producers, n_calls, size = 4, 12, 9
    total = n_producers * n_calls * size

    def produce(producer: int) -> None:
        for call in range(n_calls):
            value = b"%d %d" % (producer, call)
            subject.stream.produce(TOPIC, [Message(value)] * size)

    def read() -> list[StreamRecord]:
        seen: list[StreamRecord] = []
        with subject.stream.consumer(GROUP, TOPIC) as consumer:
            while len(seen) < total:
                seen += consumer.poll(25, timeout_s=5)
        return seen

    *done, seen = together([*(partial(produce, p) for p in range(n_producers)), read])
    assert done == [None] * n_producers
    assert isinstance(seen, list)
    assert [record.offset for record in seen] == list(range(total))
    for producer in range(n_producers):
        calls = [int(r.value.split()[1]) for r in seen if r.value.startswith(b"%d " % producer)]
        assert all(a <= b for a, b in pairwise(calls)), "a producer's own lines stay in order"
