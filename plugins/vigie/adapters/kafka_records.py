"""Kafka's messages as our records, and consumer state as offset metadata; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vigie.records import StreamRecord

if TYPE_CHECKING:
    from confluent_kafka import Message

_MARK = "v1"
_NO_HEADERS: Mapping[str, str] = {}


def records_of(topic: str, messages: Sequence[Message]) -> list[StreamRecord]:
    """Decode messages of one topic; a missing value (a tombstone) is an empty line."""
    instants: dict[int, datetime] = {}
    found: list[StreamRecord] = []
    for message in messages:
        ms = message.timestamp()[1]
        at = instants.get(ms)
        if at is None:
            at = instants[ms] = datetime.fromtimestamp(max(ms, 0) / 1000, UTC)
        pairs = message.headers()
        headers = {key: _text(value) for key, value in pairs} if pairs else _NO_HEADERS
        value = message.value() or b""
        found.append(StreamRecord(topic, message.partition(), message.offset(), value, headers, at))
    return found


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "backslashreplace")


def pack(token: str, state: str) -> str:
    """Return offset metadata: who committed, and the consumer's state.

    Examples
    --------
    >>> unpack(pack("5f0c", '{"n": 3}'))
    ('5f0c', '{"n": 3}')
    """
    return f"{_MARK} {token} {state}"


def unpack(metadata: str | None) -> tuple[str, str]:
    """Return token and state; what another tool committed has no token.

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
