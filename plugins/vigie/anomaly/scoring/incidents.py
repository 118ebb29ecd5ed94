"""Incidents: the anomalies of one template within the same ten minutes, as one document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from vigie.encoding import digest
from vigie.records import Document, IndexSpec

WINDOW = timedelta(minutes=10)
"""Windows are fixed, not gaps between lines: a line that arrives late changes one incident and
merges none."""

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


def window_start(at: datetime) -> datetime:
    """Return the start of the window that an instant falls into.

    Examples
    --------
    >>> window_start(datetime(2026, 11, 21, 10, 19, 59, tzinfo=UTC)).isoformat()
    '2026-11-21T10:10:00+00:00'
    """
    return at - (at - datetime.min.replace(tzinfo=UTC)) % WINDOW


def group(index: str, documents: Iterable[Document]) -> list[Document]:
    """Return the incidents of documents given in order of time; those that are no anomalies are
    left out.

    The id names index, template and window: the same lines give the same incident, more lines a
    fuller one.
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
