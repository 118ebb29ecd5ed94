"""Convert columns of any pandas type to sorted numbers or to counted category keys."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vigie.errors import DataError

#: Numbers beyond this magnitude count as infinite, because sums of their squares can overflow.
LARGEST = 1e150

Floats = npt.NDArray[np.float64]


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return one column. Raises DataError if several columns have this name."""
    found = frame[name]
    if isinstance(found, pd.DataFrame):
        raise DataError(f"the table has {found.shape[1]} columns called {name!r}; expected one")
    return found


def usable_numbers(series: pd.Series) -> Floats:
    """Return the finite numbers of a column, sorted.

    Missing and infinite values, numbers beyond :data:`LARGEST`, and text that is not a number are
    left out; callers count them as missing. Raises DataError if the column has complex numbers.

    Examples
    --------
    >>> usable_numbers(pd.Series([3, "1", None, "n/a", float("inf")], dtype=object))
    array([1., 3.])
    """
    if not (pd.api.types.is_numeric_dtype(series.dtype) and isinstance(series.dtype, np.dtype)):
        series = pd.to_numeric(series.astype(object), errors="coerce")
    if series.dtype.kind == "c":
        raise DataError(f"column {series.name!r} contains complex numbers")
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.sort(values[np.abs(values) <= LARGEST])


def usable_keys(series: pd.Series) -> dict[str, int]:
    """Return the number of rows per category, without missing values.

    Equal values have the same key even if their types differ, as between CSV and Parquet files.

    Examples
    --------
    >>> usable_keys(pd.Series([True, 1, 1.0, "1", "x", None], dtype=object))
    {'1': 4, 'x': 1}
    """
    present = series[series.notna()]
    try:
        found = present.value_counts(sort=False).items()
    except TypeError:  # The column contains values that cannot be hashed, e.g. lists.
        return dict(Counter(map(_key, present)))
    counts: Counter[str] = Counter()
    for value, n in found:
        counts[_key(value)] += int(n)
    return dict(counts)


def _key(value: Any) -> str:
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole or isinstance(value, bool | np.bool_) else str(value)
