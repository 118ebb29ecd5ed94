"""The reference profile: a summary of a reference table, stored in a bundle as ``profile.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vigie.drift.values import Floats, column, usable_keys, usable_numbers
from vigie.errors import DataError

SCHEMA = 1
#: Deciles show the shape of a distribution, and with 50 rows no bin is expected to be empty.
N_BINS = 10
#: A sample of k order statistics determines the distribution function within 1/(2k).
MAX_SAMPLE = 1000
MAX_CATEGORIES = 200  # rarer categories are counted together
NUMERIC_TYPES = frozenset({"float", "integer"})


def build_profile(
    frame: pd.DataFrame, types: Mapping[str, str], *, max_sample: int = MAX_SAMPLE
) -> dict[str, Any]:
    """Return a summary of a reference table in JSON types.

    ``types`` maps each feature to its type; other columns are ignored. ``float`` and ``integer``
    are numeric, and all other types are categories. At most ``max_sample`` values of a numeric
    column are kept. If all its values are kept, the KS statistic of the column is exact.

    Raises
    ------
    DataError
        There are no rows or no features, or the table does not have each feature exactly once.

    Examples
    --------
    >>> profile = build_profile(pd.DataFrame({"age": [30, 40, 40, None]}), {"age": "integer"})
    >>> profile["columns"]["age"]["n_missing"]
    1
    """
    if missing := [name for name in types if name not in frame.columns]:
        raise DataError(f"the reference table lacks the columns {', '.join(missing)}")
    if frame.empty or not types:
        raise DataError("a reference profile needs at least one row and one feature")
    columns = {}
    for name, kind in types.items():
        series = column(frame, name)
        is_numeric = kind in NUMERIC_TYPES
        columns[name] = _numeric(series, max_sample) if is_numeric else _category(series)
    return {"schema": SCHEMA, "n_rows": len(frame), "columns": columns}


def _numeric(series: pd.Series, max_sample: int) -> dict[str, Any]:
    values = usable_numbers(series)
    n = int(values.size)
    body: dict[str, Any] = {"kind": "numeric", "n": n, "n_missing": len(series) - n}
    if not n:
        return body
    edges = bin_edges(values)
    is_constant = values[0] == values[-1]
    return body | {
        "mean": float(values.mean()),
        "std": 0.0 if is_constant else float(values.std()),
        "min": float(values[0]),
        "max": float(values[-1]),
        "edges": edges.tolist(),
        "counts": bin_counts(values, edges).tolist(),
        "sample": thin(values, max_sample).tolist(),
    }


def bin_edges(values: Floats) -> Floats:
    """Return bin edges of sorted values: bin i holds ``edges[i-1] < x <= edges[i]``.

    The edges are deciles. Equal edges are merged, so no bin has zero width. The first bin is for
    values below the reference values, the last for values above them.

    Examples
    --------
    >>> bin_counts(np.array([4.0, 5.0, 6.0]), bin_edges(np.array([5.0, 5.0]))).tolist()
    [1, 1, 1]
    """
    inner = np.quantile(values, np.arange(1, N_BINS + 1) / N_BINS, method="inverted_cdf")
    return np.unique(np.concatenate(([np.nextafter(values[0], -np.inf)], inner)))


def bin_counts(values: Floats, edges: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Count sorted values per bin of :func:`bin_edges`; the last bin has no upper limit."""
    ranks = np.searchsorted(values, edges, side="right")
    return np.diff(np.concatenate(([0], ranks, [values.size]))).astype(np.int64)


def thin(values: Floats, size: int) -> Floats:
    """Return at most ``size`` of the sorted values, evenly spaced by rank."""
    if values.size <= size:
        return values
    levels = (np.arange(size) + 0.5) / size
    return np.asarray(values[np.ceil(levels * values.size).astype(int) - 1])


def _category(series: pd.Series) -> dict[str, Any]:
    counts = usable_keys(series)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    n = sum(counts.values())
    return {
        "kind": "category",
        "n": n,
        "n_missing": len(series) - n,
        "counts": dict(ranked[:MAX_CATEGORIES]),
        "n_other": sum(count for _, count in ranked[MAX_CATEGORIES:]),
    }
