"""Which span of an anomaly index has anomalies that no incident covers yet.

``score_stream`` notes the earliest anomaly of a batch *before* it commits the batch;
``group_incidents`` notes which of these notes it has worked off. Each key has one writer, so
neither overwrites the other; a crash anywhere leaves a note that makes the next run look again,
which changes nothing if there is nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    key = _key(index, topic, partition)
    known = services.state.get(key) or {}
    number = int(known.get("number", 0))
    if number > _done(services, key):
        since = min(since, str(known["since"]))
    services.state.put(key, {"since": since, "number": number + 1})


def dirty_spans(services: Services, index: str, topic: str) -> list[DirtySpan]:
    """Return the notes that no ``group_incidents`` has worked off."""
    spans: list[DirtySpan] = []
    for partition in range(services.stream.partitions(topic)):
        key = _key(index, topic, partition)
        known = services.state.get(key)
        if known and int(known["number"]) > _done(services, key):
            since, number = str(known["since"]), int(known["number"])
            spans.append(DirtySpan(index, topic, partition, since, number))
    return spans


def mark_grouped(services: Services, spans: list[DirtySpan]) -> None:
    """Note that these are worked off; later changes of the same partitions are not."""
    for span in spans:
        key = _key(span.index, span.topic, span.partition)
        services.state.put(f"{key}:done", {"number": span.number})


def _key(index: str, topic: str, partition: int) -> str:
    return f"incidents:{index}:{topic}:{partition}"


def _done(services: Services, key: str) -> int:
    return int((services.state.get(f"{key}:done") or {}).get("number", 0))
