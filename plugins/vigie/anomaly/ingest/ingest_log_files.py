"""Write the new lines of log files to the stream."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.anomaly.ingest.log_files import (
    PATTERNS,
    LogLine,
    ReadPosition,
    file_key,
    find_files,
    read_lines,
    resume,
)
from vigie.errors import (
    ConflictError,
    DataError,
    NotEnoughDataError,
    PermanentError,
    RefusedMessageError,
    SettingsError,
    TransientError,
    UndeliveredError,
    VigieError,
)
from vigie.records import JobResult, Message

if TYPE_CHECKING:
    from vigie.roles import LogStream, Services, StateStore

log = logging.getLogger(__name__)

MAX_BATCH_BYTES = 4 * 1024 * 1024
_ERROR_TYPES = (TransientError, ConflictError, SettingsError, DataError, PermanentError)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult(JobResult):
    """Numbers of matching files, of written ``lines``, and of skipped ``blank`` lines.

    ``truncated`` counts the written lines that were too long. ``unreadable`` counts the files that
    were skipped in whole or in part (no permission, deleted meanwhile). The next run tries again
    to read these files.
    """

    topic: str
    base_dir: str
    files: int
    lines: int
    blank: int
    truncated: int
    unreadable: int


def ingest_log_files(
    services: Services,
    *,
    topic: str,
    base_dir: Path,
    patterns: Sequence[str] = PATTERNS,
    batch: int = 1000,
    delay_s: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> IngestResult:
    """Write the complete lines that exist at the start and that no earlier run wrote.

    A file that cannot be read is logged, counted and skipped.

    The position of a file is saved after each batch is durable. After a crash between these two
    steps, the next run writes the batch again with the same line ids: no line is lost, and the
    index stores each line once. Lines that are appended during the run (for example to the
    platform's own logs) are written by the next run.

    Parameters
    ----------
    services
        ``stream`` and ``state`` are used.
    topic
        Created if it does not exist. All lines of a file go to one partition, in their order.
    base_dir, patterns
        The files to read, see :func:`vigie.anomaly.ingest.log_files.find_files`.
    batch
        Maximum number of lines per batch; a batch of long lines has fewer lines.
    delay_s
        Pause after each batch.
    sleep
        Function that pauses; tests pass their own.

    Raises
    ------
    NotEnoughDataError
        No file matches.
    DataError
        ``batch``, ``delay_s`` or a pattern is invalid.
    """
    if batch < 1 or delay_s < 0:
        raise DataError(f"batch must be at least 1 and delay at least 0, not {batch}, {delay_s}")
    files = find_files(base_dir, patterns)
    if not files:
        raise NotEnoughDataError(f"no file below {base_dir} matches {', '.join(patterns)}", found=0)
    services.stream.create_topic(topic)
    writer = _Writer(services.stream, services.state, topic, base_dir, batch)
    ends = {path: end for path in files if (end := _size(path)) is not None}
    tally = _Tally(unreadable=len(files) - len(ends))
    for path, end in ends.items():
        try:
            for lines in writer.write_file(path, end):
                tally.add(lines)
                sleep(delay_s)
        except OSError as exc:  # Only files raise OSError; stores raise errors of vigie.errors.
            tally.unreadable += 1
            _warn(path, exc)
    log.info("wrote %d lines of %d files to %s", tally.lines, len(files), topic)
    return IngestResult(topic=topic, base_dir=str(base_dir), files=len(files), **asdict(tally))


@dataclass(slots=True)
class _Tally:
    lines: int = 0
    blank: int = 0
    truncated: int = 0
    unreadable: int = 0

    def add(self, lines: Sequence[LogLine]) -> None:
        written = [line for line in lines if not line.is_blank]
        self.lines += len(written)
        self.blank += len(lines) - len(written)
        self.truncated += sum(line.sha256 is not None for line in written)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError as exc:
        _warn(path, exc)
        return None


def _warn(path: Path, exc: OSError) -> None:
    log.warning("skipped %s: %s", path, exc.strerror or exc)


class _Writer:
    """Write the lines of files to one topic, and save the read position of each file."""

    def __init__(
        self, stream: LogStream, state: StateStore, topic: str, base_dir: Path, batch: int
    ) -> None:
        self._stream, self._state = stream, state
        self._topic, self._base_dir, self._batch = topic, base_dir, batch
        self._partitions = stream.partitions(topic)

    def write_file(self, path: Path, end: int) -> Iterator[list[LogLine]]:
        """Write the new lines of a file; yield each batch after the read position is saved."""
        file = file_key(path)
        if file is None:
            return
        key = state_keys.ingested_file(self._topic, file)
        stored = self._state.get(key)
        position = resume(path, file, stored)
        if stored and position.generation != stored.get("generation"):
            log.info("%s was truncated or its position is invalid; reading from the start", path)
            self._state.put(key, position.as_state())
        for lines in _batches(read_lines(path, position.offset, end), self._batch):
            self._produce(path, position, [line for line in lines if not line.is_blank])
            position = replace(position, offset=lines[-1].next_offset)
            self._state.put(key, position.as_state())
            yield lines

    def _produce(self, path: Path, position: ReadPosition, lines: Sequence[LogLine]) -> None:
        """Write lines of a file; an error contains the offset of the first unconfirmed line.

        This line and later lines may have been written. The next run writes them again with the
        same ids.
        """
        if not lines:
            return
        source = path.relative_to(self._base_dir).as_posix()
        messages = [_message(position, source, line) for line in lines]
        try:
            self._stream.produce(
                self._topic, messages, partition_of(position.file, self._partitions)
            )
        except VigieError as exc:
            first = exc.first if isinstance(exc, UndeliveredError | RefusedMessageError) else 0
            raise _error_type(exc)(
                f"{path}: writing failed at the line at byte {lines[first].offset}; the next run "
                f"starts with the batch that contains this line ({exc})"
            ) from exc


def _error_type(error: VigieError) -> type[VigieError]:
    """Return the base class of ``error`` whose constructor takes only a message."""
    return next((kind for kind in _ERROR_TYPES if isinstance(error, kind)), VigieError)


def _message(position: ReadPosition, source: str, line: LogLine) -> Message:
    headers = {"source": source, "line_id": position.line_id(line.offset, line.raw)}
    if line.sha256 is not None:
        headers |= {"sha256": line.sha256, "original_length": str(line.length)}
    return Message(line.raw, headers)


def partition_of(file: str, partitions: int) -> int:
    """Return the partition of a file, which depends on its key and the number of partitions.

    Examples
    --------
    >>> sorted({partition_of(f"file {n}", 4) for n in range(20)})
    [0, 1, 2, 3]
    """
    return zlib.crc32(file.encode()) % partitions


def _batches(lines: Iterator[LogLine], size: int) -> Iterator[list[LogLine]]:
    """Yield batches that end after ``size`` lines or when they reach ``MAX_BATCH_BYTES``."""
    batch: list[LogLine] = []
    n_bytes = 0
    for line in lines:
        batch.append(line)
        n_bytes += len(line.raw)
        if len(batch) == size or n_bytes >= MAX_BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch
