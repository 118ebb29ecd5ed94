"""Find log files, read their complete lines in bounded memory, and track the read position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vigie.encoding import digest
from vigie.errors import DataError
from vigie.records import MAX_LINE

PATTERNS = ("log-*/**/*.txt", "**/*.log")
"""Default patterns: job logs in folders ``log-*``, and files ``*.log``."""

HEAD = 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """A complete line: its first ``MAX_LINE`` bytes without the line end, and its position."""

    raw: bytes
    offset: int
    next_offset: int
    length: int
    sha256: str | None = None  # of the whole line; set only if the line was truncated

    @property
    def is_blank(self) -> bool:
        """Whether ``raw`` contains only white space."""
        return not self.raw.strip()


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """Identity of a file, and the offset of the next byte to read in it.

    A file is identified by its inode and at most 1 KiB of its first line. The name changes at
    rotation and an inode can be reused, but a complete first line does not change. ``generation``
    counts the detected truncations of the file, so that lines after a truncation get new ids even
    if they equal earlier lines.
    """

    file: str
    offset: int = 0
    generation: int = 0

    def line_id(self, offset: int, raw: bytes) -> str:
        """Return the id of a line: a digest of file, generation, offset and bytes."""
        return digest(f"{self.file}.{self.generation}", str(offset), raw)

    def as_state(self) -> dict[str, Any]:
        """Return offset and generation, which are stored between runs."""
        return {"offset": self.offset, "generation": self.generation}


def log_folder(data: Path, local: Path) -> Path:
    """Return ``data/kafka`` if it contains log files, else the log folder of the local platform."""
    given = data / "kafka"
    return given if find_files(given) else local / "logs"


def find_files(base: Path, patterns: Sequence[str] = PATTERNS) -> list[Path]:
    """Return the files below ``base`` that match any pattern, sorted and without duplicates.

    Links to targets outside ``base`` and entries that are not files are skipped. A file that cannot
    be inspected is included, so that reading it reports the error.

    Raises
    ------
    DataError
        A pattern is absolute or contains ``..``.
    """
    for pattern in patterns:
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            raise DataError(f"pattern {pattern!r} must be relative to {base}, without '..'")
    root = base.resolve()
    found = {path for pattern in patterns for path in base.glob(pattern)}
    real = {path.resolve(): path for path in sorted(found, reverse=True)}
    return sorted(
        path for target, path in real.items() if target.is_relative_to(root) and _is_file(target)
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True


def read_lines(path: Path, offset: int = 0, end: int | None = None) -> Iterator[LogLine]:
    """Yield the complete lines that start at ``offset`` or later and before ``end``.

    A last line without a line end is skipped, because it may still be incomplete. The memory used
    is proportional to ``MAX_LINE``, whatever the file contains.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while end is None or offset < end:
            line = _read_line(file, offset)
            if line is None:
                return
            yield line
            offset = line.next_offset


def _read_line(file: BinaryIO, offset: int) -> LogLine | None:
    piece = file.readline(MAX_LINE)
    kept, length, checksum = piece, len(piece), None
    while piece and not piece.endswith(b"\n"):
        checksum = checksum or hashlib.sha256(kept)
        piece = file.readline(MAX_LINE)
        checksum.update(piece.removesuffix(b"\n"))
        length += len(piece)
    if not piece:
        return None
    hexdigest = checksum.hexdigest() if checksum and length > MAX_LINE + 1 else None
    raw = kept.removesuffix(b"\n").removesuffix(b"\r")
    return LogLine(raw, offset, offset + length, length - 1, hexdigest)


def file_key(path: Path) -> str | None:
    """Return a key that identifies a file, or None if it has neither a complete line nor 1 KiB."""
    with path.open("rb") as file:
        head = file.readline(HEAD)
    if not head.endswith(b"\n") and len(head) < HEAD:
        return None
    return digest(str(path.stat().st_ino), head)[:32]


def resume(path: Path, file: str, stored: Mapping[str, Any] | None) -> ReadPosition:
    """Return the position to continue at.

    A file in which no line ends at the stored offset was truncated. It is read from the start in a
    new generation. An invalid stored position (older format, damaged) is ignored. The file is then
    read from the start in generation 0, so its lines get the same ids as before, unless it was
    truncated earlier.
    """
    offset, generation = (stored or {}).get("offset", 0), (stored or {}).get("generation", 0)
    if not (type(offset) is int and type(generation) is int and min(offset, generation) >= 0):
        return ReadPosition(file)
    if offset and not _ends_a_line(path, offset):
        return ReadPosition(file, 0, generation + 1)
    return ReadPosition(file, offset, generation)


def _ends_a_line(path: Path, offset: int) -> bool:
    """Return whether a line ends just before ``offset``; False if the file is shorter."""
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"
