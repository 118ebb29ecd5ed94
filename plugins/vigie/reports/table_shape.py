"""The shape of two tables without a model file: which columns can be compared, and as what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from vigie.drift.values import usable_keys
from vigie.errors import DataError
from vigie.models.model_file import Feature, ModelFile

#: Text with more distinct values than this share of its rows names rows, not kinds of rows.
IDENTIFIER_SHARE = 0.5


def infer_model(reference: pd.DataFrame, current: pd.DataFrame, target: str) -> ModelFile:
    """Describe the columns that both tables have, typed by the reference.

    Numbers are compared as numbers; text as categories, unless it is an identifier; times are left
    out.

    Raises
    ------
    DataError
        No column can be compared.
    """
    features = [
        Feature(str(name), kind)
        for name in reference.columns
        if name in current.columns
        and name != target
        and (kind := _kind(reference[name])) is not None
    ]
    if not features:
        raise DataError(
            f"the tables have no column in common that can be compared; the reference has "
            f"{_names(reference)}, the current one {_names(current)}"
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
    if isinstance(series, pd.DataFrame):  # two columns of one name
        raise DataError(f"the table has two columns called {series.columns[0]!r}")
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
    """Return the two values of the target in order (0, 1 or NO, YES); placeholders without two."""
    tables = [frame for frame in (reference, current) if target in frame.columns]
    values = sorted({key for frame in tables for key in usable_keys(frame[target])})
    return (values[0], values[1]) if len(values) == 2 else ("0", "1")


def _names(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns[:12])) or "none"
