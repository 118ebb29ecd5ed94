"""How far a source has been collected, and which line was the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from vigie.encoding import digest


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next offset to read, and the digest of the line before it.

    A source that restarted may have any number of lines by now: only the line itself tells whether
    it is still the one that was read, so the collector looks at it again before it goes on.
    """

    offset: int = 0
    last_line: str = ""

    @classmethod
    def from_state(cls, value: Mapping[str, Any] | None) -> Self | None:
        """Read a stored cursor; None if it is not one.

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

    @classmethod
    def after(cls, offset: int, line: str) -> Self:
        """Return the cursor that follows ``line``."""
        return cls(offset, digest(line))

    def follows(self, line: str) -> bool:
        """Say whether ``line`` is the one that was read last."""
        return digest(line) == self.last_line

    def as_state(self) -> dict[str, Any]:
        return {"offset": self.offset, "last_line": self.last_line}


def reset_state() -> dict[str, Any]:
    """Return a state of a source that is to be read from the beginning.

    It equals no state before it: a collector that is at work sees that its cursor was moved.
    """
    return {**Cursor().as_state(), "reset": uuid4().hex}


def lock_name(source: str) -> str:
    """Return the lock under which documents are written and the cursor moves."""
    return f"collector:{source}"
