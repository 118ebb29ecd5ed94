"""Compare two tables, with or without a model file, and draw the drift page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vigie.drift.decision import detect_drift
from vigie.drift.reference_profile import build_profile
from vigie.drift.values import usable_keys, usable_numbers
from vigie.drift.verdict import ColumnVerdict, DriftVerdict
from vigie.errors import DataError
from vigie.models.model_file import ModelFile
from vigie.records import JobResult
from vigie.reports.table_shape import infer_model

if TYPE_CHECKING:
    from vigie.roles import Services

#: The name of the exported target column, whatever the model calls its own.
EXPORTED_TARGET = "target"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChange:
    """One column: its verdict, and its mean before and now (None for categories)."""

    verdict: ColumnVerdict
    mean_reference: float | None
    mean_current: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisReport(JobResult):
    """What the console prints; ``positives`` are shares of the positive class, None without one."""

    n_reference: int
    n_current: int
    positives_reference: float | None
    positives_current: float | None
    columns: tuple[ColumnChange, ...]
    verdict: DriftVerdict
    path: Path


def analyze_drift(
    services: Services,
    *,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    output: Path,
    model: ModelFile | None = None,
    target: str = EXPORTED_TARGET,
    drift_share: float | None = None,
) -> AnalysisReport:
    """Leave a page at ``output`` and its JSON beside it.

    Only ``services.renderer`` is used: no database. Without a model file the common columns are
    compared, typed by what the tables hold; ``target`` is set apart.

    Raises
    ------
    DataError
        A table is empty, or the tables have no column in common.
    """
    for side, frame in (("reference", reference), ("current", current)):
        if frame.empty:
            raise DataError(f"the {side} table has no rows")
    model = model or infer_model(reference, current, target)
    features = [f for f in model.features if f.name in reference.columns]
    share = model.retrain.drift_share if drift_share is None else drift_share
    verdict = detect_drift(build_profile(reference, features), current, share)
    services.renderer.drift(model, current, reference, output, verdict)
    return AnalysisReport(
        n_reference=len(reference),
        n_current=len(current),
        positives_reference=_positives(model, reference, target),
        positives_current=_positives(model, current, target),
        columns=tuple(_change(column, reference, current) for column in verdict.columns),
        verdict=verdict,
        path=output,
    )


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table. Raises DataError when it is missing or unreadable."""
    import pyarrow as pa

    if not path.is_file():
        raise DataError(f"{path} is not there")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError, pa.ArrowException) as exc:  # pandas' parser errors are ValueErrors
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise DataError(f"{path} is not a readable table: {reason}") from exc


def _change(verdict: ColumnVerdict, reference: pd.DataFrame, current: pd.DataFrame) -> ColumnChange:
    means = [
        _mean(frame[verdict.name])
        if verdict.kind == "numeric" and verdict.name in frame.columns
        else None
        for frame in (reference, current)
    ]
    return ColumnChange(verdict=verdict, mean_reference=means[0], mean_current=means[1])


def _mean(series: pd.Series) -> float | None:
    values = usable_numbers(series)
    return float(values.mean()) if values.size else None


def _positives(model: ModelFile, frame: pd.DataFrame, target: str) -> float | None:
    """Return the share of positives among the rows with a target."""
    name = next((n for n in (model.target, target) if n in frame.columns), None)
    counts = usable_keys(frame[name]) if name else {}
    positive = {model.positive_label, model.positive_value} - {""}
    known = positive | {model.negative_label, model.negative_value} - {""}
    if set(counts) <= {"0", "1"}:
        positive, known = {"1"}, {"0", "1"}
    total = sum(counts.get(label, 0) for label in known)
    return sum(counts.get(label, 0) for label in positive) / total if total else None
