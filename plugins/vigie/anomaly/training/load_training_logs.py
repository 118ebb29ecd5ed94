"""Draw a sample of log lines for the training of detectors."""

from __future__ import annotations

import gzip
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.anomaly.ingest.log_files import PATTERNS, find_files, log_folder, read_lines
from vigie.anomaly.scoring.normalise import MAX_BYTES
from vigie.anomaly.training.dataset import sample_path
from vigie.catalogue import TRAINING_LOG_LINES
from vigie.encoding import write_atomic
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

MIN_LINES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLogsResult(JobResult):
    """Path and size of the sample, and numbers of the available files and lines."""

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
) -> TrainingLogsResult:
    """Write a uniform sample of the complete log lines to ``data/training/logs/RUN_ID.txt.gz``.

    The sample keeps the order of the lines and has no blank lines. The same files, size and seed
    give the same sample. A failure leaves no incomplete file.

    Parameters
    ----------
    services
        Only ``paths`` is used.
    run_id
        Name of the sample file.
    base_dir, patterns
        The log files to read. If ``base_dir`` is None, the folder is ``data/kafka`` if it contains
        log files, else the log folder of the local platform.
    max_lines
        Maximum number of sampled lines, at least ``MIN_LINES``. A long line is truncated to the
        part that is normalised.
    seed
        Seed of the random draw.

    Raises
    ------
    NotEnoughDataError
        The files contain fewer than ``MIN_LINES`` complete lines that are not blank.
    DataError
        ``max_lines`` is too small, or a pattern is invalid.
    """
    base = base_dir or log_folder(services.paths.data, services.paths.local)
    sample = sample_lines(base, patterns, max_lines, seed)
    path = sample_path(services.paths, run_id)
    write_atomic(path, gzip.compress(b"\n".join(sample.lines), mtime=0))
    n_lines = len(sample.lines)
    log.info("sampled %d of %d lines below %s", n_lines, sample.seen, base)
    return TrainingLogsResult(
        dataset=str(path),
        base_dir=str(base),
        files=sample.files,
        lines_seen=sample.seen,
        lines=n_lines,
        metrics=[Sample(TRAINING_LOG_LINES, float(n_lines))],
    )


@dataclass(frozen=True, slots=True)
class LineSample:
    """A sample of lines in their original order, and the numbers of available lines and files."""

    lines: list[bytes]
    seen: int
    files: int


def sample_lines(base: Path, patterns: Sequence[str], max_lines: int, seed: int = 0) -> LineSample:
    """Draw a uniform sample of the complete lines that are not blank.

    Source: Vitter, *Random Sampling with a Reservoir* (1985), algorithm R.
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
        reason = f"found {seen} log lines below {base}; training needs at least {MIN_LINES}"
        raise NotEnoughDataError(reason, found=seen, needed=MIN_LINES)
    return LineSample([raw for _, raw in sorted(kept)], seen, len(files))


def _complete_lines(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        try:
            for line in read_lines(path, 0, path.stat().st_size):
                if not line.is_blank:
                    yield line.raw[:MAX_BYTES]
        except OSError as exc:  # no permission, or the file was deleted meanwhile
            log.warning("skipped %s: %s", path, exc.strerror or exc)
