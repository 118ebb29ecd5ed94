"""Tell what could not be stored where it belongs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from vigie.dead_letters.letters import DEAD_LETTERS, original_bytes
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

_PREVIEW = 120  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersReport(JobResult):
    """How many there are by reason, and the oldest of them in full."""

    total: int
    by_error: dict[str, int]
    letters: tuple[dict[str, Any], ...]


def list_dead_letters(services: Services, *, limit: int = 20) -> DeadLettersReport:
    """Return the oldest ``limit`` dead letters, each with a ``preview``. Changes nothing."""
    scan = services.index.scan(DEAD_LETTERS.name)
    letters = [
        {"id": d.id, **d.body, "preview": _preview(d.body)} for d in islice(scan, max(0, limit))
    ]
    by_error = Counter(str(letter["error_type"]) for letter in letters)
    by_error.update(str(document.body["error_type"]) for document in scan)
    return DeadLettersReport(
        total=by_error.total(), by_error=dict(by_error.most_common()), letters=tuple(letters)
    )


def _preview(body: dict[str, Any] | Any) -> str:
    text = original_bytes(body).decode("utf-8", "backslashreplace")
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
