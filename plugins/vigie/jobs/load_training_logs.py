"""Sample the log lines that detectors learn from."""

from __future__ import annotations

import gzip
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.catalogue import TRAINING_LOG_LINES
from vigie.encoding import write_atomic
from vigie.errors import DataError, NotEnoughDataError
from vigie.jobs.training_folder import training_folder
from vigie.logs.files import PATTERNS, find_files, log_folder, read_lines
from vigie.logs.normalise import MAX_BYTES
from vigie.records import JobReport, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)

MIN_LINES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLogsReport(JobReport):
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
    if max_lines < MIN_LINES:
        raise DataError(f"max_lines must be at least {MIN_LINES}, not {max_lines}")
    base = base_dir or log_folder(services.paths.data, services.paths.local)
    files = find_files(base, patterns)
    seen, sample = _reservoir(files, max_lines, random.Random(seed))
    if len(sample) < MIN_LINES:
        raise NotEnoughDataError(
            f"{len(sample)} log lines below {base}, {MIN_LINES} are needed",
            found=len(sample),
            needed=MIN_LINES,
        )
    path = training_folder(services.paths, "logs") / f"{run_id}.txt.gz"
    write_atomic(path, gzip.compress(b"\n".join(sample), mtime=0))
    log.info("sampled %d of %d lines of %d files below %s", len(sample), seen, len(files), base)
    return TrainingLogsReport(
        dataset=str(path),
        base_dir=str(base),
        files=len(files),
        lines_seen=seen,
        lines=len(sample),
        metrics=[Sample(TRAINING_LOG_LINES, float(len(sample)))],
    )


def _reservoir(files: Sequence[Path], size: int, draw: random.Random) -> tuple[int, list[bytes]]:
    """Return how many lines there are, and ``size`` of them (Vitter, algorithm R), in their
    order."""
    seen = 0
    kept: list[tuple[int, bytes]] = []
    for path in files:
        for line in read_lines(path, 0, path.stat().st_size):
            if line.is_blank:
                continue
            place = seen if seen < size else draw.randrange(seen + 1)
            item = (seen, line.raw[:MAX_BYTES])
            if place == len(kept):
                kept.append(item)
            elif place < size:
                kept[place] = item
            seen += 1
    return seen, [raw for _, raw in sorted(kept)]
