"""Process dead letters again after the cause of the failure was fixed."""

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
    """The functions that replay the dead letters of one ``source_kind``.

    Parameters
    ----------
    is_readable
        Returns whether the original can be parsed now; writes nothing.
    replay
        Processes dead letters in batches; after each batch, yields the ids of the dead letters in
        it that were processed successfully.
    """

    is_readable: Callable[[Document], bool]
    replay: Callable[[Sequence[Document]], Iterator[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult(JobResult):
    """The result of a replay; ``tried`` equals ``replayed + still_dead``.

    ``by_kind`` splits ``tried`` by ``source_kind``. ``others`` counts the dead letters that cannot
    be replayed: no handler exists for their kind, or the original is truncated. After a dry run,
    ``replayed`` counts the dead letters that can be parsed; the index may still refuse them.
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
    """Process dead letters again, and delete each one that is processed successfully.

    A dead letter is deleted after its documents are stored. After a crash between these steps, the
    next replay processes it again but stores its documents only once. ``handlers`` maps each
    ``source_kind`` to its handler. At most ``limit`` dead letters are tried, oldest first. A dry
    run counts the dead letters that can be parsed, and writes and deletes nothing.
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
    """Yield the dead letters in batches of at most ``_BATCH_SIZE``."""
    for start in range(0, len(letters), _BATCH_SIZE):
        yield letters[start : start + _BATCH_SIZE]


def _by_kind(
    index: LogIndex, handlers: Mapping[str, ReplayHandler], limit: int | None
) -> tuple[dict[str, list[Document]], int]:
    """Return the dead letters to try, by kind, and the number that cannot be replayed."""
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
