"""Log files: which ones, and their complete lines in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vigie.errors import DataError
from vigie.records import MAX_LINE

PATTERNS = ("log-*/**/*.txt", "**/*.log")
"""The source document's job logs, and the log files that everything else writes."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A complete line: its first ``MAX_LINE`` bytes without the line end, and its place in the
    file."""

    raw: bytes
    offset: int
    next_offset: int
    length: int
    sha256: str | None = None  # of the whole line, when it was truncated

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to score."""
        return not self.raw.strip()


def log_folder(data: Path, local: Path) -> Path:
    """Return ``data/kafka`` if a file to read lies there, else the local platform's own logs."""
    brought = data / "kafka"
    return brought if find_files(brought) else local / "logs"


def find_files(base: Path, patterns: Sequence[str] = PATTERNS) -> list[Path]:
    """Return the files below ``base`` that match a pattern, each once, in order of their paths.

    Links that lead out of ``base`` are left out; so is what is not a file. What cannot even be
    looked at is not left out: who reads it learns why.

    Raises
    ------
    DataError
        For a pattern that leaves ``base``.
    """
    for pattern in patterns:
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            raise DataError(f"the pattern {pattern!r} leaves {base}; use one below it")
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

    A last line without its line end is left for the next time: somebody is still writing it. Memory
    is bounded by ``MAX_LINE``, whatever the file holds.
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
    digest = checksum.hexdigest() if checksum and length > MAX_LINE + 1 else None
    raw = kept.removesuffix(b"\n").removesuffix(b"\r")
    return LogLine(raw, offset, offset + length, length - 1, digest)
