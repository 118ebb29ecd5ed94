"""A reader whose library does what a test says: partitions that go in the middle of a read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from vigie.adapters.kafka.client import KafkaCluster
from vigie.adapters.kafka.pieces import PIECE
from vigie.adapters.kafka.reader import KafkaReader
from vigie.errors import TransientError, VigieError
from vigie.stored_records import MAX_POLL_BYTES

TOPIC = "logs"


class Told:
    """What librdkafka hands out: a line, the end of a partition, or trouble."""

    def __init__(
        self, partition: int, offset: int, error: int | None = None, content: bytes = b"line"
    ) -> None:
        self._place, self._content = (partition, offset), content
        self._error = None if error is None else KafkaError(error)

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def error(self) -> KafkaError | None:
        return self._error

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def headers(self) -> None:
        return None

    def value(self) -> bytes:
        return self._content


def end(partition: int, offset: int) -> Told:
    return Told(partition, offset, KafkaError._PARTITION_EOF)


class Client:
    """Answers each ``consume`` with the next step: messages, after what happens meanwhile.

    What it is not asked for waits for the next ``consume``.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[Callable[[], None], list[Told]]] = []
        self.assigned: list[dict[int, int]] = []
        self.asked: list[int] = []

    def consume(self, most: int, timeout: float) -> list[Told]:
        self.asked.append(most)
        if not self.steps:
            return []
        happens, messages = self.steps.pop(0)
        happens()
        if messages[most:]:
            self.steps.insert(0, (nothing, messages[most:]))
        return messages[:most]

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned.append({place.partition: place.offset for place in places})


class Bounds:
    """The log's ends; positions of the group are not asked for here."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.trouble: VigieError | None = None

    def bounds(self, partition: int, wait_s: float) -> tuple[int, int]:
        if self.trouble is not None:
            raise self.trouble
        return 0, self.ends[partition]


@pytest.fixture
def reader() -> Any:
    found = KafkaReader(KafkaCluster("127.0.0.1:1", {}, 1.0), "g", TOPIC, "t")
    found.client.close()
    found.client, found.positions = Client(), Bounds()  # type: ignore[assignment]
    return found


def nothing() -> None: ...


def places(records: list[Any]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in records]


def test_a_line_of_a_partition_that_went_within_the_poll_is_not_handed_out(reader: Any) -> None:
    reader.own({0: 5, 1: 7})
    reader.positions.ends = {0: 5, 1: 7}
    reader.client.steps = [
        (nothing, []),
        (nothing, [Told(1, 7)]),
        (lambda: reader.own({0: 5}), [Told(0, 5)]),
    ]
    reader.positions.ends = {0: 5, 1: 7}
    assert places(reader.poll(10, timeout_s=0.5)) == []
    assert reader.next == {0: 5}, "what went does not come back"
    assert reader.client.assigned == [{0: 5}], "line 0/5 was dropped, and is read again"


def test_lines_before_and_after_a_rebalance_are_not_mixed(reader: Any) -> None:
    reader.own({0: 20})
    reader.client.steps = [
        (lambda: reader.own({0: 10}), [Told(0, 20), Told(0, 21)]),
        (nothing, [Told(0, 10), Told(0, 11)]),
    ]
    reader.positions.ends = {0: 22}
    assert places(reader.poll(10)) == [(0, 10), (0, 11)]
    assert reader.client.assigned == [{0: 10}]
    assert reader.next == {0: 12}


def test_an_end_that_comes_with_its_last_lines_counts_after_them(reader: Any) -> None:
    reader.own({0: 0})
    reader.client.steps = [(nothing, [Told(0, 0), Told(0, 1), end(0, 3)])]  # 2 is a marker
    reader.positions.ends = {0: 3}
    assert places(reader.poll(10)) == [(0, 0), (0, 1)]
    assert reader.next == {0: 3}
    assert reader.poll(10) == [], "nothing is waited for"


def test_an_old_end_before_new_lines_does_not_set_the_position_back(reader: Any) -> None:
    reader.own({0: 0})
    reader.client.steps = [(nothing, [end(0, 0), Told(0, 0), Told(0, 1)])]
    assert places(reader.poll(10)) == [(0, 0), (0, 1)]
    assert reader.next == {0: 2}


LOST = KafkaError._AUTO_OFFSET_RESET


def test_lines_that_came_with_a_trouble_are_read_again(reader: Any) -> None:
    reader.own({0: 5, 1: 7})
    reader.client.steps = [(nothing, [end(1, 12), Told(1, 7), Told(1, 8), Told(0, 5, LOST)])]
    reader.positions.trouble = TransientError("nobody tells the bounds of partition 0")
    with pytest.raises(TransientError, match="nobody tells"):
        reader.poll(10)
    assert reader.next == {0: 5, 1: 7}, "nothing was handed out"
    assert reader.client.assigned == [{0: 5, 1: 7}], "and the library begins there again"
    reader.client.steps = [(nothing, [Told(1, 7), Told(1, 8), Told(1, 9)])]
    assert places(reader.poll(10)) == [(1, 7), (1, 8), (1, 9)]


def test_lines_are_read_again_when_a_later_piece_fails(reader: Any) -> None:
    def fail() -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    reader.own({0: 0})
    reader.client.steps = [(nothing, [Told(0, n) for n in range(PIECE)]), (fail, [])]
    with pytest.raises(TransientError):
        reader.poll(1000)
    assert (reader.next, reader.client.assigned) == ({0: 0}, [{0: 0}])


def test_a_poll_of_long_lines_ends_early_and_the_next_goes_on(reader: Any) -> None:
    long = MAX_POLL_BYTES // PIECE + 1
    reader.own({0: 0})
    reader.client.steps = [(nothing, [Told(0, n, content=bytes(long)) for n in range(3 * PIECE)])]
    assert [len(reader.poll(1000)) for _ in range(3)] == [PIECE] * 3
    assert reader.next == {0: 3 * PIECE}


def test_short_lines_fill_a_poll_in_pieces(reader: Any) -> None:
    reader.own({0: 0})
    reader.client.steps = [(nothing, [Told(0, n) for n in range(200)])]
    assert len(reader.poll(150)) == 150
    assert max(reader.client.asked) <= PIECE
