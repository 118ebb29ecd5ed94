"""Copies of dead letters for other readers of the stream, as Kafka's users expect them."""

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
"""A record, the kind of what is wrong with it, and a sentence."""

log = logging.getLogger(__name__)

_REASON_LIMIT = 500


def publish_copies(stream: LogStream, topic: str, dead: Sequence[DeadRecord]) -> None:
    """Write each record, byte for byte, to the dead-letter topic; created if it is not there.

    Of one that is too large for the topic a copy of its start is written, without its own headers;
    ``original_length`` and ``sha256`` tell of the whole, which the index keeps.

    The headers say why (``kind``, ``reason``) and from where (``topic``, ``partition``,
    ``offset``); the record's own follow. A batch that is repeated after a crash is written again:
    the coordinates tell a reader what is double; the documents of the index are not.
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
    """Write as much of a record as the topic takes: a batch never fails for a copy."""
    for copy in _copies(*dead):
        try:
            stream.produce(topic, [copy])
        except RefusedMessageError as exc:
            if not exc.is_too_large:
                raise
            problem = exc
        else:
            return
    log.warning("no copy of a dead letter, which the index keeps, fits %s: %s", topic, problem)


def _copies(record: StreamRecord, kind: str, reason: str) -> Iterator[Message]:
    """Yield the whole record, then shorter and shorter copies of it."""
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
