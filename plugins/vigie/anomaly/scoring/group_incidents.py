"""Group anomalies into incidents: one per template and window of ten minutes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vigie.anomaly.scoring.pending_incidents import mark_grouped, pending_spans
from vigie.catalogue import INCIDENTS_WRITTEN
from vigie.encoding import clean, digest
from vigie.errors import DataError
from vigie.records import Document, IndexSpec, JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import LogIndex, Services

log = logging.getLogger(__name__)

WINDOW = timedelta(minutes=10)
"""Length of a window. Windows start at fixed times, so a late line never merges two incidents."""

MAX_SOURCES = 20

INCIDENTS = IndexSpec(
    "vigie-incidents",
    {
        "@timestamp": "date",  # of the first line
        "window_start": "date",
        "last_seen": "date",
        "index": "keyword",
        "template": "keyword",
        "n_lines": "integer",
        "max_score": "float",
        "sources": "keyword",
        "example": "text",
        "example_id": "keyword",
        "top_tokens": "keyword",
        "detector": "keyword",
        "model_version": "integer",
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsResult(JobResult):
    """Numbers of incidents from the window of ``since`` on, and of those that were written."""

    incidents: int
    written: int
    since: str | None  # time of the earliest new anomaly


def group_incidents(services: Services, *, topic: str, index: str) -> IncidentsResult:
    """Write one incident per template and ten-minute window.

    The first window is that of the earliest new anomaly. A stored incident that differs is deleted
    and written again under the same id. Anomalies stay pending until their incidents are written.
    After a crash between these steps, the next call therefore writes the missing incident.
    """
    services.index.ensure(INCIDENTS)
    with services.locks.hold(f"incidents:{index}", wait_s=30.0):
        spans = pending_spans(services.state, services.stream, index, topic)
        since = min((span.since for span in spans), default=None)
        found = _incidents(services.index, index, since) if since else []
        written = _write(services.index, found)
        mark_grouped(services.state, spans)
    log.info("%d incidents since %s, %d written", len(found), since, written)
    return IncidentsResult(
        incidents=len(found),
        written=written,
        since=since,
        metrics=[Sample(INCIDENTS_WRITTEN, float(written))],
    )


def _incidents(log_index: LogIndex, index: str, since: str) -> list[Document]:
    start = window_start(datetime.fromisoformat(since))
    return group(index, log_index.scan(index, since=start))


def _write(log_index: LogIndex, incidents: list[Document]) -> int:
    changed = [
        incident
        for incident in incidents
        if not _is_same(log_index.get(INCIDENTS.name, incident.id), incident)
    ]
    log_index.delete(INCIDENTS.name, [incident.id for incident in changed])
    outcome = log_index.create(INCIDENTS.name, changed)
    if outcome.rejected:
        raise DataError(f"the index refused an incident: {outcome.rejected[0].reason}")
    return len(changed)


def _is_same(stored: dict[str, object] | None, incident: Document) -> bool:
    return stored is not None and stored == clean(dict(incident.body))


def window_start(at: datetime) -> datetime:
    """Return the start of the window that contains an instant.

    Examples
    --------
    >>> window_start(datetime(2026, 11, 21, 10, 19, 59, tzinfo=UTC)).isoformat()
    '2026-11-21T10:10:00+00:00'
    """
    return at - (at - datetime.min.replace(tzinfo=UTC)) % WINDOW


def group(index: str, documents: Iterable[Document]) -> list[Document]:
    """Group the anomalies among documents, which must be sorted by time, into incidents.

    The id of an incident is a digest of index, template and window. Later lines with the same
    template and window therefore extend the same incident.
    """
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        body = document.body
        if body.get("is_anomaly") is not True:
            continue
        start = window_start(datetime.fromisoformat(str(body["@timestamp"])))
        key = digest(index, str(body["template"]), start.isoformat())
        if key not in found:
            found[key] = _first(index, start, document)
        _add(found[key], document.id, body)
    return [Document(key, incident) for key, incident in found.items()]


def _first(index: str, start: datetime, document: Document) -> dict[str, Any]:
    body = document.body
    copied = ("@timestamp", "template", "detector", "model_version")
    return {
        **{field: body.get(field) for field in copied},
        "window_start": start.isoformat(),
        "index": index,
        "n_lines": 0,
        "max_score": None,
        "sources": [],
    }


def _add(incident: dict[str, Any], document_id: str, body: Mapping[str, Any]) -> None:
    incident["n_lines"] += 1
    incident["last_seen"] = body["@timestamp"]
    source = body.get("source")
    if source and source not in incident["sources"] and len(incident["sources"]) < MAX_SOURCES:
        incident["sources"].append(source)
    score = body.get("anomaly_score")
    if incident["max_score"] is None or (score is not None and score > incident["max_score"]):
        incident |= {"max_score": score, "example": body.get("message"), "example_id": document_id}
        incident["top_tokens"] = body.get("top_tokens") or []
