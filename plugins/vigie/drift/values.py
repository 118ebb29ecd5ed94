"""Columns as numbers and as category keys, whatever type pandas gave them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vigie.errors import DataError

#: Beyond this a square overflows a double, and with it every mean and deviation: counted as
#: infinite.
LARGEST = 1e150

Floats = npt.NDArray[np.float64]


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return one column; a name that stands for two columns is refused."""
    found = frame[name]
    if isinstance(found, pd.DataFrame):
        raise DataError(f"the table has {found.shape[1]} columns called {name!r}; expected one")
    return found


def usable_numbers(series: pd.Series) -> Floats:
    """Return the finite numbers of a column, sorted.

    NaN, None, infinities and text that is no number are *unusable*: the caller counts them as
    missing.

    Examples
    --------
    >>> usable_numbers(pd.Series([3, "1", None, "n/a", float("inf")], dtype=object))
    array([1., 3.])
    """
    if not (pd.api.types.is_numeric_dtype(series.dtype) and isinstance(series.dtype, np.dtype)):
        series = pd.to_numeric(series.astype(object), errors="coerce")
    if series.dtype.kind == "c":
        raise DataError(f"column {series.name!r} holds complex numbers")
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.sort(values[np.abs(values) <= LARGEST])


def usable_keys(series: pd.Series) -> dict[str, int]:
    """Count a column's categories by a key that is the same for every file format.

    Examples
    --------
    >>> usable_keys(pd.Series([True, 1, 1.0, "1", "x", None], dtype=object))
    {'1': 4, 'x': 1}
    """
    present = series[series.notna()]
    try:
        found = present.value_counts(sort=False).items()
    except TypeError:  # lists and other values that cannot be hashed
        return dict(Counter(map(_key, present)))
    counts: Counter[str] = Counter()
    for value, n in found:
        counts[_key(value)] += int(n)
    return dict(counts)


def _key(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
