"""Try the API log's dead letters again, after a fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.jobs.index_lines import ensure_api_log_indices, index_lines
from vigie.jobs.ingest_logs import BATCH_SIZE
from vigie.logs.dead_letters import API_LOG, bytes_to_line, original_bytes
from vigie.logs.documents import to_documents
from vigie.logs.filtering import DEFAULT_PATTERN, LineFilter
from vigie.logs.index_specs import DEAD_LETTERS, RAW
from vigie.records import Document, JobReport

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport(JobReport):
    """``tried == replayed + still_dead``; ``others`` came from elsewhere and were left alone."""

    tried: int
    replayed: int
    still_dead: int
    others: int


def replay_dead_letters(
    services: Services,
    *,
    limit: int | None = None,
    filter_pattern: str = DEFAULT_PATTERN,
    raw_index: str = RAW.name,
) -> ReplayReport:
    """Read each dead line again; those that pass now are indexed, then leave the dead letters.

    A dead letter is deleted only after its documents are durable: a crash in between leaves it
    there, and the next replay finds the documents already there. ``limit`` takes the oldest; None
    takes all.
    """
    ensure_api_log_indices(services, raw_index)
    ours, others = _ours(services, limit)
    line_filter = LineFilter(filter_pattern)
    replayed = 0
    for source, batch in _batches(ours):
        lines = [
            to_documents(
                bytes_to_line(original_bytes(letter.body)),
                source=source,
                offset=letter.body["source_offset"],
                ingested_at=services.now(),
                line_filter=line_filter,
            )
            for letter in batch
        ]
        dead = index_lines(services, lines, source=source, raw_index=raw_index).dead
        passed = [letter.id for i, letter in enumerate(batch) if i not in dead]
        replayed += services.index.delete(DEAD_LETTERS.name, passed) if passed else 0
    return ReplayReport(
        tried=len(ours), replayed=replayed, still_dead=len(ours) - replayed, others=others
    )


def _ours(services: Services, limit: int | None) -> tuple[list[Document], int]:
    """Return the API log's letters (all, before one is deleted) and how many others there are."""
    ours: list[Document] = []
    others = 0
    for letter in services.index.scan(DEAD_LETTERS.name):
        if letter.body["source_kind"] != API_LOG:
            others += 1
        elif limit is None or len(ours) < limit:
            ours.append(letter)
    return ours, others


def _batches(letters: Sequence[Document]) -> Iterator[tuple[str, Sequence[Document]]]:
    for source in sorted({letter.body["source"] for letter in letters}):
        own = [letter for letter in letters if letter.body["source"] == source]
        for start in range(0, len(own), BATCH_SIZE):
            yield source, own[start : start + BATCH_SIZE]
