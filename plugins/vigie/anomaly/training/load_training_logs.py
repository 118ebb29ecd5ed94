"""Sample the log lines that detectors learn from."""

from __future__ import annotations

import gzip
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.anomaly.ingest.files import PATTERNS, find_files, log_folder, read_lines
from vigie.anomaly.scoring.normalise import MAX_BYTES
from vigie.anomaly.training.staging import sample_path
from vigie.catalogue import TRAINING_LOG_LINES
from vigie.encoding import write_atomic
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

MIN_LINES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLogsReport(JobResult):
    """Where the sample is, and of what."""

    dataset: str
    base_dir: str
    files: int
    lines_seen: int
    lines: int


def load_training_logs(
    services: Services,
    *,
    run_id: str,
    base_dir: Path | None = None,
    patterns: Sequence[str] = PATTERNS,
    max_lines: int = 5000,
    seed: int = 0,
) -> TrainingLogsReport:
    """Write a uniform sample of all complete lines, in their order, to
    ``data/training/logs/RUN_ID.txt.gz``.

    Nothing is left behind on failure. The same files and seed give the same sample.

    Parameters
    ----------
    services
        Only ``paths`` is used.
    run_id
        Names the file.
    base_dir, patterns
        Which log files; None: ``data/kafka`` if it has any, else the local platform's own.
    max_lines
        Lines of the sample, at most. Of a longer line, what a template looks at is kept.
    seed
        Of the draw.

    Raises
    ------
    NotEnoughDataError
        Fewer than ``MIN_LINES`` lines.
    """
    base = base_dir or log_folder(services.paths.data, services.paths.local)
    sample = sample_lines(base, patterns, max_lines, seed)
    path = sample_path(services.paths, run_id)
    write_atomic(path, gzip.compress(b"\n".join(sample.lines), mtime=0))
    n_lines = len(sample.lines)
    log.info("sampled %d of %d lines below %s", n_lines, sample.seen, base)
    return TrainingLogsReport(
        dataset=str(path),
        base_dir=str(base),
        files=sample.files,
        lines_seen=sample.seen,
        lines=n_lines,
        metrics=[Sample(TRAINING_LOG_LINES, float(n_lines))],
    )


@dataclass(frozen=True, slots=True)
class LineSample:
    """A uniform sample of the lines of some files, in their order."""

    lines: list[bytes]
    seen: int
    files: int


def sample_lines(base: Path, patterns: Sequence[str], max_lines: int, seed: int = 0) -> LineSample:
    """Draw ``max_lines`` of all complete lines (Vitter, algorithm R).

    Raises
    ------
    NotEnoughDataError
        There are fewer than ``MIN_LINES``.
    """
    if max_lines < MIN_LINES:
        raise DataError(f"max_lines must be at least {MIN_LINES}, not {max_lines}")
    files = find_files(base, patterns)
    draw = random.Random(seed)
    kept: list[tuple[int, bytes]] = []
    seen = 0
    for line in _complete_lines(files):
        place = seen if seen < max_lines else draw.randrange(seen + 1)
        if place < max_lines:
            kept[place : place + 1] = [(seen, line)]
        seen += 1
    if seen < MIN_LINES:
        reason = f"{seen} log lines below {base}, {MIN_LINES} are needed"
        raise NotEnoughDataError(reason, found=seen, needed=MIN_LINES)
    return LineSample([raw for _, raw in sorted(kept)], seen, len(files))


def _complete_lines(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        try:
            for line in read_lines(path, 0, path.stat().st_size):
                if not line.is_blank:
                    yield line.raw[:MAX_BYTES]
        except OSError as exc:  # no permission, or gone meanwhile
            log.warning("%s was passed over: %s", path, exc.strerror or exc)
