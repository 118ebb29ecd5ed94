"""Replay dead letters after the cause of their failure was fixed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.dead_letters.letters import DEAD_LETTERS, is_truncated
from vigie.records import Document, JobResult

if TYPE_CHECKING:
    from vigie.roles import LogIndex

_BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class ReplayHandler:
    """Functions that process one kind of dead letter again.

    Parameters
    ----------
    is_readable
        Return whether the original can be parsed now. Changes nothing.
    replay
        Process the letters and yield, batch by batch, the ids of those whose documents are stored.
    """

    is_readable: Callable[[Document], bool]
    replay: Callable[[Sequence[Document]], Iterator[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult(JobResult):
    """The outcome of a replay: ``tried == replayed + still_dead``.

    ``by_kind`` splits ``tried`` by the kind of letter. ``others`` counts the letters that were left
    unchanged: their kind has no handler, or only the start of the original was kept. After a dry
    run, ``replayed`` counts the letters that can be parsed now; the index may still refuse them.
    """

    tried: int
    by_kind: dict[str, int]
    replayed: int
    still_dead: int
    others: int
    dry_run: bool = False


def replay_dead_letters(
    index: LogIndex,
    handlers: Mapping[str, ReplayHandler],
    *,
    limit: int | None = None,
    dry_run: bool = False,
) -> ReplayResult:
    """Process dead letters again and delete those that succeed.

    A letter is deleted after its documents are stored. After a crash between the two the letter
    remains, and the next replay finds its documents already there.

    Parameters
    ----------
    index
        The log index with the dead letters.
    handlers
        The handler of each ``source_kind``.
    limit
        Number of letters to try, the oldest first; None: all.
    dry_run
        Count the letters that can be parsed and change nothing.
    """
    by_kind, others = _by_kind(index, handlers, limit)
    replayed = 0
    for kind, letters in by_kind.items():
        handler = handlers[kind]
        if dry_run:
            replayed += sum(map(handler.is_readable, letters))
            continue
        for ids in handler.replay(letters):
            replayed += index.delete(DEAD_LETTERS.name, ids) if ids else 0
    tried = {kind: len(letters) for kind, letters in by_kind.items()}
    total = sum(tried.values())
    return ReplayResult(
        tried=total,
        by_kind=tried,
        replayed=replayed,
        still_dead=total - replayed,
        others=others,
        dry_run=dry_run,
    )


def batches(letters: Sequence[Document]) -> Iterator[Sequence[Document]]:
    """Split letters into batches that are processed and deleted together."""
    for start in range(0, len(letters), _BATCH_SIZE):
        yield letters[start : start + _BATCH_SIZE]


def _by_kind(
    index: LogIndex, handlers: Mapping[str, ReplayHandler], limit: int | None
) -> tuple[dict[str, list[Document]], int]:
    """Return the letters to try by kind, read before any is deleted, and the number of others."""
    found: dict[str, list[Document]] = defaultdict(list)
    others = taken = 0
    for letter in index.scan(DEAD_LETTERS.name):
        kind = letter.body["source_kind"]
        if kind not in handlers or is_truncated(letter.body):
            others += 1
        elif limit is None or taken < limit:
            found[kind].append(letter)
            taken += 1
    return found, others
