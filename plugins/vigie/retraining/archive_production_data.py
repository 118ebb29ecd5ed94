"""Archive of the labelled rows that a run used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vigie.encoding import atomic_path, dumps
from vigie.errors import DataError
from vigie.faults import crash_point
from vigie.records import JobResult, LabelledPrediction
from vigie.registry.decisions import decided
from vigie.retraining.run_files import ROW_ID

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.records import ProjectPaths
    from vigie.roles import Ledger, Services

RUN_KEY = b"vigie.run_id"  # Key of the run id in the metadata of a Parquet file.


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveResult(JobResult):
    """The number of rows that the run used, and their archive file, or None without rows."""

    model: str
    run_id: str
    n_rows: int
    path: Path | None


def archive_production_data(services: Services, *, model: ModelFile, run_id: str) -> ArchiveResult:
    """Write the rows that the run claimed to ``data/archive``, then mark them as used.

    Rows that were labelled after the claim stay unused, and rows in other archive files are not
    written again. The file name contains the time of the trigger decision, so a retry after a crash
    replaces the file.
    """
    n_claimed = services.labels.claim(model.name, run_id)
    if n_claimed == 0:
        services.labels.archive(model.name, run_id)
        return ArchiveResult(model=model.name, run_id=run_id, n_rows=0, path=None)
    path = _path(services.paths, services.ledger, model.name, run_id)
    known = _archived_before(path)
    rows = services.labels.claimed(model.name, run_id)
    fresh = [row for row in rows if row.prediction.transaction_id not in known]
    with atomic_path(path) as temporary:
        _write(temporary, fresh, run_id)
    crash_point("archive_after_write")
    n_rows = services.labels.archive(model.name, run_id)
    return ArchiveResult(model=model.name, run_id=run_id, n_rows=n_rows, path=path)


def _path(paths: ProjectPaths, ledger: Ledger, model: str, run_id: str) -> Path:
    """Return the path of the run's archive file; no other run uses this path."""
    trigger = decided(ledger, model, "trigger", run_id)
    if trigger is None or trigger.at is None:
        raise DataError(f"{model}: run {run_id} has no trigger decision: nothing to archive")
    folder, at = paths.data / "archive" / model, trigger.at
    while True:
        path = folder / f"prod_data_archived_{at:%Y%m%d_%H%M%S}.parquet"
        if not path.exists() or _run_of(path) == run_id:
            return path
        at += timedelta(seconds=1)


def _run_of(path: Path) -> str:
    metadata = pq.read_metadata(path).metadata or {}
    return str(metadata.get(RUN_KEY, b"").decode())


def _archived_before(own: Path) -> set[str]:
    """Return the transaction ids in the archive files other than ``own``."""
    others = (p for p in own.parent.glob("prod_data_archived_*.parquet") if p != own)
    return {str(i) for p in others for i in pd.read_parquet(p, columns=[ROW_ID])[ROW_ID]}


def _write(path: Path, rows: Sequence[LabelledPrediction], run_id: str) -> None:
    table = pd.DataFrame(
        {
            ROW_ID: [row.prediction.transaction_id for row in rows],
            "created_at": [row.prediction.created_at for row in rows],
            "model_version": [row.prediction.model_version for row in rows],
            "features": [dumps(row.prediction.features).decode() for row in rows],
            "prediction": [row.prediction.prediction for row in rows],
            "probability": [row.prediction.probability for row in rows],
            "actual": [row.actual for row in rows],
            "labelled_at": [row.labelled_at for row in rows],
        }
    )
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), RUN_KEY: run_id.encode()}
    pq.write_table(arrow.replace_schema_metadata(metadata), path)
