"""Index API log lines, and write a dead letter for each line that cannot be indexed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from vigie.collection.documents import LineDocuments, LineFilter, to_documents
from vigie.collection.index_specs import MESSAGE, PERFS, RAW, api_log_specs
from vigie.dead_letters.letters import (
    API_LOG,
    DEAD_LETTERS,
    bytes_to_line,
    dead_letter,
    line_to_bytes,
    original_bytes,
)
from vigie.dead_letters.replay import ReplayHandler, batches
from vigie.dead_letters.write import write_letters
from vigie.records import Document, IndexOutcome, IndexSpec, LineCounts

if TYPE_CHECKING:
    from vigie.roles import LogIndex, Services

UNREADABLE = "unreadable_line"


@dataclass(frozen=True, slots=True)
class IndexedLines:
    """The line counts per index, and the positions of the dead-lettered lines in the input."""

    counts: dict[str, LineCounts]
    dead: frozenset[int]


def ensure_api_log_indices(index: LogIndex, raw_index: str = RAW.name) -> tuple[IndexSpec, ...]:
    """Create the API log and dead-letter indices or add missing fields; return the specs."""
    specs = (*api_log_specs(raw_index), DEAD_LETTERS)
    for spec in specs:
        index.ensure(spec)
    return specs


def index_lines(
    index: LogIndex,
    lines: Sequence[LineDocuments],
    *,
    source: str,
    now: datetime,
    raw_index: str = RAW.name,
) -> IndexedLines:
    """Write the documents of ``lines``, and a dead letter for each line that cannot be indexed.

    The function is idempotent: after a TransientError, a repeated call writes only the documents
    that are missing.

    Raises
    ------
    DataError
        The counts of an index do not add up, or a dead letter is refused even when truncated.
    """
    letter = partial(_letter, source=source, now=now)
    letters = {
        i: letter(line, MESSAGE.name, UNREADABLE, line.error)
        for i, line in enumerate(lines)
        if line.error
    }
    unreadable = len(letters)
    counts: dict[str, LineCounts] = {}
    for name, documents in _by_index(lines, raw_index).items():
        present = [document for document in documents if document is not None]
        outcome = index.create(name, present) if present else IndexOutcome(0, 0)
        refused = {rejection.id: rejection for rejection in outcome.rejected}
        for i, document in enumerate(documents):
            if document is not None and (rejection := refused.get(document.id)):
                letters[i] = letter(lines[i], name, rejection.kind, rejection.reason)
        counts[name] = LineCounts(
            read=len(lines),
            indexed=outcome.created,
            already_there=outcome.already_there,
            filtered=sum(d is None and not lines[i].error for i, d in enumerate(documents)),
            dead_lettered=len(outcome.rejected) + (0 if name == raw_index else unreadable),
        ).checked(name)
    write_letters(index, list(letters.values()))
    return IndexedLines(counts, frozenset(letters))


def _by_index(
    lines: Sequence[LineDocuments], raw_index: str
) -> dict[str, Sequence[Document | None]]:
    return {
        MESSAGE.name: [line.message for line in lines],
        PERFS.name: [line.perfs for line in lines],
        raw_index: [line.raw for line in lines],
    }


def _letter(
    line: LineDocuments,
    target_index: str,
    kind: str,
    reason: str | None,
    *,
    source: str,
    now: datetime,
) -> Document:
    return dead_letter(
        line_to_bytes(line.line),
        source_kind=API_LOG,
        source=source,
        offset=line.offset,
        target_index=target_index,
        error_type=kind,
        reason=reason or "",
        at=now,
    )


def api_log_replay(services: Services, *, filter_pattern: str, raw_index: str) -> ReplayHandler:
    """Return a handler that parses and indexes the lines of API log dead letters again."""
    line_filter = LineFilter(filter_pattern)

    def parse(letter: Document) -> LineDocuments:
        return to_documents(
            bytes_to_line(original_bytes(letter.body)),
            source=letter.body["source"],
            offset=letter.body["source_offset"],
            ingested_at=services.now(),
            line_filter=line_filter,
        )

    def replay(letters: Sequence[Document]) -> Iterator[Sequence[str]]:
        ensure_api_log_indices(services.index, raw_index)
        for source in sorted({letter.body["source"] for letter in letters}):
            for batch in batches([each for each in letters if each.body["source"] == source]):
                indexed = index_lines(
                    services.index,
                    [parse(letter) for letter in batch],
                    source=source,
                    now=services.now(),
                    raw_index=raw_index,
                )
                yield [letter.id for i, letter in enumerate(batch) if i not in indexed.dead]

    return ReplayHandler(lambda letter: not parse(letter).error, replay)
