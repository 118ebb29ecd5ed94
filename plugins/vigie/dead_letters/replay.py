"""Try dead letters again, after a fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.replay_stream_letters import replay_stream_letters
from vigie.anomaly.scoring.score_records import is_line
from vigie.collection.documents import LineDocuments, to_documents
from vigie.collection.filtering import DEFAULT_PATTERN, LineFilter
from vigie.collection.index_lines import ensure_api_log_indices, index_lines
from vigie.collection.index_specs import RAW
from vigie.collection.ingest_logs import BATCH_SIZE
from vigie.dead_letters.letters import (
    API_LOG,
    DEAD_LETTERS,
    STREAM,
    bytes_to_line,
    is_cut,
    original_bytes,
)
from vigie.records import Document, JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport(JobResult):
    """``tried == api_log + stream == replayed + still_dead``; ``others`` are of neither kind, or
    hold only the start of a line that was too large.

    Of a dry run ``replayed`` is how many can be read now; the index was not asked.
    """

    tried: int
    api_log: int
    stream: int
    replayed: int
    still_dead: int
    others: int
    dry_run: bool = False


def replay_dead_letters(
    services: Services,
    *,
    limit: int | None = None,
    filter_pattern: str = DEFAULT_PATTERN,
    raw_index: str = RAW.name,
    dry_run: bool = False,
) -> ReplayReport:
    """Try each dead line again; those that pass now are indexed, then leave the dead letters.

    Lines of the API log are read again, lines of the stream scored again (see
    ``vigie.anomaly.scoring.replay_stream_letters``). A dead letter is deleted only
    after its documents are durable: a crash in between leaves it there, and the next replay finds
    the documents already there.

    Parameters
    ----------
    services
        ``index`` is used; for lines of the stream ``deployments`` and ``bundles`` too.
    limit
        Take the oldest; None: all.
    filter_pattern, raw_index
        As for collecting.
    dry_run
        Tell what would be tried and change nothing.
    """
    api_log, stream, others = _by_kind(services, limit)
    line_filter = LineFilter(filter_pattern)
    if dry_run:
        passed = sum(not _read(services, d, line_filter).error for d in api_log)
        passed += sum(is_line(original_bytes(d.body)) for d in stream)
    else:
        passed = _replay_api_log(services, api_log, line_filter, raw_index) if api_log else 0
        passed += replay_stream_letters(services, stream) if stream else 0
    tried = len(api_log) + len(stream)
    return ReplayReport(
        tried=tried,
        api_log=len(api_log),
        stream=len(stream),
        replayed=passed,
        still_dead=tried - passed,
        others=others,
        dry_run=dry_run,
    )


def _replay_api_log(
    services: Services, letters: Sequence[Document], line_filter: LineFilter, raw_index: str
) -> int:
    ensure_api_log_indices(services, raw_index)
    replayed = 0
    for source, batch in _batches(letters):
        lines = [_read(services, letter, line_filter) for letter in batch]
        dead = index_lines(services, lines, source=source, raw_index=raw_index).dead
        passed = [letter.id for i, letter in enumerate(batch) if i not in dead]
        replayed += services.index.delete(DEAD_LETTERS.name, passed) if passed else 0
    return replayed


def _read(services: Services, letter: Document, line_filter: LineFilter) -> LineDocuments:
    return to_documents(
        bytes_to_line(original_bytes(letter.body)),
        source=letter.body["source"],
        offset=letter.body["source_offset"],
        ingested_at=services.now(),
        line_filter=line_filter,
    )


def _by_kind(services: Services, limit: int | None) -> tuple[list[Document], list[Document], int]:
    """Return the letters of the API log and of the stream (the oldest; all, before one is deleted),
    and how many others there are.
    """
    found: dict[str, list[Document]] = {API_LOG: [], STREAM: []}
    others = taken = 0
    for letter in services.index.scan(DEAD_LETTERS.name):
        kind = letter.body["source_kind"]
        if kind not in found or is_cut(letter.body):
            others += 1
        elif limit is None or taken < limit:
            found[kind].append(letter)
            taken += 1
    return found[API_LOG], found[STREAM], others


def _batches(letters: Sequence[Document]) -> Iterator[tuple[str, Sequence[Document]]]:
    for source in sorted({letter.body["source"] for letter in letters}):
        own = [letter for letter in letters if letter.body["source"] == source]
        for start in range(0, len(own), BATCH_SIZE):
            yield source, own[start : start + BATCH_SIZE]
