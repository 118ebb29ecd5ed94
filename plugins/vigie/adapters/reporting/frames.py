"""Prepare tables for Evidently: the same columns on both sides, plain types, bounded length.

Evidently refuses a whole report if one column is empty, contains an infinity or exists on one side
only (evidently#1480). Infinities are therefore replaced by missing values. Columns that are empty
or exist on one side only are left out, and the report lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vigie.drift.values import LARGEST, column

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile

#: Evidently takes 2.5 s for 20,000 rows and 130 s for a million.
MAX_ROWS = 20_000
SEED = 0
NUMBERS = frozenset({"float", "integer"})


@dataclass(frozen=True, slots=True)
class Frames:
    """Current and reference rows with the same columns.

    ``left_out`` maps the names of omitted columns to reasons. ``notes`` state which tables were
    sampled.
    """

    current: pd.DataFrame
    reference: pd.DataFrame
    numeric: tuple[str, ...]
    categories: tuple[str, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.current.columns)

    def without(self, reasons: dict[str, str]) -> Frames:
        """Return the tables without the columns in ``reasons``, which states why per name."""
        return replace(
            self,
            current=self.current.drop(columns=list(reasons)),
            reference=self.reference.drop(columns=list(reasons)),
            numeric=tuple(name for name in self.numeric if name not in reasons),
            categories=tuple(name for name in self.categories if name not in reasons),
            left_out={**self.left_out, **reasons},
        )

    def only(self, name: str) -> Frames:
        """Return the tables with a single column."""
        return self.without({c: "" for c in self.names if c != name})


Tables = dict[str, pd.DataFrame]


def sampled(frames: Tables) -> tuple[Tables, tuple[str, ...]]:
    """Return a sample of at most ``MAX_ROWS`` rows of each table, and a note per sampled table."""
    notes = tuple(
        f"charts show a sample of {MAX_ROWS:,} of the {len(frame):,} {side} rows"
        for side, frame in frames.items()
        if len(frame) > MAX_ROWS
    )
    short = {
        side: frame.sample(min(len(frame), MAX_ROWS), random_state=SEED).sort_index()
        for side, frame in frames.items()
    }
    return {side: frame.reset_index(drop=True) for side, frame in short.items()}, notes


def prepare(model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame) -> Frames:
    """Cast and align the features of both tables; sample long tables."""
    tables, notes = sampled({"current": current, "reference": reference})
    known = {*model.feature_names, model.target}
    left_out = {str(c): "not a feature of the model" for c in current.columns if c not in known}
    columns: dict[str, list[pd.Series]] = {}
    for feature in model.features:
        pair = _pair(tables, feature.name, feature.type in NUMBERS)
        if isinstance(pair, str):
            left_out[feature.name] = pair
        else:
            columns[feature.name] = pair
    numeric = {f.name for f in model.features if f.type in NUMBERS}
    return Frames(
        current=pd.DataFrame({name: pair[0] for name, pair in columns.items()}),
        reference=pd.DataFrame({name: pair[1] for name, pair in columns.items()}),
        numeric=tuple(name for name in columns if name in numeric),
        categories=tuple(name for name in columns if name not in numeric),
        left_out=left_out,
        notes=notes,
    )


def _pair(frames: Tables, name: str, is_number: bool) -> list[pd.Series] | str:
    """Return a column of both tables, or the reason why it is left out."""
    if absent := [side for side, frame in frames.items() if name not in frame.columns]:
        return f"absent from the {' and the '.join(absent)} rows"
    pair = [_cast(column(frame, name), is_number) for frame in frames.values()]
    if empty := [s for s, cells in zip(frames, pair, strict=True) if not cells.notna().any()]:
        return f"no usable value in the {' and the '.join(empty)} rows"
    return pair


def _cast(series: pd.Series, is_number: bool) -> pd.Series:
    """Convert a column to float64 if ``is_number``, else to text; an unusable number is NaN."""
    if not is_number:
        return series.astype(object).map(_text).astype(object)
    numbers = pd.to_numeric(series.astype(object), errors="coerce")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(np.where(np.abs(values) <= LARGEST, values, np.nan), name=series.name)


def _text(value: object) -> str | None:
    """Return a category as short text; replace < and >, which could end a script of the page."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).replace("<", "‹").replace(">", "›")[:200]


def summaries(frames: Frames) -> dict[str, dict[str, Any]]:
    """Return missing shares, means, and the number of distinct current values of each column."""
    return {
        name: {
            "missing": float(frames.current[name].isna().mean()),
            "missing_before": float(frames.reference[name].isna().mean()),
            "mean": float(frames.current[name].mean()) if name in frames.numeric else None,
            "mean_before": float(frames.reference[name].mean()) if name in frames.numeric else None,
            "distinct": int(frames.current[name].nunique()),
        }
        for name in frames.names
    }


def duplicates(frame: pd.DataFrame) -> int:
    """Count the rows that repeat an earlier row."""
    return int(frame.duplicated().sum()) if len(frame.columns) else 0
