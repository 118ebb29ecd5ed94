"""Spans of an anomaly index that have anomalies without an incident.

``score_stream`` marks the earliest anomaly of a batch *before* it commits the batch;
``group_incidents`` marks the spans that it has grouped. Each key has one writer, so neither
overwrites the other. A crash leaves a mark that makes the next run look again, which changes
nothing if there is nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys

if TYPE_CHECKING:
    from vigie.roles import LogStream, StateStore


@dataclass(frozen=True, slots=True)
class PendingSpan:
    """Anomalies of one partition from ``since`` on (ISO 8601, UTC), at its change ``number``."""

    index: str
    topic: str
    partition: int
    since: str
    number: int


def mark_pending(state: StateStore, index: str, topic: str, partition: int, since: str) -> None:
    """Mark the anomalies of a partition from ``since`` on as not grouped."""
    key = state_keys.pending_incidents(index, topic, partition)
    known = state.get(key) or {}
    number = int(known.get("number", 0))
    if number > _grouped(state, index, topic, partition):
        since = min(since, str(known["since"]))
    state.put(key, {"since": since, "number": number + 1})


def pending_spans(
    state: StateStore, stream: LogStream, index: str, topic: str
) -> list[PendingSpan]:
    """Return the spans that no ``group_incidents`` has grouped."""
    spans: list[PendingSpan] = []
    for partition in range(stream.partitions(topic)):
        known = state.get(state_keys.pending_incidents(index, topic, partition))
        if known and int(known["number"]) > _grouped(state, index, topic, partition):
            since, number = str(known["since"]), int(known["number"])
            spans.append(PendingSpan(index, topic, partition, since, number))
    return spans


def mark_grouped(state: StateStore, spans: list[PendingSpan]) -> None:
    """Mark spans as grouped; later changes of the same partitions stay pending."""
    for span in spans:
        key = state_keys.grouped_incidents(span.index, span.topic, span.partition)
        state.put(key, {"number": span.number})


def _grouped(state: StateStore, index: str, topic: str, partition: int) -> int:
    done = state.get(state_keys.grouped_incidents(index, topic, partition))
    return int((done or {}).get("number", 0))
