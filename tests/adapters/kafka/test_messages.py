"""Conversion of Kafka messages that other producers wrote to stream records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from vigie.adapters.kafka.messages import records_of
from vigie.records import StreamRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON_MS = 1_795_262_400_000


class Foreign:
    """A fake of confluent-kafka's message, as another producer could have written it."""

    def __init__(self, ms: int = NOON_MS, value: bytes | None = b"x", headers: Any = None) -> None:
        self.ms, self.content, self.pairs = ms, value, headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self.ms

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> Any:
        if isinstance(self.pairs, Exception):
            raise self.pairs
        return self.pairs


def record_of(**fields: Any) -> StreamRecord:
    (found,) = records_of("logs", [Foreign(**fields)])  # type: ignore[list-item]
    return found


def test_a_timestamp_in_milliseconds_is_the_time_of_the_record() -> None:
    assert record_of().timestamp == datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize("ms", [NOON_MS * 1000, NOON_MS * 10**6, 2**63 - 1, -1, -(2**63), 10**15])
def test_an_invalid_timestamp_becomes_the_epoch(ms: int) -> None:
    """Some producers write micro- or nanoseconds instead of milliseconds."""
    assert record_of(ms=ms).timestamp == EPOCH


def test_a_tombstone_is_an_empty_line() -> None:
    assert record_of(value=None).value == b""


def test_headers_of_other_producers_are_decoded() -> None:
    pairs = [("a", None), ("b", b"\xff\x00"), ("a", b"last")]
    assert record_of(headers=pairs).headers == {"a": "last", "b": "\\xff\x00"}


@pytest.mark.parametrize(
    "trouble", [SystemError("headers"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")]
)
def test_headers_that_the_client_cannot_decode_lose_no_line(trouble: Exception) -> None:
    found = record_of(headers=trouble)
    assert (found.value, found.offset) == (b"x", 7)
    assert found.headers == {"headers_unreadable": "the key of a header is not UTF-8"}
