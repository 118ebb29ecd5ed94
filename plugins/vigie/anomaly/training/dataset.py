"""Paths of the files that a detector training writes, and the lines of its sample."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.normalise import Normaliser
from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.records import ProjectPaths

EXPERIMENT = "anomaly-detection"


@dataclass(frozen=True, slots=True)
class TrainingLines:
    """Templates of a sample in three parts: 80 % to train, 10 % to calibrate, 10 % to test.

    The position of a line determines its part. The split holds out lines, not templates, so a
    template can be in all parts.
    """

    train: Counter[str]
    calibrate: list[str]
    test: list[str]


def training_folder(paths: ProjectPaths, *names: str) -> Path:
    """Return the path ``data/training``, extended by ``names``."""
    return paths.data.joinpath("training", *names)


def sample_path(paths: ProjectPaths, run_id: str) -> Path:
    """Return the path of the sample of log lines that a run draws."""
    return training_folder(paths, "logs") / f"{run_id}.txt.gz"


def evaluation_path(paths: ProjectPaths, run_id: str) -> Path:
    """Return the path of a run's evaluation, in the folder of the run's detectors."""
    return training_folder(paths, "detectors", run_id) / "evaluation.json"


def run_key(run_id: str, detector: str) -> str:
    """Return the key of a detector's tracked run; training and evaluation use the same key."""
    return f"{run_id}:{detector}"


def read_training_lines(dataset: Path) -> TrainingLines:
    """Read, normalise and split the sample that ``load_training_logs`` wrote.

    Raises
    ------
    DataError
        The file cannot be read or decompressed, or has fewer than 10 lines that are not blank.
    """
    try:
        raw = gzip.decompress(dataset.read_bytes()).split(b"\n")
    except (OSError, EOFError, zlib.error) as exc:
        raise DataError(f"cannot read the sample of log lines {dataset}: {exc}") from exc
    templates = [template for template in Normaliser().templates(raw) if template]
    calibrate, test = templates[8::10], templates[9::10]
    if not test:
        raise DataError(f"{dataset} has {len(templates)} non-blank lines; it needs at least 10")
    train = Counter(line for place, line in enumerate(templates) if place % 10 < 8)
    return TrainingLines(train, calibrate, test)
