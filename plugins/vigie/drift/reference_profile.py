"""The reference of a champion, small enough to travel in its bundle (``profile.json``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from vigie.drift.values import Floats, column, usable_keys, usable_numbers
from vigie.errors import DataError

SCHEMA = 1
#: Deciles: enough to see a shape, few enough that a bin of 50 rows is not empty.
N_BINS = 10
#: A sample of k order statistics places the distribution function within 1/(2k).
MAX_SAMPLE = 1000
#: Rarer categories are counted together.
MAX_CATEGORIES = 200

NUMERIC_TYPES = frozenset({"float", "integer"})


class FeatureLike(Protocol):
    """What a profile needs of a feature; ``vigie.models`` has the whole."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...


def build_profile(
    frame: pd.DataFrame, features: Sequence[FeatureLike], *, max_sample: int = MAX_SAMPLE
) -> dict[str, Any]:
    """Summarise a reference table as JSON types.

    Parameters
    ----------
    frame
        The training reference; other columns than the features are ignored.
    features
        Numeric when ``type`` is ``float`` or ``integer``, else categories.
    max_sample
        Longest sample kept of a numeric column; a column that fits is kept whole (its KS statistic
        is exact).

    Raises
    ------
    DataError
        No rows, no features, or a feature that the table lacks.

    Examples
    --------
    >>> from types import SimpleNamespace as Feature
    >>> age = Feature(name="age", type="integer")
    >>> profile = build_profile(pd.DataFrame({"age": [30, 40, 40, None]}), [age])
    >>> profile["columns"]["age"]["n_missing"]
    1
    """
    missing = [feature.name for feature in features if feature.name not in frame.columns]
    if missing:
        raise DataError(f"the reference table lacks the columns {', '.join(missing)}")
    if frame.empty or not features:
        raise DataError("a reference profile needs at least one row and one feature")
    columns = {
        feature.name: (
            _numeric(column(frame, feature.name), max_sample)
            if feature.type in NUMERIC_TYPES
            else _category(column(frame, feature.name))
        )
        for feature in features
    }
    return {"schema": SCHEMA, "n_rows": len(frame), "columns": columns}


def _numeric(series: pd.Series, max_sample: int) -> dict[str, Any]:
    values = usable_numbers(series)
    body: dict[str, Any] = {
        "kind": "numeric",
        "n": int(values.size),
        "n_missing": len(series) - int(values.size),
    }
    if not values.size:
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
    """Return frozen bin edges of sorted values: bin i holds ``edges[i-1] < x <= edges[i]``.

    Deciles, of which equal ones are merged (no bin of zero width; a frequent value gets a bin of
    its own), and a bin on either side for what the reference never had.

    Examples
    --------
    >>> bin_counts(np.array([4.0, 5.0, 6.0]), bin_edges(np.array([5.0, 5.0]))).tolist()
    [1, 1, 1]
    """
    inner = np.quantile(values, np.arange(1, N_BINS + 1) / N_BINS, method="inverted_cdf")
    return np.unique(np.concatenate(([np.nextafter(values[0], -np.inf)], inner)))


def bin_counts(values: Floats, edges: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Count sorted values in the bins of :func:`bin_edges`; the last bin is open."""
    ranks = np.searchsorted(values, edges, side="right")
    return np.diff(np.concatenate(([0], ranks, [values.size]))).astype(np.int64)


def thin(values: Floats, size: int) -> Floats:
    """Return sorted values themselves, or ``size`` of them at the middle of equal steps of rank."""
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
