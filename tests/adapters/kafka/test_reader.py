"""Reading with a scripted client: ends of partitions, errors, long lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from vigie.adapters.kafka.client import KafkaCluster
from vigie.adapters.kafka.reader import PIECE, KafkaReader
from vigie.errors import TransientError, VigieError
from vigie.stored_records import MAX_POLL_BYTES

TOPIC = "logs"


class Answer:
    """A message of the client: a record, the end of a partition, or an error."""

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


def end(partition: int, offset: int) -> Answer:
    return Answer(partition, offset, KafkaError._PARTITION_EOF)


class Client:
    """A client whose ``consume`` executes the next step: it calls a function and returns messages.

    The next ``consume`` returns the messages beyond the requested number.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[Callable[[], None], list[Answer]]] = []
        self.assigned: list[dict[int, int]] = []
        self.asked: list[int] = []

    def consume(self, most: int, timeout: float) -> list[Answer]:
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
    """Positions with scripted end offsets."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.trouble: VigieError | None = None

    def bounds(self, partition: int, wait_s: float) -> tuple[int, int]:
        if self.trouble is not None:
            raise self.trouble
        return 0, self.ends[partition]


@pytest.fixture
def reader() -> Any:
    found = KafkaReader(KafkaCluster("127.0.0.1:1", {}, 1.0), "g", TOPIC)
    found.client.close()
    found.client, found.positions = Client(), Bounds()  # type: ignore[assignment]
    return found


def nothing() -> None: ...


def places(records: list[Any]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in records]


def test_the_end_of_a_partition_counts_after_its_last_lines(reader: Any) -> None:
    reader.next = {0: 0}
    # Offset 2 is a transaction marker.
    reader.client.steps = [(nothing, [Answer(0, 0), Answer(0, 1), end(0, 3)])]
    reader.positions.ends = {0: 3}
    assert places(reader.poll(10)) == [(0, 0), (0, 1)]
    assert reader.next == {0: 3}
    assert reader.poll(10) == [], "the end of the log is not waited for"


def test_an_old_end_before_new_lines_does_not_set_the_position_back(reader: Any) -> None:
    reader.next = {0: 0}
    reader.client.steps = [(nothing, [end(0, 0), Answer(0, 0), Answer(0, 1)])]
    assert places(reader.poll(10)) == [(0, 0), (0, 1)]
    assert reader.next == {0: 2}


LOST = KafkaError._AUTO_OFFSET_RESET


def test_lines_that_came_with_an_error_are_read_again(reader: Any) -> None:
    reader.next = {0: 5, 1: 7}
    reader.client.steps = [(nothing, [end(1, 12), Answer(1, 7), Answer(1, 8), Answer(0, 5, LOST)])]
    reader.positions.trouble = TransientError("no answer about partition 0")
    with pytest.raises(TransientError, match="no answer about"):
        reader.poll(10)
    assert reader.next == {0: 5, 1: 7}, "nothing was returned"
    assert reader.client.assigned == [{0: 5, 1: 7}], "and the client reads from there again"
    reader.client.steps = [(nothing, [Answer(1, 7), Answer(1, 8), Answer(1, 9)])]
    assert places(reader.poll(10)) == [(1, 7), (1, 8), (1, 9)]


def test_lines_are_read_again_when_a_later_piece_fails(reader: Any) -> None:
    def fail() -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    reader.next = {0: 0}
    reader.client.steps = [(nothing, [Answer(0, n) for n in range(PIECE)]), (fail, [])]
    with pytest.raises(TransientError):
        reader.poll(1000)
    assert (reader.next, reader.client.assigned) == ({0: 0}, [{0: 0}])


def test_a_poll_of_long_lines_ends_early_and_the_next_continues(reader: Any) -> None:
    long = MAX_POLL_BYTES // PIECE + 1
    reader.next = {0: 0}
    reader.client.steps = [(nothing, [Answer(0, n, content=bytes(long)) for n in range(3 * PIECE)])]
    assert [len(reader.poll(1000)) for _ in range(3)] == [PIECE] * 3
    assert reader.next == {0: 3 * PIECE}


def test_short_lines_fill_a_poll_in_pieces(reader: Any) -> None:
    reader.next = {0: 0}
    reader.client.steps = [(nothing, [Answer(0, n) for n in range(200)])]
    assert len(reader.poll(150)) == 150
    assert max(reader.client.asked) <= PIECE
