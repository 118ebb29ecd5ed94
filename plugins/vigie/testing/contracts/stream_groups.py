"""The contract of :class:`vigie.roles.StreamConsumer`: positions, state, leases."""

from __future__ import annotations

from functools import partial

from vigie.errors import ConflictError, DataError
from vigie.records import Position
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.stream import (
    GROUP,
    TOPIC,
    StreamSubject,
    drain,
    filled,
    lines,
    open_once,
)

CHECKS = Contract()


@CHECKS
def a_new_group_starts_at_the_oldest_line(subject: StreamSubject) -> None:
    stream = filled(subject, 3)
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(0, "")}


@CHECKS
def the_next_consumer_starts_at_the_committed_position(subject: StreamSubject) -> None:
    stream = filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(10)
        consumer.commit({0: Position(4, '{"mean": 1.5}')})
        assert consumer.committed() == {0: Position(4, '{"mean": 1.5}')}
    with stream.consumer(GROUP, TOPIC) as consumer:
        assert consumer.committed() == {0: Position(4, '{"mean": 1.5}')}
        assert [record.offset for record in drain(consumer)] == list(range(4, 10))


@CHECKS
def groups_have_independent_positions(subject: StreamSubject) -> None:
    stream = filled(subject, 4)
    with stream.consumer(GROUP, TOPIC) as one, stream.consumer("other", TOPIC) as other:
        one.poll(4)
        one.commit({0: Position(4)})
        assert other.committed() == {0: Position(0)}
        assert len(other.poll(9)) == 4
    assert (stream.lag(GROUP, TOPIC), stream.lag("other", TOPIC)) == (0, 4)


@CHECKS
def lag_counts_the_uncommitted_lines(subject: StreamSubject) -> None:
    stream = filled(subject, 10, partitions=2)
    stream.produce(TOPIC, lines(5), partition=1)
    assert stream.lag(GROUP, TOPIC) == 15
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.poll(20)
        assert stream.lag(GROUP, TOPIC) == 15
        consumer.commit({0: Position(10), 1: Position(3)})
    assert stream.lag(GROUP, TOPIC) == 2
    assert stream.lags(GROUP, TOPIC) == {0: 0, 1: 2}
    assert stream.lags(GROUP, "no-such-topic") == {}


@CHECKS
def too_much_state_is_refused_and_nothing_committed(subject: StreamSubject) -> None:
    stream = filled(subject, 2)
    with stream.consumer(GROUP, TOPIC) as consumer:
        consumer.commit({0: Position(1, "x" * 3072)})
        for metadata in ("x" * 3073, "é" * 1537, "nul\x00", "\udcff"):
            raised(DataError, partial(consumer.commit, {0: Position(2, metadata)}))
        assert consumer.committed() == {0: Position(1, "x" * 3072)}


@CHECKS
def two_consumers_cannot_hold_one_partition(subject: StreamSubject) -> None:
    stream = filled(subject, 2, partitions=2)
    with stream.consumer(GROUP, TOPIC, [0]):
        raised(ConflictError, lambda: open_once(subject))
        raised(ConflictError, lambda: stream.consumer(GROUP, TOPIC, [0], 0.0).__enter__())
        with stream.consumer(GROUP, TOPIC, [1], 0.0) as other:
            assert other.partitions == (1,)
    open_once(subject)


@CHECKS
def one_of_several_racing_consumers_gets_the_lease(subject: StreamSubject) -> None:
    stream = filled(subject, 20)
    members = [stream.consumer(GROUP, TOPIC) for _ in range(4)]
    outcomes = together([member.__enter__ for member in members])
    owners = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
    assert len(owners) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 3
    members[owners[0]].__exit__(None, None, None)


@CHECKS
def a_commit_for_a_partition_without_a_lease_is_refused(subject: StreamSubject) -> None:
    stream = filled(subject, 2, partitions=2)
    with stream.consumer(GROUP, TOPIC, [0]) as consumer:
        wrong = {0: Position(1), 1: Position(1)}
        raised(ConflictError, lambda: consumer.commit(wrong))
        assert consumer.committed() == {0: Position(0)}


@CHECKS
def a_consumer_that_lost_its_lease_cannot_commit(subject: StreamSubject) -> None:
    stream = filled(subject, 10)
    with stream.consumer(GROUP, TOPIC) as zombie:
        zombie.poll(10)
        subject.expel(GROUP, TOPIC)
        with stream.consumer(GROUP, TOPIC) as successor:
            successor.poll(3)
            successor.commit({0: Position(3)})
            raised(ConflictError, lambda: zombie.commit({0: Position(10)}))
            assert successor.committed() == {0: Position(3)}
