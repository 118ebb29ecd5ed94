"""The contract of :class:`vigie.roles.LogStream` under crashes, retention and concurrency."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from vigie.errors import ConflictError, DataError
from vigie.records import Document, IndexSpec, Message, Position, StreamRecord
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.stream import GROUP, TOPIC, StreamSubject, drain, filled, lines

CHECKS = Contract()


@CHECKS
def after_a_crash_before_the_commit_the_uncommitted_lines_are_read_again(
    subject: StreamSubject,
) -> None:
    stream = filled(subject, 50)
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
                    break  # The second batch is indexed but not committed.
                consumer.commit({0: Position(records[-1].offset + 1)})
    assert (created, already_there) == (50, 20)
    assert subject.index.count("anomalies") == 50


def _scored(record: StreamRecord) -> Document:
    key = f"{record.topic}-{record.partition}-{record.offset}"
    return Document(key, {"offset": record.offset})


@CHECKS
def a_crash_before_indexing_loses_nothing(subject: StreamSubject) -> None:
    stream = filled(subject, 9)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(9)  # no commit, as in a crash
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert [record.offset for record in drain(consumer)] == list(range(9))


@CHECKS
def state_and_offset_move_together(subject: StreamSubject) -> None:
    stream = filled(subject, 100)
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
def retention_deletes_only_lines_that_every_group_committed(subject: StreamSubject) -> None:
    stream = subject.stream
    stream.create_topic(TOPIC)
    assert subject.trim(TOPIC) == 0
    for _ in range(3):
        stream.produce(TOPIC, lines(10))
    assert subject.trim(TOPIC) == 0, "a topic that no group reads keeps all its lines"
    for group, offset in ((GROUP, 20), ("slow", 10)):
        with stream.consumer(group, TOPIC) as consumer:
            consumer.commit({0: Position(offset)})
    assert subject.trim(TOPIC) == 10
    for group, start in ((GROUP, 20), ("slow", 10), ("fresh", 10)):
        with stream.consumer(group, TOPIC) as consumer:
            offsets = [record.offset for record in drain(consumer)]
        assert offsets == list(range(start, 30))
    assert stream.lag("unknown", TOPIC) == 20
    assert stream.produce(TOPIC, lines(1)) == 30


@CHECKS
def trim_keeps_lines_that_a_group_has_not_read(subject: StreamSubject) -> None:
    stream = filled(subject, 10)
    stream.produce(TOPIC, lines(10, start=10))
    for group, offset in ((GROUP, 20), ("slow", 10)):
        with stream.consumer(group, TOPIC) as consumer:
            consumer.commit({0: Position(offset)})
    assert stream.trim(TOPIC) in (0, 10)  # 0: a broker deletes lines only by retention
    assert stream.end_offsets(TOPIC) == {0: 20}
    assert (stream.lag(GROUP, TOPIC), stream.lag("slow", TOPIC)) == (0, 10)
    with stream.consumer("slow", TOPIC) as consumer:
        assert [record.offset for record in drain(consumer)] == list(range(10, 20))
    assert stream.trim("no-such-topic") == 0


@CHECKS
def lines_deleted_before_they_were_read_are_an_error(subject: StreamSubject) -> None:
    stream = filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(10)})
        subject.trim(TOPIC)
        consumer.commit({0: Position(2)})  # like a reset of the offset
    with stream.consumer(GROUP, TOPIC) as consumer:
        raised(DataError, lambda: consumer.poll(5))
    stream.produce(TOPIC, lines(5))
    with stream.consumer(GROUP, TOPIC) as consumer:
        raised(DataError, lambda: consumer.poll(5))


@CHECKS
def a_group_can_be_moved_past_lost_lines(subject: StreamSubject) -> None:
    stream = filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(10)})
        subject.trim(TOPIC)
        consumer.commit({0: Position(2, "state")})  # like a reset of the offset
    stream.produce(TOPIC, lines(5))
    assert (stream.first_offsets(TOPIC), stream.end_offsets(TOPIC)) == ({0: 10}, {0: 15})
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(10, consumer.committed()[0].metadata)})
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(10, "state")}
        assert [record.offset for record in drain(consumer)] == list(range(10, 15))


@CHECKS
def a_recreated_topic_is_empty(subject: StreamSubject) -> None:
    stream = filled(subject, 10)
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
def offsets_of_concurrent_producers_have_no_gaps(subject: StreamSubject) -> None:
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
