"""Which span of an anomaly index has anomalies that no incident covers yet.

``score_stream`` notes the earliest anomaly of a batch *before* it commits the batch;
``group_incidents`` notes which of these notes it has worked off. Each key has one writer, so
neither overwrites the other; a crash anywhere leaves a note that makes the next run look again,
which changes nothing if there is nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True)
class DirtySpan:
    """One partition's note: anomalies from ``since`` on (ISO 8601, UTC), the ``number``-th
    change."""

    index: str
    topic: str
    partition: int
    since: str
    number: int


def mark_dirty(services: Services, index: str, topic: str, partition: int, since: str) -> None:
    """Note that a partition's anomalies from ``since`` on are to be grouped."""
    key = state_keys.pending_incidents(index, topic, partition)
    known = services.state.get(key) or {}
    number = int(known.get("number", 0))
    if number > _done(services, index, topic, partition):
        since = min(since, str(known["since"]))
    services.state.put(key, {"since": since, "number": number + 1})


def dirty_spans(services: Services, index: str, topic: str) -> list[DirtySpan]:
    """Return the notes that no ``group_incidents`` has worked off."""
    spans: list[DirtySpan] = []
    for partition in range(services.stream.partitions(topic)):
        known = services.state.get(state_keys.pending_incidents(index, topic, partition))
        if known and int(known["number"]) > _done(services, index, topic, partition):
            since, number = str(known["since"]), int(known["number"])
            spans.append(DirtySpan(index, topic, partition, since, number))
    return spans


def mark_grouped(services: Services, spans: list[DirtySpan]) -> None:
    """Note that these are worked off; later changes of the same partitions are not."""
    for span in spans:
        key = state_keys.grouped_incidents(span.index, span.topic, span.partition)
        services.state.put(key, {"number": span.number})


def _done(services: Services, index: str, topic: str, partition: int) -> int:
    done = services.state.get(state_keys.grouped_incidents(index, topic, partition))
    return int((done or {}).get("number", 0))
