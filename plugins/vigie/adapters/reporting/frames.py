"""Tables as Evidently can take them: same columns on both sides, plain types, bounded length.

One empty, all-NaN, infinite, missing or extra column makes Evidently refuse the whole report
(evidently#1480), and production tables always have one. Here such a column is left out and named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vigie.drift.values import LARGEST, column

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile

#: Evidently's figures grow faster than the rows; a page of 20,000 takes 2.5 s, of a million 130 s.
MAX_ROWS = 20_000
SEED = 0
NUMBERS = frozenset({"float", "integer"})


@dataclass(frozen=True, slots=True)
class Frames:
    """Current and reference rows with the same columns, and what was done to get there."""

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
        """Leave out more columns."""
        return replace(
            self,
            current=self.current.drop(columns=list(reasons)),
            reference=self.reference.drop(columns=list(reasons)),
            numeric=tuple(name for name in self.numeric if name not in reasons),
            categories=tuple(name for name in self.categories if name not in reasons),
            left_out={**self.left_out, **reasons},
        )

    def only(self, name: str) -> Frames:
        """Keep one column."""
        return self.without({c: "" for c in self.names if c != name})


@dataclass(frozen=True, slots=True)
class Sampled:
    """Tables of a length that Evidently draws in seconds, and what was done to get there."""

    frames: dict[str, pd.DataFrame]
    notes: tuple[str, ...]


def sampled(frames: dict[str, pd.DataFrame]) -> Sampled:
    """Take a fixed-seed sample of each table that is longer than ``MAX_ROWS``."""
    notes = tuple(
        f"drawn from a fixed-seed sample of {MAX_ROWS:,} of the {len(frame):,} {side} rows"
        for side, frame in frames.items()
        if len(frame) > MAX_ROWS
    )
    short = {
        side: frame.sample(min(len(frame), MAX_ROWS), random_state=SEED).sort_index()
        for side, frame in frames.items()
    }
    return Sampled({side: frame.reset_index(drop=True) for side, frame in short.items()}, notes)


def prepare(model: ModelFile, current: pd.DataFrame, reference: pd.DataFrame) -> Frames:
    """Cast and align the features of both tables, and sample them when they are long."""
    rows = sampled({"current": current, "reference": reference})
    known = {*model.feature_names, model.target}
    left_out = {str(c): "not a feature of the model" for c in current.columns if c not in known}
    columns: dict[str, list[pd.Series]] = {}
    for feature in model.features:
        pair = _pair(rows.frames, feature.name, feature.type in NUMBERS)
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
        notes=rows.notes,
    )


def _pair(frames: dict[str, pd.DataFrame], name: str, is_number: bool) -> list[pd.Series] | str:
    """Return a column of both tables, or why it cannot be shown."""
    if absent := [side for side, frame in frames.items() if name not in frame.columns]:
        return f"absent from the {' and the '.join(absent)} rows"
    pair = [_cast(column(frame, name), is_number) for frame in frames.values()]
    if empty := [s for s, cells in zip(frames, pair, strict=True) if not cells.notna().any()]:
        return f"no usable value in the {' and the '.join(empty)} rows"
    return pair


def _cast(series: pd.Series, is_number: bool) -> pd.Series:
    """Return float64 with NaN, or text with None; what cannot be read becomes missing."""
    if not is_number:
        return series.astype(object).map(_text).astype(object)
    numbers = pd.to_numeric(series.astype(object), errors="coerce")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(np.where(np.abs(values) <= LARGEST, values, np.nan), name=series.name)


def _text(value: object) -> str | None:
    """Return a category as text; angle brackets would end the page's script (fault row 47)."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).replace("<", "‹").replace(">", "›")[:200]


def summaries(frames: Frames) -> dict[str, dict[str, Any]]:
    """Return the missing shares, means and number of distinct values of each column."""
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
    """Count the rows that repeat an earlier one."""
    return int(frame.duplicated().sum()) if len(frame.columns) else 0
