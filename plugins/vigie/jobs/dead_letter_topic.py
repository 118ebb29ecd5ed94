"""Copies of dead letters for other readers of the stream, as Kafka's users expect them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vigie.records import Message, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import LogStream

DeadRecord = tuple[StreamRecord, str, str]
"""A record, the kind of what is wrong with it, and a sentence."""

_REASON_LIMIT = 500


def bury_copies(stream: LogStream, topic: str, dead: Sequence[DeadRecord]) -> None:
    """Write each record, byte for byte, to the dead-letter topic; created if it is not there.

    The headers say why (``kind``, ``reason``) and from where (``topic``, ``partition``,
    ``offset``); the record's own follow. A batch that is repeated after a crash is written again:
    the coordinates tell a reader what is double; the documents of the index are not.
    """
    stream.create_topic(topic)
    stream.produce(topic, [_copy(*each) for each in dead])


def _copy(record: StreamRecord, kind: str, reason: str) -> Message:
    why = {"kind": kind, "reason": reason[:_REASON_LIMIT]}
    place = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
    }
    return Message(record.value, {**record.headers, **why, **place})
