"""One column of now against its frozen profile: statistics, without the verdict.

NaN, infinities and unreadable values count as missing, and a changed share of missing values is a change like
any other: it is a bin of the histogram, and has a chi-squared test of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vigie.drift.column_tests import (
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
    """Return the statistics of one column, or the reason why there are none."""
    few = min(len(series), body["n"] + body["n_missing"])
    if few < min_rows:
        return ColumnVerdict(
            name=name,
            kind=body["kind"],
            n_current=len(series),
            reason=f"{few} rows of at least {min_rows}",
        )
    if body["kind"] == "numeric":
        return _numeric(name, body, usable_numbers(series), len(series), min_rows)
    return _category(name, body, usable_keys(series), len(series))


def _numeric(
    name: str, body: Mapping[str, Any], values: Floats, n_rows: int, min_rows: int
) -> ColumnVerdict:
    n_missing = n_rows - values.size
    _, p_missing = _missing_test(body, int(values.size), n_missing)
    facts: dict[str, Any] = {"name": name, "kind": "numeric", "n_current": n_rows}
    facts |= {"missing_share": n_missing / n_rows}
    if min(values.size, body["n"]) < min_rows:
        return _only_missing(facts, body, p_missing, int(values.size), n_missing, min_rows)
    sample = np.asarray(body["sample"], dtype=np.float64)
    current_bins = bin_counts(values, np.asarray(body["edges"], dtype=np.float64))
    psi = population_stability(
        np.array([body["n_missing"], *body["counts"]]), np.array([n_missing, *current_bins])
    )
    shift = _shift(body, sample, values)
    statistic = ks_statistic(sample, values)
    p_value = ks_p_value(statistic, body["n"], int(values.size))
    if p_missing is not None:  # two chances to reject: Bonferroni
        p_value = min(1.0, 2 * min(p_value, p_missing))
    return ColumnVerdict(
        **facts,
        test="ks",
        statistic=statistic,
        p_value=p_value,
        psi=psi,
        shift=shift,
        effect=max(psi, shift or 0.0),
        reason=_missing_note(body, n_missing, n_rows),
    )


def _shift(body: Mapping[str, Any], sample: Floats, values: Floats) -> float | None:
    """Return the Wasserstein distance in reference deviations, less that of pure chance; None for a constant."""
    mean, std = body["mean"], body["std"]
    if std <= abs(mean) * np.finfo(np.float64).eps:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        reference, current = (sample - mean) / std, (values - mean) / std
        distance = wasserstein(reference, current)
        noise = wasserstein_noise(reference, body["n"], int(values.size))
    return float(
        np.clip(np.nan_to_num(distance - noise, nan=np.inf), 0.0, np.finfo(np.float64).max)
    )


def _only_missing(
    facts: Mapping[str, Any],
    body: Mapping[str, Any],
    p_missing: float | None,
    n: int,
    n_missing: int,
    min_rows: int,
) -> ColumnVerdict:
    """Judge by the share of missing values alone; if that did not change, there is no telling."""
    psi = population_stability(np.array([body["n_missing"], body["n"]]), np.array([n_missing, n]))
    if psi == 0.0 and min(n, body["n"]) > 0:
        few = min(n, body["n"])
        return ColumnVerdict(**facts, reason=f"{few} usable values of at least {min_rows}")
    return ColumnVerdict(
        **facts,
        test="chi2",
        statistic=_missing_test(body, n, n_missing)[0],
        p_value=1.0 if p_missing is None else p_missing,
        psi=psi,
        effect=psi,
        reason=_missing_note(body, n_missing, n + n_missing),
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
    statistic, p_value = chi_squared(reference, current)
    psi = population_stability(reference, current)
    notes = [_missing_note(body, n_missing, n_rows)]
    if new and not body["n_other"]:
        notes.append("new categories: " + ", ".join(key[:40] for key in new[:5]))
    return ColumnVerdict(
        name=name,
        kind="category",
        n_current=n_rows,
        missing_share=n_missing / n_rows,
        test="chi2",
        statistic=statistic,
        p_value=p_value,
        psi=psi,
        effect=psi,
        reason="; ".join(filter(None, notes)),
    )


def _missing_test(
    body: Mapping[str, Any], n: int, n_missing: int
) -> tuple[float | None, float | None]:
    """Test the share of missing values; (None, None) where neither side misses any."""
    if not n_missing and not body["n_missing"]:
        return None, None
    return chi_squared(np.array([body["n_missing"], body["n"]]), np.array([n_missing, n]))


def _missing_note(body: Mapping[str, Any], n_missing: int, n_rows: int) -> str:
    if not n_missing:
        return ""
    before = body["n_missing"] / (body["n"] + body["n_missing"])
    return (
        f"{n_missing / n_rows:.1%} of the values are missing or not usable (reference {before:.1%})"
    )
