"""Collect API log lines into the three indices."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from vigie import catalogue, state_keys
from vigie.collection.cursor import Cursor, lock_name
from vigie.collection.documents import LineDocuments, to_documents
from vigie.collection.filtering import DEFAULT_PATTERN, LineFilter
from vigie.collection.index_lines import ensure_api_log_indices, index_lines
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.faults import crash_point
from vigie.records import JobResult, LineCounts, LogPage, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

SOURCE = "api"  # not its address: the same API behind another address has the same transactions
BATCH_SIZE = 500
_LOCK_WAIT_S = 60.0  # a batch takes a second; longer only while the index makes somebody wait


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(JobResult):
    """What became of each line: ``counts`` holds one conservation law an index."""

    read: int
    offset: int  # where the next run goes on
    restarted: bool  # no usable cursor, or the source began anew: read from the beginning
    lost: int  # lines that the source dropped before anybody collected them
    lag: int | None  # None: the source does not tell, and there may be more
    counts: Mapping[str, LineCounts]


def ingest_logs(
    services: Services,
    *,
    source_id: str = SOURCE,
    limit: int,
    filter_pattern: str = DEFAULT_PATTERN,
    batch_size: int = BATCH_SIZE,
    raw_index: str = RAW.name,
) -> IngestReport:
    """Collect up to ``limit`` new lines, batch by batch.

    The cursor moves after a batch's documents and dead letters are durable: what a crash or a
    TransientError leaves behind is completed by the next run, and counted as ``already_there``.
    When somebody else moved the cursor meanwhile (another collector, or ``vigie logs clear``), the
    batch is dropped and read from there.

    Raises
    ------
    ConflictError
        When somebody else writes a batch for longer than ``_LOCK_WAIT_S``.
    """
    line_filter = LineFilter(filter_pattern)
    place = _Place.found(services, source_id, raw_index)
    tally = _Tally(dict.fromkeys((raw_index, MESSAGE.name, PERFS.name), LineCounts()))
    while tally.read < limit and not tally.at_end:
        size = min(batch_size, limit - tally.read)
        page = services.api_logs.page(place.cursor.offset, size)
        batch = _documents(services, page, source_id, line_filter)
        crash_point("before_bulk")
        with services.locks.hold(lock_name(source_id), wait_s=_LOCK_WAIT_S):
            if place.has_moved():
                place = _Place.found(services, source_id, raw_index)
                continue
            indexed = index_lines(services, batch, source=source_id, raw_index=raw_index)
            crash_point("after_bulk")
            tally.add(page, indexed.counts, expected=place.cursor.offset)
            place.advance(page)
    report = IngestReport(
        read=tally.read,
        offset=place.cursor.offset,
        restarted=place.restarted,
        lost=tally.lost,
        lag=tally.lag(place.cursor.offset),
        counts=tally.counts,
    )
    samples = _samples(report, services.index.count(DEAD_LETTERS.name))
    backoff_s = services.index.take_backoff_s()
    backoff = Sample(catalogue.ES_BACKOFF, backoff_s, {"worker": "0"})
    return replace(report, metrics=(*samples, backoff))


@dataclass(slots=True)
class _Tally:
    """What a run has seen so far."""

    counts: dict[str, LineCounts]
    read: int = 0
    lost: int = 0
    at_end: bool = False
    total: int | None = None

    def add(self, page: LogPage, counts: Mapping[str, LineCounts], *, expected: int) -> None:
        for index, more in counts.items():
            self.counts[index] += more
        self.read += len(page.lines)
        self.total = page.total
        if page.offset > expected and page.lines:
            self.lost += page.offset - expected
            log.warning("the source dropped lines %d to %d", expected, page.offset - 1)
        if page.lines and page.next_offset <= expected:
            log.warning("asked for line %d, got lines up to %d again", expected, page.next_offset)
        # A source may send less than it was asked for: the end is an empty page, or its own word.
        is_last = page.total is not None and page.next_offset >= page.total
        self.at_end = is_last or not page.lines or page.next_offset <= expected

    def lag(self, offset: int) -> int | None:
        if self.total is not None:
            return max(0, self.total - offset)
        return 0 if self.at_end else None


@dataclass(slots=True)
class _Place:
    """Where a collection of one source is, and the stored state that says so."""

    services: Services
    source: str
    stored: Mapping[str, Any] | None
    cursor: Cursor
    restarted: bool  # for want of a cursor that holds

    @classmethod
    def found(cls, services: Services, source: str, raw_index: str) -> Self:
        """Return the place to go on from; the indices are there afterwards."""
        ensure_api_log_indices(services, raw_index)
        stored = services.state.get(state_keys.collector_cursor(source))
        return cls(services, source, stored, *_resume(services, source, stored))

    def has_moved(self) -> bool:
        """Whether somebody else moved the cursor since it was read or written here."""
        return self.services.state.get(state_keys.collector_cursor(self.source)) != self.stored

    def advance(self, page: LogPage) -> None:
        """Go on behind a page whose lines are durable."""
        if page.next_offset > self.cursor.offset:
            self.cursor = Cursor.after(page.next_offset, page.lines[-1])
            self.stored = self.cursor.as_state()
            self.services.state.put(state_keys.collector_cursor(self.source), self.stored)


def _resume(
    services: Services, source: str, stored: Mapping[str, Any] | None
) -> tuple[Cursor, bool]:
    """Return where to go on, and whether that is the beginning for want of a cursor that holds."""
    if stored is None:
        return Cursor(), False
    cursor = Cursor.from_state(stored)
    if cursor is None:
        log.warning("the cursor of %s is damaged (%r): reading from the beginning", source, stored)
        return Cursor(), True
    if cursor.offset == 0 or _is_where_it_was(services, cursor):
        return cursor, False
    log.warning(
        "line %d of %s is not the one collected last: the source began anew, so does the collector",
        cursor.offset - 1,
        source,
    )
    return Cursor(), True


def _is_where_it_was(services: Services, cursor: Cursor) -> bool:
    last = services.api_logs.page(cursor.offset - 1, 1)
    if last.lines and last.offset != cursor.offset - 1:
        return True  # a page that was not asked for proves nothing
    return bool(last.lines) and cursor.follows(last.lines[0])


def _documents(
    services: Services, page: LogPage, source: str, line_filter: LineFilter
) -> list[LineDocuments]:
    now = services.now()
    return [
        to_documents(line, source=source, offset=offset, ingested_at=now, line_filter=line_filter)
        for offset, line in enumerate(page.lines, page.offset)
    ]


def _samples(report: IngestReport, dead_letters: int) -> tuple[Sample, ...]:
    samples = [
        Sample(catalogue.LOGS_READ, report.read),
        Sample(catalogue.LOGS_LOST, report.lost),
        Sample(catalogue.DEAD_LETTERS, dead_letters),
    ]
    if report.lag is not None:
        samples.append(Sample(catalogue.LOGS_LAG, report.lag))
    for index, counts in report.counts.items():
        samples += [
            Sample(catalogue.LOGS_INDEXED, counts.indexed, {"index": index}),
            Sample(catalogue.LOGS_ALREADY_THERE, counts.already_there, {"index": index}),
            Sample(catalogue.LOGS_FILTERED, counts.filtered, {"index": index}),
            Sample(catalogue.LOGS_DEAD_LETTERED, counts.dead_lettered, {"index": index}),
        ]
    return tuple(samples)
