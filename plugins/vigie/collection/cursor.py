"""The cursor of a collected source: the next offset to read and a digest of the last line read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from vigie import state_keys
from vigie.encoding import digest

if TYPE_CHECKING:
    from vigie.records import LogBatch
    from vigie.roles import ApiLogSource, StateStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next offset to read, and the digest of the last line that was read.

    When the cursor is loaded, ``last_line`` is compared with the digest of the line at
    ``offset - 1``. If they differ, or if the source ends before that line, the source was reset.
    """

    offset: int = 0
    last_line: str = ""

    @classmethod
    def from_state(cls, value: Mapping[str, Any] | None) -> Self | None:
        """Parse a stored cursor; return None if it is missing or invalid.

        Examples
        --------
        >>> Cursor.from_state({"offset": 3, "last_line": "ab"})
        Cursor(offset=3, last_line='ab')
        >>> Cursor.from_state({"offset": "3"}) is None
        True
        """
        offset = (value or {}).get("offset")
        last_line = (value or {}).get("last_line")
        if type(offset) is not int or offset < 0 or not isinstance(last_line, str):
            return None
        return cls(offset, last_line)

    def as_state(self) -> dict[str, Any]:
        return {"offset": self.offset, "last_line": self.last_line}


@dataclass(slots=True)
class SourcePosition:
    """The cursor of a collector in one source, and the stored state as last loaded or written."""

    state: StateStore
    source_id: str
    stored: Mapping[str, Any] | None
    cursor: Cursor
    restarted: bool  # a stored cursor exists, but it is invalid or the source was reset

    @classmethod
    def load(cls, api_logs: ApiLogSource, state: StateStore, source_id: str) -> Self:
        """Load the stored cursor, and discard it if it is invalid or the source was reset."""
        stored = state.get(state_keys.collector_cursor(source_id))
        return cls(state, source_id, stored, *_resume(api_logs, source_id, stored))

    def has_moved(self) -> bool:
        """Return whether another process changed the stored cursor after it was loaded or moved."""
        return self.state.get(state_keys.collector_cursor(self.source_id)) != self.stored

    def advance(self, batch: LogBatch) -> None:
        """Move the cursor past a batch whose lines are stored; never move it back."""
        if batch.next_offset > self.cursor.offset:
            self.cursor = Cursor(batch.next_offset, digest(batch.lines[-1]))
            self.stored = self.cursor.as_state()
            self.state.put(state_keys.collector_cursor(self.source_id), self.stored)


def _resume(
    api_logs: ApiLogSource, source_id: str, stored: Mapping[str, Any] | None
) -> tuple[Cursor, bool]:
    """Return the cursor to continue from, and whether the stored cursor was discarded."""
    if stored is None:
        return Cursor(), False
    cursor = Cursor.from_state(stored)
    if cursor is None:
        log.warning("the cursor of %s is invalid (%r); starting at offset 0", source_id, stored)
        return Cursor(), True
    if cursor.offset == 0 or _is_same_log(api_logs, cursor):
        return cursor, False
    log.warning(
        "line %d of %s is missing or differs from the last collected line: the source was reset; "
        "starting at offset 0",
        cursor.offset - 1,
        source_id,
    )
    return Cursor(), True


def _is_same_log(api_logs: ApiLogSource, cursor: Cursor) -> bool:
    last = api_logs.read(cursor.offset - 1, 1)
    if last.lines and last.offset != cursor.offset - 1:
        # The source returned a different line than requested, so a reset cannot be detected.
        return True
    return bool(last.lines) and digest(last.lines[0]) == cursor.last_line


def reset_state() -> dict[str, Any]:
    """Return the cursor state that makes collection start from the beginning of the source.

    A random value makes the state differ from every earlier state, so that a running collector
    detects the reset.
    """
    return {**Cursor().as_state(), "reset": uuid4().hex}


def lock_name(source_id: str) -> str:
    """Return the name of the lock held while documents and cursor of a source are changed."""
    return f"collector:{source_id}"
