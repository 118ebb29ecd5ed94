"""Convert Kafka messages to stream records, and consumer state to offset metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vigie.records import StreamRecord

if TYPE_CHECKING:
    from confluent_kafka import Message

_MARK = "v1"
_NO_HEADERS: Mapping[str, str] = {}
_UNREADABLE: Mapping[str, str] = {"headers_unreadable": "the key of a header is not UTF-8"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253_370_764_800_000  # start of 9999, the last year of a datetime


def records_of(topic: str, messages: Sequence[Message]) -> list[StreamRecord]:
    """Convert the messages of a topic to records; a tombstone (no value) is an empty line.

    A missing or invalid timestamp becomes 1970-01-01. Timestamps from the year 9999 on are invalid:
    the producer wrote micro- or nanoseconds.
    """
    instants: dict[int, datetime] = {}
    found: list[StreamRecord] = []
    for message in messages:
        ms = message.timestamp()[1]
        at = instants.get(ms)
        if at is None:
            at = instants[ms] = _instant(ms)
        value, headers = message.value() or b"", _headers_of(message)
        found.append(StreamRecord(topic, message.partition(), message.offset(), value, headers, at))
    return found


def _headers_of(message: Message) -> Mapping[str, str]:
    """Return the decoded headers of a message, or a marker if the client cannot decode them.

    Without the marker, no group could read past a message that has a header with an invalid key.
    """
    try:
        pairs = message.headers()
    except (SystemError, UnicodeDecodeError):
        return _UNREADABLE
    return {key: _text(value) for key, value in pairs} if pairs else _NO_HEADERS


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC) if 0 <= ms < _LATEST_MS else _EPOCH


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "backslashreplace")


def pack(token: str, state: str) -> str:
    """Encode the token and the state of a consumer as offset metadata.

    Examples
    --------
    >>> unpack(pack("5f0c", '{"n": 3}'))
    ('5f0c', '{"n": 3}')
    """
    return f"{_MARK} {token} {state}"


def unpack(metadata: str | None) -> tuple[str, str]:
    """Decode offset metadata into token and state; the token is empty unless vigie committed.

    Examples
    --------
    >>> unpack(None), unpack("reset by hand")
    (('', ''), ('', 'reset by hand'))
    """
    mark, _, rest = (metadata or "").partition(" ")
    if mark != _MARK:
        return "", metadata or ""
    token, _, state = rest.partition(" ")
    return token, state
