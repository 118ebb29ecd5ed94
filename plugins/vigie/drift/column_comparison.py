"""Comparison of one current column with its reference profile.

In a numeric column, infinities and text that is not a number count as missing. Missing values are a
bin of the histogram, so a changed share of missing values counts as a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vigie.drift.column_tests import (
    Counts,
    chi_squared,
    ks_p_value,
    ks_statistic,
    population_stability,
    wasserstein,
    wasserstein_noise,
)
from vigie.drift.reference_profile import bin_counts
from vigie.drift.values import Floats, usable_keys, usable_numbers
from vigie.drift.verdict import ColumnVerdict


def compare(name: str, body: Mapping[str, Any], series: pd.Series, min_rows: int) -> ColumnVerdict:
    """Compare a column with its profile; return statistics, or the reason if there are none."""
    few = min(len(series), body["n"] + body["n_missing"])
    if few < min_rows:
        return ColumnVerdict(
            name=name,
            kind=body["kind"],
            n_current=len(series),
            reason=f"{few} rows are too few; at least {min_rows} are needed",
        )
    if body["kind"] == "numeric":
        return _numeric(name, body, usable_numbers(series), len(series), min_rows)
    return _category(name, body, usable_keys(series), len(series))


def _numeric(
    name: str, body: Mapping[str, Any], values: Floats, n_rows: int, min_rows: int
) -> ColumnVerdict:
    """Compare numbers with a Kolmogorov-Smirnov test, and histograms with a chi-squared test."""
    n_missing = n_rows - values.size
    common: dict[str, Any] = {
        "name": name,
        "kind": "numeric",
        "n_current": n_rows,
        "missing_share": n_missing / n_rows,
    }
    if min(values.size, body["n"]) < min_rows:
        return _only_missing(common, body, int(values.size), n_missing, min_rows)
    sample = np.asarray(body["sample"], dtype=np.float64)
    counts = bin_counts(values, np.asarray(body["edges"], dtype=np.float64))
    histograms = np.array([body["n_missing"], *body["counts"]]), np.array([n_missing, *counts])
    psi, shift = population_stability(*histograms), _shift(body, sample, values)
    statistic = ks_statistic(sample, values)
    return ColumnVerdict(
        **common,
        test="ks",
        statistic=statistic,
        p_value=ks_p_value(statistic, body["n"], int(values.size)),
        p_histogram=chi_squared(*histograms)[1],
        psi=psi,
        shift=shift,
        effect=max(psi, shift or 0.0),
        reason=_missing_note(body, n_missing, n_rows),
    )


def _shift(body: Mapping[str, Any], sample: Floats, values: Floats) -> float | None:
    """Return the Wasserstein distance in reference standard deviations, corrected for chance.

    The mean distance of equal distributions is subtracted. The result is at least 0, and None if
    the reference column is constant.
    """
    mean, std = body["mean"], body["std"]
    if std <= abs(mean) * np.finfo(np.float64).eps:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        reference, current = (sample - mean) / std, (values - mean) / std
        distance = wasserstein(reference, current)
        noise = wasserstein_noise(reference, body["n"], int(values.size))
    shift = np.nan_to_num(distance - noise, nan=np.inf)
    return float(np.clip(shift, 0.0, np.finfo(np.float64).max))


def _only_missing(
    common: Mapping[str, Any], body: Mapping[str, Any], n: int, n_missing: int, min_rows: int
) -> ColumnVerdict:
    """Compare only the shares of missing values, because too few values are usable.

    If the shares do not show drift, the verdict is unknown; if neither side has a usable value, the
    verdict is no drift.
    """
    shares = np.array([body["n_missing"], body["n"]]), np.array([n_missing, n])
    usable = min(n, body["n"])
    notes = (
        f"{usable} usable values; at least {min_rows} are needed" if usable else "",
        _missing_note(body, n_missing, n + n_missing),
    )
    return ColumnVerdict(
        **common,
        **_histogram_change(*shares),
        is_partial=max(n, body["n"]) > 0,
        reason="; ".join(filter(None, notes)),
    )


def _category(
    name: str, body: Mapping[str, Any], counts: Mapping[str, int], n_rows: int
) -> ColumnVerdict:
    known: Mapping[str, int] = body["counts"]
    n_missing = n_rows - sum(counts.values())
    new = sorted(set(counts) - set(known), key=lambda key: (-counts[key], key))
    reference = np.array([body["n_missing"], *known.values(), body["n_other"]])
    n_new = sum(counts[key] for key in new)
    current = np.array([n_missing, *(counts.get(key, 0) for key in known), n_new])
    notes = [_missing_note(body, n_missing, n_rows)]
    if new and not body["n_other"]:
        notes.append("new categories: " + ", ".join(key[:40] for key in new[:5]))
    return ColumnVerdict(
        name=name,
        kind="category",
        n_current=n_rows,
        missing_share=n_missing / n_rows,
        **_histogram_change(reference, current),
        reason="; ".join(filter(None, notes)),
    )


def _histogram_change(reference: Counts, current: Counts) -> dict[str, Any]:
    statistic, p_value = chi_squared(reference, current)
    psi = population_stability(reference, current)
    return {"test": "chi2", "statistic": statistic, "p_value": p_value, "psi": psi, "effect": psi}


def _missing_note(body: Mapping[str, Any], n_missing: int, n_rows: int) -> str:
    if not n_missing:
        return ""
    share, before = n_missing / n_rows, body["n_missing"] / (body["n"] + body["n_missing"])
    return f"{share:.1%} of the values are missing or unusable (reference: {before:.1%})"
