"""Write the new lines of log files to the stream."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.errors import DataError, NotEnoughDataError, TransientError, UndeliveredError
from vigie.logs.files import PATTERNS, LogLine, find_files, read_lines
from vigie.logs.tail import TailPosition, file_key, resume
from vigie.records import JobReport, Message

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

MAX_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(JobReport):
    """How many lines were written; ``blank`` ones carry nothing and were left out."""

    topic: str
    base_dir: str
    files: int
    lines: int
    blank: int
    truncated: int


def ingest_log_files(
    services: Services,
    *,
    topic: str,
    base_dir: Path,
    patterns: Sequence[str] = PATTERNS,
    batch: int = 1000,
    delay_s: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> IngestReport:
    """Produce every complete line that was there at the start and not written before.

    A file's position is saved after its batch is durable. A crash in between writes that batch
    again, with the same line ids, which the index absorbs; nothing is skipped. What is appended
    meanwhile (our own logs, say) waits for the next run.

    Parameters
    ----------
    services
        ``stream`` and ``state`` are used.
    topic
        Created if it is not there. A file's lines go to one partition, so they stay in order.
    base_dir, patterns
        Which files, see :func:`vigie.logs.files.find_files`.
    batch
        Lines a batch, fewer if they are long.
    delay_s
        Pause after each batch.
    sleep
        How to pause; tests pass their own.

    Raises
    ------
    NotEnoughDataError
        No file matches.
    """
    if batch < 1 or delay_s < 0:
        raise DataError(f"batch must be at least 1 and delay not negative, not {batch}, {delay_s}")
    files = find_files(base_dir, patterns)
    if not files:
        raise NotEnoughDataError(f"no file below {base_dir} matches {', '.join(patterns)}", found=0)
    services.stream.create_topic(topic)
    partitions = services.stream.partitions(topic)
    ends = [path.stat().st_size for path in files]
    lines = blank = truncated = 0
    for path, end in zip(files, ends, strict=True):
        source = path.relative_to(base_dir).as_posix()
        for part in _ingest_file(services, topic, partitions, path, source, end, batch):
            written = [line for line in part if not line.is_blank]
            lines, blank = lines + len(written), blank + len(part) - len(written)
            truncated += sum(line.sha256 is not None for line in written)
            sleep(delay_s)
    log.info("wrote %d lines of %d files to %s", lines, len(files), topic)
    return IngestReport(
        topic=topic,
        base_dir=str(base_dir),
        files=len(files),
        lines=lines,
        blank=blank,
        truncated=truncated,
    )


def _ingest_file(
    services: Services,
    topic: str,
    partitions: int,
    path: Path,
    source: str,
    end: int,
    batch: int,
) -> Iterator[list[LogLine]]:
    """Write one file's new lines and save its position, batch by batch; yield what was written."""
    file = file_key(path)
    if file is None:
        return
    key = f"ingest:{topic}:{file}"
    stored = services.state.get(key)
    position = resume(path, file, stored)
    if stored and position.generation != stored.get("generation"):
        log.info("%s was cut; reading it from the start", path)
        services.state.put(key, position.as_state())
    for lines in _batches(read_lines(path, position.offset, end), batch):
        messages = [_message(position, source, line) for line in lines if not line.is_blank]
        if messages:
            _write(services, topic, partition_of(file, partitions), path, lines, messages)
        position = replace(position, offset=lines[-1].next_offset)
        services.state.put(key, position.as_state())
        yield lines


def partition_of(file: str, partitions: int) -> int:
    """Return a file's partition: always the same while their number is.

    Examples
    --------
    >>> sorted({partition_of(f"file {n}", 4) for n in range(20)})
    [0, 1, 2, 3]
    """
    return zlib.crc32(file.encode()) % partitions


def _write(
    services: Services,
    topic: str,
    partition: int,
    path: Path,
    lines: list[LogLine],
    messages: list[Message],
) -> None:
    """Produce a file's messages, or say which of its lines is the first that is missing."""
    try:
        services.stream.produce(topic, messages, partition)
    except UndeliveredError as exc:
        first = [line for line in lines if not line.is_blank][exc.first]
        raise TransientError(
            f"{path}: the line at byte {first.offset} was not written; the next run begins with "
            f"its batch ({exc})"
        ) from exc


def _message(position: TailPosition, source: str, line: LogLine) -> Message:
    headers = {"source": source, "line_id": position.line_id(line.offset, line.raw)}
    if line.sha256 is not None:
        headers |= {"sha256": line.sha256, "original_length": str(line.length)}
    return Message(line.raw, headers)


def _batches(lines: Iterator[LogLine], size: int) -> Iterator[list[LogLine]]:
    """Cut at ``size`` lines or ``MAX_BATCH_BYTES``, whichever comes first."""
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
