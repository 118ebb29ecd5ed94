"""Files of a retraining run: its training table and its staged candidates.

Every path contains the id of the run, so a retry uses the files of the first attempt.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.records import ProjectPaths

_RUN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
# Columns of a training table in addition to the features and the target.
HOLDOUT = "holdout"
ROW_ID = "row_id"
ORIGIN = "origin"
REPORT = "report.json"  # Metrics and origin of a candidate, staged next to the bundle files.


def checked_run(run_id: str) -> str:
    """Return the id of a run, or raise DataError if it cannot be part of a file name."""
    if not _RUN.fullmatch(run_id):
        expected = "1 to 200 characters from A-Z a-z 0-9 _ . -, the first not . or -"
        raise DataError(f"invalid run id {run_id[:80]!r}; expected {expected}")
    return run_id


def dataset_path(paths: ProjectPaths, model: str, run_id: str) -> Path:
    """Return the path of a run's training table."""
    return paths.data / "training" / model / f"{checked_run(run_id)}.parquet"


def staging_folder(paths: ProjectPaths, model: str, run_id: str) -> Path:
    """Return the folder that contains one folder per staged candidate of a run."""
    return paths.artifacts / model / ".staging" / checked_run(run_id)
