"""How far a growing file has been read, and whether it is still the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vigie.encoding import digest

HEAD = 1024


@dataclass(frozen=True, slots=True)
class TailPosition:
    """The next byte to read of a file.

    A file is its inode and its first line (at most 1 KiB of it): a name moves on at rotation, an
    inode is used again, and a first line, once complete, stays. ``generation`` counts how often the
    file was cut and began anew, so that the lines after a cut are new ones even where they are
    equal.
    """

    file: str
    offset: int = 0
    generation: int = 0

    @property
    def identity(self) -> str:
        """Name the content from which ``offset`` counts."""
        return f"{self.file}.{self.generation}"

    def line_id(self, offset: int, raw: bytes) -> str:
        """Return an id for a line: the same file, place and bytes give the same one."""
        return digest(self.identity, str(offset), raw)

    def as_state(self) -> dict[str, Any]:
        """Return what is stored between runs."""
        return {"offset": self.offset, "generation": self.generation}


def file_key(path: Path) -> str | None:
    """Return the key of a file, or None while its first line is not complete."""
    with path.open("rb") as file:
        head = file.readline(HEAD)
    if not head.endswith(b"\n") and len(head) < HEAD:
        return None
    return digest(str(path.stat().st_ino), head)[:32]


def resume(path: Path, file: str, stored: Mapping[str, Any] | None) -> TailPosition:
    """Return where to go on; from the start of a new generation if the file was cut meanwhile.

    A stored position that makes no sense (older format, damaged) is ignored: reading again is safe,
    because the ids of the lines are the same.
    """
    offset, generation = (stored or {}).get("offset", 0), (stored or {}).get("generation", 0)
    if not (type(offset) is int and type(generation) is int and min(offset, generation) >= 0):
        return TailPosition(file)
    if offset and not _ends_a_line(path, offset):
        return TailPosition(file, 0, generation + 1)
    return TailPosition(file, offset, generation)


def _ends_a_line(path: Path, offset: int) -> bool:
    """Return whether a line ends just before ``offset``; not so in a file that is shorter."""
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"
