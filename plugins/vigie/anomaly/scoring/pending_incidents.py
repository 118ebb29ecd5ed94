"""Time spans of an anomaly index whose anomalies are not grouped into incidents yet.

``score_stream`` marks each partition's earliest anomaly *before* it commits a batch;
``group_incidents`` marks the spans that it has grouped. Each function writes only its own state
keys. After a crash, a span that was already grouped may be grouped again, which changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys

if TYPE_CHECKING:
    from vigie.roles import LogStream, StateStore


@dataclass(frozen=True, slots=True)
class PendingSpan:
    """Time span of a partition that starts at ``since`` (ISO 8601, UTC) and has no end.

    ``number`` counts how often the partition was marked as not grouped.
    """

    index: str
    topic: str
    partition: int
    since: str
    number: int


def mark_pending(state: StateStore, index: str, topic: str, partition: int, since: str) -> None:
    """Mark the anomalies of a partition as not grouped, starting at ``since``."""
    key = state_keys.pending_incidents(index, topic, partition)
    known = state.get(key) or {}
    number = int(known.get("number", 0))
    if number > _grouped(state, index, topic, partition):
        since = min(since, str(known["since"]))
    state.put(key, {"since": since, "number": number + 1})


def pending_spans(
    state: StateStore, stream: LogStream, index: str, topic: str
) -> list[PendingSpan]:
    """Return the spans of a topic that are not grouped yet."""
    spans: list[PendingSpan] = []
    for partition in range(stream.partitions(topic)):
        known = state.get(state_keys.pending_incidents(index, topic, partition))
        if known and int(known["number"]) > _grouped(state, index, topic, partition):
            since, number = str(known["since"]), int(known["number"])
            spans.append(PendingSpan(index, topic, partition, since, number))
    return spans


def mark_grouped(state: StateStore, spans: list[PendingSpan]) -> None:
    """Mark spans as grouped; a partition that was marked again in the meantime stays pending."""
    for span in spans:
        key = state_keys.grouped_incidents(span.index, span.topic, span.partition)
        state.put(key, {"number": span.number})


def _grouped(state: StateStore, index: str, topic: str, partition: int) -> int:
    done = state.get(state_keys.grouped_incidents(index, topic, partition))
    return int((done or {}).get("number", 0))
