"""Collect API log lines into three indices: raw lines, messages and performance."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from vigie import catalogue
from vigie.collection.cursor import SourcePosition, lock_name
from vigie.collection.documents import DEFAULT_PATTERN, LineDocuments, LineFilter, to_documents
from vigie.collection.index_lines import ensure_api_log_indices, index_lines
from vigie.collection.index_specs import MESSAGE, PERFS, RAW
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.faults import crash_point
from vigie.records import JobResult, LineCounts, LogBatch, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

#: The id of the source does not contain its address, so that a new address keeps the cursor.
SOURCE = "api"
BATCH_SIZE = 500
_LOCK_WAIT_S = 60.0  # a batch takes about a second, unless the index is busy


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult(JobResult):
    """The result of collecting lines from one source; ``counts`` has one entry per index."""

    read: int
    offset: int  # the next offset to read
    restarted: bool  # started at offset 0: the cursor was invalid or the source was reset
    lost: int  # lines that the source deleted before they were collected
    lag: int | None  # lines not yet collected; None: unknown, the source reports no total
    counts: Mapping[str, LineCounts]


def ingest_logs(
    services: Services,
    *,
    source_id: str = SOURCE,
    limit: int,
    filter_pattern: str = DEFAULT_PATTERN,
    batch_size: int = BATCH_SIZE,
    raw_index: str = RAW.name,
) -> IngestResult:
    """Collect up to ``limit`` new lines in batches and return their counts.

    The cursor moves after the documents and dead letters of a batch are stored. After a crash or a
    TransientError, the next call reads the batch again and counts stored documents as
    ``already_there``. If another process (a second collector, or ``vigie logs clear``) changed the
    cursor, the batch is discarded and collection continues at the new cursor.

    Raises
    ------
    ConflictError
        Another process held the lock of the source for longer than ``_LOCK_WAIT_S``.
    """
    collector = _Collector(services, source_id, LineFilter(filter_pattern), raw_index)
    while collector.read < limit and not collector.at_end:
        collector.collect(min(batch_size, limit - collector.read))
    result = collector.result()
    samples = _samples(result, services.index.count(DEAD_LETTERS.name))
    backoff_s = services.index.take_backoff_s()
    backoff = Sample(catalogue.ES_BACKOFF, backoff_s, {"worker": "0"})
    return replace(result, metrics=(*samples, backoff))


class _Collector:
    """A collector that indexes batches from one source and adds up their counts."""

    def __init__(
        self, services: Services, source_id: str, line_filter: LineFilter, raw_index: str
    ) -> None:
        self.services = services
        self.source_id = source_id
        self.line_filter = line_filter
        self.raw_index = raw_index
        self.position = self._load_position()
        self.counts = dict.fromkeys((raw_index, MESSAGE.name, PERFS.name), LineCounts())
        self.read = self.lost = 0
        self.at_end = False
        self.total: int | None = None

    def collect(self, size: int) -> None:
        """Read and index up to ``size`` lines, then move the cursor."""
        services = self.services
        batch = services.api_logs.read(self.position.cursor.offset, size)
        lines = self._documents(batch)
        crash_point("before_bulk")
        with services.locks.hold(lock_name(self.source_id), wait_s=_LOCK_WAIT_S):
            if self.position.has_moved():
                self.position = self._load_position()
                return
            indexed = index_lines(
                services.index,
                lines,
                source=self.source_id,
                raw_index=self.raw_index,
                now=services.now(),
            )
            crash_point("after_bulk")
            self._add(batch, indexed.counts)
            self.position.advance(batch)

    def result(self) -> IngestResult:
        offset = self.position.cursor.offset
        lag = max(0, self.total - offset) if self.total is not None else None
        return IngestResult(
            read=self.read,
            offset=offset,
            restarted=self.position.restarted,
            lost=self.lost,
            lag=0 if lag is None and self.at_end else lag,
            counts=self.counts,
        )

    def _load_position(self) -> SourcePosition:
        ensure_api_log_indices(self.services.index, self.raw_index)
        return SourcePosition.load(self.services.api_logs, self.services.state, self.source_id)

    def _documents(self, batch: LogBatch) -> list[LineDocuments]:
        to_line = partial(
            to_documents,
            source=self.source_id,
            ingested_at=self.services.now(),
            line_filter=self.line_filter,
        )
        return [to_line(line, offset=n) for n, line in enumerate(batch.lines, batch.offset)]

    def _add(self, batch: LogBatch, counts: Mapping[str, LineCounts]) -> None:
        expected = self.position.cursor.offset
        for index, more in counts.items():
            self.counts[index] += more
        self.read += len(batch.lines)
        self.total = batch.total
        if batch.offset > expected and batch.lines:
            self.lost += batch.offset - expected
            log.warning("the source deleted lines %d to %d", expected, batch.offset - 1)
        if batch.lines and batch.next_offset <= expected:
            log.warning(
                "requested line %d, but the source returned the earlier lines %d to %d",
                expected,
                batch.offset,
                batch.next_offset - 1,
            )
        # A source may return fewer lines than requested before its end, so the size of a batch
        # does not show whether the end was reached.
        is_last = batch.total is not None and batch.next_offset >= batch.total
        self.at_end = is_last or not batch.lines or batch.next_offset <= expected


def _samples(result: IngestResult, dead_letters: int) -> tuple[Sample, ...]:
    samples = [
        Sample(catalogue.LOGS_READ, result.read),
        Sample(catalogue.LOGS_LOST, result.lost),
        Sample(catalogue.DEAD_LETTERS, dead_letters),
    ]
    if result.lag is not None:
        samples.append(Sample(catalogue.LOGS_LAG, result.lag))
    for index, counts in result.counts.items():
        samples += [
            Sample(catalogue.LOGS_INDEXED, counts.indexed, {"index": index}),
            Sample(catalogue.LOGS_ALREADY_THERE, counts.already_there, {"index": index}),
            Sample(catalogue.LOGS_FILTERED, counts.filtered, {"index": index}),
            Sample(catalogue.LOGS_DEAD_LETTERED, counts.dead_lettered, {"index": index}),
        ]
    return tuple(samples)
