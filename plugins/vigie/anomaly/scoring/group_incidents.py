"""Group anomalies into incidents."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.incidents import INCIDENTS, group, window_start
from vigie.anomaly.scoring.pending_incidents import dirty_spans, mark_grouped
from vigie.catalogue import INCIDENTS_WRITTEN
from vigie.encoding import clean
from vigie.errors import DataError
from vigie.records import Document, JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsReport(JobResult):
    """How many incidents there are since the earliest new anomaly, and how many are new or
    fuller."""

    incidents: int
    written: int
    since: str | None


def group_incidents(services: Services, *, topic: str, index: str) -> IncidentsReport:
    """Write one incident a template and ten minutes, from the earliest anomaly not grouped yet.

    An incident that has grown is written anew under the same id. A crash leaves it missing at
    worst, and the notes that make the next run write it again.
    """
    services.index.ensure(INCIDENTS)
    with services.locks.hold(f"incidents:{index}", wait_s=30.0):
        spans = dirty_spans(services, index, topic)
        since = min((span.since for span in spans), default=None)
        found = _incidents(services, index, since) if since else []
        written = _write(services, found)
        mark_grouped(services, spans)
    log.info("%d incidents since %s, %d new or fuller", len(found), since, written)
    return IncidentsReport(
        incidents=len(found),
        written=written,
        since=since,
        metrics=[Sample(INCIDENTS_WRITTEN, float(written))],
    )


def _incidents(services: Services, index: str, since: str) -> list[Document]:
    start = window_start(datetime.fromisoformat(since))
    return group(index, services.index.scan(index, since=start))


def _write(services: Services, incidents: list[Document]) -> int:
    changed = [
        incident
        for incident in incidents
        if not _is_same(services.index.get(INCIDENTS.name, incident.id), incident)
    ]
    services.index.delete(INCIDENTS.name, [incident.id for incident in changed])
    outcome = services.index.create(INCIDENTS.name, changed)
    if outcome.rejected:
        raise DataError(f"an incident was refused: {outcome.rejected[0].reason}")
    return len(changed)


def _is_same(stored: dict[str, object] | None, incident: Document) -> bool:
    return stored is not None and stored == clean(dict(incident.body))
