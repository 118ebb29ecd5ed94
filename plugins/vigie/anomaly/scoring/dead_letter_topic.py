"""Publish copies of dead letters to a topic, for other consumers of the stream."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vigie.dead_letters.letters import TRUNCATED_SIZES
from vigie.errors import RefusedMessageError
from vigie.records import Message, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import LogStream

DeadRecord = tuple[StreamRecord, str, str]
"""A record, the kind of its error, and the reason."""

log = logging.getLogger(__name__)

_REASON_LIMIT = 500


def publish_copies(stream: LogStream, topic: str, dead: Sequence[DeadRecord]) -> None:
    """Write each record, byte for byte, to the dead-letter topic; create the topic if missing.

    A copy has the headers of the record, and ``kind``, ``reason`` and the coordinates ``topic``,
    ``partition`` and ``offset``. If a record is too large for the topic, the value of the copy is
    truncated, and ``original_length`` and ``sha256`` replace the record's own headers. A record
    that the topic does not accept even without its value is logged and not copied.
    This does not affect the dead letter in the index.

    After a crash, the copies of the repeated batch are published again. A consumer can recognise
    duplicates by their coordinates.
    """
    stream.create_topic(topic)
    try:
        stream.produce(topic, [_copy(*each) for each in dead])
    except RefusedMessageError as exc:
        if not exc.is_too_large:
            raise
        for each in dead[exc.first :]:
            _publish_alone(stream, topic, each)


def _publish_alone(stream: LogStream, topic: str, dead: DeadRecord) -> None:
    """Write as much of a record as the topic accepts; log a warning if it accepts nothing."""
    for copy in _copies(*dead):
        try:
            stream.produce(topic, [copy])
        except RefusedMessageError as exc:
            if not exc.is_too_large:
                raise
            problem = exc
        else:
            return
    log.warning("topic %s refused a dead letter; only the index contains it: %s", topic, problem)


def _copies(record: StreamRecord, kind: str, reason: str) -> Iterator[Message]:
    """Yield a copy of the whole record, then a copy for each of ``TRUNCATED_SIZES``."""
    yield _copy(record, kind, reason)
    whole = {
        "original_length": str(len(record.value)),
        "sha256": hashlib.sha256(record.value).hexdigest(),
    }
    for size in TRUNCATED_SIZES:
        yield Message(record.value[:size], {**_about(record, kind, reason), **whole})


def _copy(record: StreamRecord, kind: str, reason: str) -> Message:
    return Message(record.value, {**record.headers, **_about(record, kind, reason)})


def _about(record: StreamRecord, kind: str, reason: str) -> dict[str, str]:
    why = {"kind": kind, "reason": reason[:_REASON_LIMIT]}
    place = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
    }
    return {**why, **place}
