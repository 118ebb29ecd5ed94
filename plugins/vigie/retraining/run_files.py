"""Files of a retraining run: its training table and its staged candidates.

Every path contains the run's id, so a retry finds the files of the first try.
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
REPORT = "report.json"  # Metrics and origin of a staged candidate, staged with its bundle files.


def checked_run(run_id: str) -> str:
    """Return the id of a run, or raise DataError if it cannot be part of a file name."""
    if not _RUN.fullmatch(run_id):
        raise DataError(f"invalid run id {run_id[:80]!r}; expected up to 200 of A-Z a-z 0-9 _ . -")
    return run_id


def dataset_path(paths: ProjectPaths, model: str, run_id: str) -> Path:
    """Return the path of a run's training table."""
    return paths.data / "training" / model / f"{checked_run(run_id)}.parquet"


def staging_folder(paths: ProjectPaths, model: str, run_id: str) -> Path:
    """Return the folder of a run's staged candidates; each has its own folder in it."""
    return paths.artifacts / model / ".staging" / checked_run(run_id)
