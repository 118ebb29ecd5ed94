"""Compare two tables, with or without a model file, and write a drift report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from vigie.drift.decision import detect_drift
from vigie.drift.reference_profile import build_profile
from vigie.drift.values import usable_keys, usable_numbers
from vigie.drift.verdict import ColumnVerdict, DriftVerdict
from vigie.errors import DataError
from vigie.models.model_file import Feature, ModelFile
from vigie.records import JobResult
from vigie.roles.sources import ReportData

if TYPE_CHECKING:
    from vigie.roles import Services

#: Name of the target column in an exported dataset; the model file may use another name.
EXPORTED_TARGET = "target"
#: A text column with more than 20 distinct values is omitted as an identifier if they are more than
#: this share of its values.
IDENTIFIER_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChange:
    """The verdict on a column and its two means, each None for a category or without values."""

    verdict: ColumnVerdict
    mean_reference: float | None
    mean_current: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisResult(JobResult):
    """The verdict on two tables and the numbers that the command line prints.

    ``positives_reference`` and ``positives_current`` are the shares of the positive label among the
    rows with a valid label, or None if there is no such row.
    """

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
) -> AnalysisResult:
    """Compare two tables and write a report to ``output``, with a JSON file of the same name.

    No database is needed. ``model`` defines the columns to compare. If it is None, the columns that
    both tables have, except ``target``, identifiers and times, are compared, and the values of the
    reference determine their types. If ``drift_share`` is None, the share of the model file
    applies.

    Raises
    ------
    DataError
        A table is empty, no column can be compared, two columns have the same name, or
        ``drift_share`` is not between 0 and 1.
    """
    for side, frame in (("reference", reference), ("current", current)):
        if frame.empty:
            raise DataError(f"the {side} table has no rows")
    model = model or _infer_model(reference, current, target)
    types = {n: kind for n, kind in model.feature_types.items() if n in reference.columns}
    share = model.retrain.drift_share if drift_share is None else drift_share
    verdict = detect_drift(build_profile(reference, types), current, share)
    data = ReportData(
        model=model,
        current=current,
        reference=reference,
        verdict=verdict.word,
        reasons=verdict.reasons,
        drift=verdict,
    )
    services.renderer.write("data_drift", data, output)
    return AnalysisResult(
        n_reference=len(reference),
        n_current=len(current),
        positives_reference=_positives(model, reference, target),
        positives_current=_positives(model, current, target),
        columns=tuple(_change(column, reference, current) for column in verdict.columns),
        verdict=verdict,
        path=output,
    )


def _change(verdict: ColumnVerdict, reference: pd.DataFrame, current: pd.DataFrame) -> ColumnChange:
    before, now = (_mean(verdict, frame) for frame in (reference, current))
    return ColumnChange(verdict=verdict, mean_reference=before, mean_current=now)


def _mean(verdict: ColumnVerdict, frame: pd.DataFrame) -> float | None:
    if verdict.kind != "numeric" or verdict.name not in frame.columns:
        return None
    values = usable_numbers(frame[verdict.name])
    return float(values.mean()) if values.size else None


def _positives(model: ModelFile, frame: pd.DataFrame, target: str) -> float | None:
    """Return the share of the positive label among the valid labels; None if there are none."""
    name = next((n for n in (model.target, target) if n in frame.columns), None)
    counts = usable_keys(frame[name]) if name else {}
    positive = {model.positive_label, model.positive_value} - {""}
    known = positive | {model.negative_label, model.negative_value} - {""}
    if set(counts) <= {"0", "1"}:
        positive, known = {"1"}, {"0", "1"}
    total = sum(counts.get(label, 0) for label in known)
    return sum(counts.get(label, 0) for label in positive) / total if total else None


def _infer_model(reference: pd.DataFrame, current: pd.DataFrame, target: str) -> ModelFile:
    """Return a model file for the columns that both tables have.

    Numbers in the reference are compared as numbers, text and booleans as categories. Identifiers
    and times are omitted.

    Raises
    ------
    DataError
        No column can be compared, or two columns of the reference have the same name.
    """
    common = [name for name in reference.columns if name in current.columns and name != target]
    kinds = {str(name): _kind(reference[name]) for name in common}
    features = [Feature(name, kind) for name, kind in kinds.items() if kind is not None]
    if not features:
        raise DataError(
            f"the tables have no column in common that can be compared; reference: "
            f"{_names(reference)}; current: {_names(current)}"
        )
    negative, positive = _labels(reference, current, target)
    return ModelFile(
        name="tables",
        title="two tables",
        target=target,
        positive_label=positive,
        negative_label=negative,
        reference="",
        reference_share=1.0,
        features=tuple(features),
        path=Path(),
    )


def _kind(series: pd.Series) -> Literal["float", "category"] | None:
    if isinstance(series, pd.DataFrame):  # pandas returns a table if two columns share a name.
        raise DataError(f"the reference table has several columns called {series.columns[0]!r}")
    if pd.api.types.is_bool_dtype(series.dtype):
        return "category"
    if pd.api.types.is_numeric_dtype(series.dtype):
        return "float"
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return None
    counts = usable_keys(series)
    is_identifier = len(counts) > max(20, IDENTIFIER_SHARE * sum(counts.values()))
    return None if is_identifier else "category"


def _labels(reference: pd.DataFrame, current: pd.DataFrame, target: str) -> tuple[str, str]:
    """Return the two values of the target, sorted, or ("0", "1") if there are not exactly two."""
    tables = [frame for frame in (reference, current) if target in frame.columns]
    values = sorted({key for frame in tables for key in usable_keys(frame[target])})
    return (values[0], values[1]) if len(values) == 2 else ("0", "1")


def _names(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns[:12])) or "none"
