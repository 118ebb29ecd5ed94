"""What the endpoint ``/logs_api`` answered, checked."""

from __future__ import annotations

from typing import Any

from vigie.errors import DataError
from vigie.records import LogPage

API = "/logs_api"
MAX_CHARS = 20_000_000  # of a page: a source that sends more is not one of ours


def checked_page(answer: Any, offset: int, limit: int) -> LogPage:
    """Return the page that was answered.

    Raises
    ------
    DataError
        Saying what was expected of the answer.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("lines"), list):
        raise DataError(f"{API}: expected an object with the list 'lines', found {_kind(answer)}")
    lines = answer["lines"]
    if not all(isinstance(line, str) for line in lines):
        raise DataError(f"{API}: expected lines of text")
    if len(lines) > limit or sum(map(len, lines)) > MAX_CHARS:
        raise DataError(f"{API}: expected up to {limit} lines of {MAX_CHARS} characters in all")
    start, following = answer.get("offset", offset), answer.get("next_offset")
    if start != offset or following != offset + len(lines) or isinstance(following, bool):
        raise DataError(
            f"{API}: asked from offset {offset}; found {len(lines)} lines, offset {start!r}, "
            f"next_offset {following!r}"
        )
    return LogPage(offset, tuple(lines), offset + len(lines), _total(answer.get("total")))


def _total(told: Any) -> int | None:
    if told is None:  # other sources do not tell
        return None
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise DataError(f"{API}: expected 'total' to be a number of lines, found {told!r}")
    return told


def _kind(answer: Any) -> str:
    return type(answer).__name__ if not isinstance(answer, dict) else f"keys {sorted(answer)[:8]}"
