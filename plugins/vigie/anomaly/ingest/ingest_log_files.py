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
from vigie.anomaly.ingest.files import PATTERNS, LogLine, find_files, read_lines
from vigie.anomaly.ingest.produce_lines import produce_lines
from vigie.anomaly.ingest.tail import file_key, resume
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

MAX_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(JobResult):
    """How many lines were written; ``blank`` ones carry nothing and were left out.

    ``unreadable`` files (no permission, gone meanwhile) were passed over, wholly or from some line
    on; the next run tries them again.
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
) -> IngestReport:
    """Produce every complete line that was there at the start and not written before.

    A file that cannot be read is warned of and counted; the others are read all the same.

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
        Which files, see :func:`vigie.anomaly.ingest.files.find_files`.
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
    ends = {path: end for path in files if (end := _size(path)) is not None}
    tally = _Tally(unreadable=len(files) - len(ends))
    for path, end in ends.items():
        source = path.relative_to(base_dir).as_posix()
        try:
            for part in _ingest_file(services, topic, partitions, path, source, end, batch):
                tally.add(part)
                sleep(delay_s)
        except OSError as exc:  # of the file: what stores raise is ours
            tally.unreadable += 1
            _warn(path, exc)
    log.info("wrote %d lines of %d files to %s", tally.lines, len(files), topic)
    return IngestReport(topic=topic, base_dir=str(base_dir), files=len(files), **asdict(tally))


@dataclass(slots=True)
class _Tally:
    lines: int = 0
    blank: int = 0
    truncated: int = 0
    unreadable: int = 0

    def add(self, part: Sequence[LogLine]) -> None:
        written = [line for line in part if not line.is_blank]
        self.lines += len(written)
        self.blank += len(part) - len(written)
        self.truncated += sum(line.sha256 is not None for line in written)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError as exc:
        _warn(path, exc)
        return None


def _warn(path: Path, exc: OSError) -> None:
    log.warning("%s was passed over: %s", path, exc.strerror or exc)


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
    key = state_keys.ingested_file(topic, file)
    stored = services.state.get(key)
    position = resume(path, file, stored)
    if stored and position.generation != stored.get("generation"):
        log.info("%s was cut; reading it from the start", path)
        services.state.put(key, position.as_state())
    for lines in _batches(read_lines(path, position.offset, end), batch):
        written = [line for line in lines if not line.is_blank]
        if written:
            where = (topic, partition_of(file, partitions))
            produce_lines(services, where, path, source, position, written)
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
