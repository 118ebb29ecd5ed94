"""Write the documents of some lines, and what is refused to the dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.documents import LineDocuments
from vigie.collection.index_specs import MESSAGE, PERFS, RAW, api_log_specs
from vigie.dead_letters.letters import API_LOG, DEAD_LETTERS, dead_letter, line_to_bytes
from vigie.dead_letters.write import keep_letters
from vigie.records import Document, IndexOutcome, LineCounts, Rejection

if TYPE_CHECKING:
    from vigie.roles import Services

UNREADABLE = "unreadable_line"


@dataclass(frozen=True, slots=True)
class IndexedLines:
    """The counts of each index, and which lines (by position) are among the dead letters."""

    counts: dict[str, LineCounts]
    dead: frozenset[int]


def ensure_api_log_indices(services: Services, raw_index: str = RAW.name) -> None:
    """Create the three indices and the dead letters unless they exist."""
    for spec in (*api_log_specs(raw_index), DEAD_LETTERS):
        services.index.ensure(spec)


def index_lines(
    services: Services,
    lines: Sequence[LineDocuments],
    *,
    source: str,
    raw_index: str = RAW.name,
) -> IndexedLines:
    """Write every document of ``lines``; on return each line is indexed or a dead letter, durably.

    On failure (TransientError) any part may be written; the same call again completes it.

    Raises
    ------
    DataError
        A line is unaccounted for, or the dead letters themselves refused one, even cut.
    """
    letters = {
        i: _letter(services, line, source, MESSAGE.name, UNREADABLE, line.error)
        for i, line in enumerate(lines)
        if line.error
    }
    unreadable = len(letters)
    counts: dict[str, LineCounts] = {}
    for index, documents in _by_index(lines, raw_index).items():
        present = [document for document in documents if document is not None]
        outcome = services.index.create(index, present) if present else IndexOutcome(0, 0)
        refused = {rejection.id: rejection for rejection in outcome.rejected}
        for i, document in enumerate(documents):
            if document is not None and document.id in refused:
                letters[i] = _refused(services, lines[i], source, index, refused[document.id])
        counts[index] = LineCounts(
            read=len(lines),
            indexed=outcome.created,
            already_there=outcome.already_there,
            filtered=sum(d is None and not lines[i].error for i, d in enumerate(documents)),
            dead_lettered=len(outcome.rejected) + (0 if index == raw_index else unreadable),
        ).checked(index)
    keep_letters(services, list(letters.values()))
    return IndexedLines(counts, frozenset(letters))


def _by_index(
    lines: Sequence[LineDocuments], raw_index: str
) -> dict[str, Sequence[Document | None]]:
    return {
        MESSAGE.name: [line.message for line in lines],
        PERFS.name: [line.perfs for line in lines],
        raw_index: [line.raw for line in lines],
    }


def _refused(
    services: Services, line: LineDocuments, source: str, index: str, rejection: Rejection
) -> Document:
    return _letter(services, line, source, index, rejection.kind, rejection.reason)


def _letter(
    services: Services, line: LineDocuments, source: str, index: str, kind: str, reason: str | None
) -> Document:
    return dead_letter(
        line_to_bytes(line.line),
        source_kind=API_LOG,
        source=source,
        offset=line.offset,
        target_index=index,
        error_type=kind,
        reason=reason or "",
        at=services.now(),
    )
