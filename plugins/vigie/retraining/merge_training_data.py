"""Build the training table of a run from reference rows and all labelled rows so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vigie import state_keys
from vigie.catalogue import RETRAIN_TRAINING_ROWS
from vigie.encoding import atomic_path, digest
from vigie.errors import NotEnoughDataError
from vigie.faults import crash_point
from vigie.models.reference import load_reference
from vigie.models.tables import frame_of, typed
from vigie.records import JobResult, LabelledPrediction, Sample
from vigie.retraining.run_files import HOLDOUT, ORIGIN, ROW_ID, dataset_path
from vigie.training.split import holdout_mask

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.records import ProjectPaths
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeResult(JobResult):
    """The path, the hash and the row counts of the training table."""

    model: str
    run_id: str
    path: Path
    n_reference: int
    n_production: int
    n_unusable: int  # Rows whose label is not one of the model's labels.
    n_holdout: int
    n_positive: int
    data_hash: str


def merge_training_data(services: Services, *, model: ModelFile, run_id: str) -> MergeResult:
    """Claim the labelled rows and append them to the reference rows, once per run.

    The table is written atomically; a retry reads the existing table. Rows that are labelled after
    the claim belong to the next run. Rows with equal features are either all in the hold-out or all
    in the training rows, on the same side in every run with the same seed and hold-out share.

    Raises
    ------
    NotEnoughDataError
        There is no reference table, or the training rows or the hold-out do not have both labels.
    """
    path = dataset_path(services.paths, model.name, run_id)
    services.labels.claim(model.name, run_id)
    crash_point("merge_after_claim")
    rows = list(services.labels.claimed(model.name, run_id))
    usable = [row for row in rows if row.actual in model.labels]
    key = state_keys.merged_table(model.name, run_id)
    # A file without a state key may belong to a run of another database, because scheduled runs
    # have the same ids in every database.
    if services.state.get(key) is None or not path.is_file():
        frame = _merged(services.paths, model, usable)
        _require_both_classes(model, frame)
        with atomic_path(path) as temporary:
            frame.to_parquet(temporary, index=False)
        services.state.put(key, {"rows": len(frame)})
    return _result(model, run_id, path, n_unusable=len(rows) - len(usable))


def _merged(
    paths: ProjectPaths, model: ModelFile, rows: Sequence[LabelledPrediction]
) -> pd.DataFrame:
    reference = load_reference(model, paths.data)
    reference[ROW_ID] = [f"reference:{i}" for i in range(len(reference))]
    reference[ORIGIN] = "reference"
    parts = [reference, _production(model, rows)] if rows else [reference]
    frame = typed(model, pd.concat(parts, ignore_index=True))
    training = model.training
    frame[HOLDOUT] = holdout_mask(
        frame, list(model.feature_names), training.holdout_share, training.seed
    )
    return frame


def _production(model: ModelFile, rows: Sequence[LabelledPrediction]) -> pd.DataFrame:
    frame = frame_of(model, (row.prediction.features for row in rows))
    frame[model.target] = [row.actual for row in rows]
    frame[ROW_ID] = [row.prediction.transaction_id for row in rows]
    frame[ORIGIN] = "production"
    return frame.drop_duplicates(ROW_ID, ignore_index=True)


def _require_both_classes(model: ModelFile, frame: pd.DataFrame) -> None:
    for side, name in ((~frame[HOLDOUT], "training rows"), (frame[HOLDOUT], "hold-out")):
        counts = frame.loc[side, model.target].value_counts()
        if len(counts) < len(model.labels):
            raise NotEnoughDataError(
                f"{model.name}: the {name} ({int(side.sum())} of {len(frame)} rows) must contain "
                f"the labels {' and '.join(model.labels)}; found {counts.to_dict() or 'none'}"
            )


def _result(model: ModelFile, run_id: str, path: Path, n_unusable: int) -> MergeResult:
    frame = pd.read_parquet(path)
    origins = frame[ORIGIN].value_counts()
    counts = {name: int(origins.get(name, 0)) for name in ("reference", "production")}
    return MergeResult(
        metrics=[
            Sample(RETRAIN_TRAINING_ROWS, float(n), {"model": model.name, "origin": origin})
            for origin, n in counts.items()
        ],
        model=model.name,
        run_id=run_id,
        path=path,
        n_reference=counts["reference"],
        n_production=counts["production"],
        n_unusable=n_unusable,
        n_holdout=int(frame[HOLDOUT].sum()),
        n_positive=int((frame[model.target] == model.positive_label).sum()),
        data_hash=data_hash(frame),
    )


def data_hash(frame: pd.DataFrame) -> str:
    """Return a hash of a table's column names and values."""
    values = np.ascontiguousarray(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    return digest(*map(str, frame.columns), values.tobytes())
