"""Write dead letters to the log index and list stored dead letters."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from vigie.dead_letters.letters import DEAD_LETTERS, TRUNCATED_SIZES, original_bytes, truncate
from vigie.errors import DataError
from vigie.records import Document, JobResult, Rejection

if TYPE_CHECKING:
    from vigie.roles import LogIndex

log = logging.getLogger(__name__)

_PREVIEW = 120  # characters


def write_letters(index: LogIndex, letters: Sequence[Document]) -> None:
    """Write dead letters to the log index.

    If the index refuses a dead letter, for example because of its size, only the start of the
    original is stored, with the length and the SHA-256 of the whole original.

    Raises
    ------
    DataError
        The index refuses even a truncated dead letter. The caller must not commit the offset of
        the record.
    """
    if not letters:
        return
    refused = index.create(DEAD_LETTERS.name, letters).rejected
    for size in TRUNCATED_SIZES if refused else ():
        refused = _write_truncated(index, letters, refused, size)
    if refused:
        raise DataError(
            f"{DEAD_LETTERS.name} refused {len(refused)} documents; reason of the first: "
            f"{refused[0].reason}; no line is lost: the next run reads the same lines again"
        )
    first = letters[0].body
    log.warning(
        "%d dead letters are stored in %s; reason of the first: %s: %.200s",
        len(letters),
        DEAD_LETTERS.name,
        first["error_type"],
        first["reason"],
    )


def _write_truncated(
    index: LogIndex, letters: Sequence[Document], refused: Sequence[Rejection], size: int
) -> tuple[Rejection, ...]:
    """Write the refused dead letters truncated to ``size`` bytes; return the new rejections."""
    ids = {rejection.id for rejection in refused}
    shorter = [truncate(letter, size) for letter in letters if letter.id in ids]
    return index.create(DEAD_LETTERS.name, shorter).rejected if shorter else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersResult(JobResult):
    """The number of dead letters by error type, and the oldest dead letters."""

    total: int
    by_error: dict[str, int]
    letters: tuple[dict[str, Any], ...]


def list_dead_letters(index: LogIndex, *, limit: int = 20) -> DeadLettersResult:
    """Count all dead letters by error type; return the ``limit`` oldest, with a ``preview``."""
    scan = index.scan(DEAD_LETTERS.name)
    letters = [
        {"id": d.id, **d.body, "preview": _preview(d.body)} for d in islice(scan, max(0, limit))
    ]
    by_error = Counter(str(letter["error_type"]) for letter in letters)
    by_error.update(str(document.body["error_type"]) for document in scan)
    return DeadLettersResult(
        total=by_error.total(), by_error=dict(by_error.most_common()), letters=tuple(letters)
    )


def _preview(body: Mapping[str, Any]) -> str:
    text = original_bytes(body).decode("utf-8", "backslashreplace")
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
