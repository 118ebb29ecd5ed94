"""Where the detectors' training keeps its files between tasks, and what is in them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.normalise import Normaliser
from vigie.encoding import write_atomic
from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.records import ProjectPaths

EXPERIMENT = "anomaly-detection"


@dataclass(frozen=True, slots=True)
class TrainingLines:
    """Templates of a sample, parted by place: eight of ten to learn from, one to set the threshold,
    one to test.

    The parts share templates, as tomorrow's lines share today's; what is held out is the line, not
    its kind.
    """

    train: Counter[str]
    calibrate: list[str]
    test: list[str]


def training_folder(paths: ProjectPaths, *names: str) -> Path:
    """Return a folder below ``data/training``."""
    return paths.data.joinpath("training", *names)


def sample_path(paths: ProjectPaths, run_id: str) -> Path:
    """Return where a run's sample of log lines lies."""
    return training_folder(paths, "logs") / f"{run_id}.txt.gz"


def evaluation_path(paths: ProjectPaths, run_id: str) -> Path:
    """Return where a run's figures lie, beside its detectors."""
    return training_folder(paths, "detectors", run_id) / "evaluation.json"


def run_key(run_id: str, detector: str) -> str:
    """Return the key under which the tasks of a run share a tracked run a detector."""
    return f"{run_id}:{detector}"


def read_training_lines(dataset: Path) -> TrainingLines:
    """Read and normalise the sample that ``load_training_logs`` wrote.

    Raises
    ------
    DataError
        The file is not there or not such a sample.
    """
    try:
        raw = gzip.decompress(dataset.read_bytes()).split(b"\n")
    except (OSError, EOFError, ValueError) as exc:
        raise DataError(f"{dataset} is not a sample of log lines: {exc}") from exc
    templates = [template for template in Normaliser().templates(raw) if template]
    calibrate, test = templates[8::10], templates[9::10]
    if not test:
        raise DataError(f"{dataset} has {len(templates)} lines, too few to hold some out")
    train = Counter(line for place, line in enumerate(templates) if place % 10 < 8)
    return TrainingLines(train, calibrate, test)


def stage(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a detector's files for the next task."""
    for name, data in files.items():
        write_atomic(folder / name, data)


def read_staged(folder: Path) -> dict[str, bytes]:
    """Read what ``stage`` wrote.

    Raises
    ------
    DataError
        There is nothing.
    """
    files = {
        path.name: path.read_bytes()
        for path in sorted(folder.glob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    if not files:
        raise DataError(f"no trained detector in {folder}")
    return files
