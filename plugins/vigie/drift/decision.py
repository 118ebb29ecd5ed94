"""Decide whether data has drifted: compare all current rows with a reference profile.

A column has drifted if its change is significant and large:

* *significant*: the p-value of its Kolmogorov-Smirnov and chi-squared tests, after Holm's
  correction over all columns, is below ``ALPHA``. Without a correction, 30 columns, tested four
  times per day at a level of 0.01, would give 1.2 false positives per day on average. Holm's method
  is used because it is also valid for correlated columns.
* *large*: ``effect`` is at least ``MIN_EFFECT``. With a million rows even a negligible change has a
  p-value near 0.

The table has drifted if more than ``drift_share`` of its columns have drifted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vigie.drift.column_comparison import compare
from vigie.drift.column_tests import holm
from vigie.drift.reference_profile import SCHEMA
from vigie.drift.values import column
from vigie.drift.verdict import ColumnVerdict, DriftVerdict
from vigie.errors import DataError

#: Largest probability that an unchanged window has a significant column. With four windows per
#: day, 0.05 would allow one false positive every five days, and 0.01 one every 25 days. For one of
#: 30 columns to be significant, 0.01 requires a D that is only about 10 % larger.
ALPHA = 0.01
#: Evidently's default limit for the PSI and for the normalised Wasserstein distance.
MIN_EFFECT = 0.1
#: With fewer rows on both sides, a shift in one of 30 columns is significant only if it is larger
#: than about one standard deviation.
MIN_ROWS = 50


def detect_drift(
    profile: Mapping[str, Any],
    current: pd.DataFrame,
    drift_share: float,
    *,
    min_rows: int = MIN_ROWS,
    alpha: float = ALPHA,
    min_effect: float = MIN_EFFECT,
) -> DriftVerdict:
    """Compare current rows with a profile of :func:`vigie.drift.reference_profile.build_profile`.

    Columns that are not in the profile are ignored. The table has drifted if the share of drifted
    columns is above ``drift_share`` (0 to 1). With fewer than ``min_rows`` rows on either side, the
    verdict on each column is unknown. If a numeric column has fewer usable numbers on either side,
    only its shares of missing values are compared. A change is significant if its adjusted p-value
    is below ``alpha``, and large if its effect is at least ``min_effect``.

    Raises
    ------
    DataError
        The profile has no columns or an unsupported schema, ``drift_share`` or ``min_rows`` is out
        of range, or several current columns have the same name.

    Examples
    --------
    >>> from vigie.drift.reference_profile import build_profile
    >>> frame = pd.DataFrame({"age": range(100)})
    >>> profile = build_profile(frame, {"age": "integer"})
    >>> [detect_drift(profile, rows, 0.3).is_drifted for rows in (frame, frame + 50)]
    [False, True]
    >>> detect_drift(profile, frame.head(3), 0.3).reasons
    ('3 rows are too few; at least 50 are needed',)
    """
    _check(profile, drift_share, min_rows)
    bodies = profile["columns"].items()
    compared = [_compare(name, body, current, min_rows) for name, body in bodies]
    columns = _decide_columns(compared, alpha, min_effect)
    return _conclude(columns, profile["n_rows"], len(current), drift_share, min_rows)


def _check(profile: Mapping[str, Any], drift_share: float, min_rows: int) -> None:
    if not profile.get("columns"):
        raise DataError("the reference profile has no columns; train the model again")
    if profile.get("schema") != SCHEMA:
        raise DataError(
            f"the reference profile has schema {profile.get('schema')!r}, expected {SCHEMA}; "
            "train the model again"
        )
    if not 0 <= drift_share <= 1:
        raise DataError(f"drift_share is {drift_share}; expected a share of columns from 0 to 1")
    if min_rows < 1:
        raise DataError(f"min_rows is {min_rows}; expected at least 1")


def _compare(
    name: str, body: Mapping[str, Any], current: pd.DataFrame, min_rows: int
) -> ColumnVerdict:
    if name not in current.columns:
        return ColumnVerdict(name=name, kind=body["kind"], reason="absent from the current rows")
    return compare(name, body, column(current, name), min_rows)


def _decide_columns(
    columns: Sequence[ColumnVerdict], alpha: float, min_effect: float
) -> tuple[ColumnVerdict, ...]:
    """Decide each column by its adjusted p-value; a column without a p-value stays unknown."""
    tested = {c.name: c.p_column for c in columns if c.p_column is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return tuple(
        _decide_column(c, adjusted[c.name], alpha, min_effect) if c.name in adjusted else c
        for c in columns
    )


def _decide_column(
    column: ColumnVerdict, p_adjusted: float, alpha: float, min_effect: float
) -> ColumnVerdict:
    effect = column.effect or 0.0
    is_significant, is_large = p_adjusted < alpha, effect >= min_effect
    size = f"effect {effect:.3f} {'≥' if is_large else '<'} {min_effect}"
    chance = f"p {p_adjusted:.2g} {'<' if is_significant else '≥'} {alpha} after Holm"
    return dataclasses.replace(
        column,
        p_adjusted=p_adjusted,
        is_drifted=True if is_significant and is_large else None if column.is_partial else False,
        reason="; ".join(filter(None, (f"{size}, {chance}", column.reason))),
    )


def _conclude(
    columns: tuple[ColumnVerdict, ...],
    n_reference: int,
    n_current: int,
    drift_share: float,
    min_rows: int,
) -> DriftVerdict:
    n_drifted = sum(column.is_drifted is True for column in columns)
    n_unknown = sum(column.is_drifted is None for column in columns)
    is_known = n_unknown < len(columns)
    verdict = DriftVerdict(
        drift_score=n_drifted / len(columns) if is_known else None,
        n_drifted_features=n_drifted,
        max_feature_drift=max((c.effect for c in columns if c.effect is not None), default=None),
        columns=columns,
        is_drifted=_exceeds(n_drifted, n_unknown, len(columns), drift_share),
        reasons=(),
        drift_share=drift_share,
        n_reference=n_reference,
        n_current=n_current,
    )
    return dataclasses.replace(verdict, reasons=_reasons(verdict, n_unknown, min_rows))


def _exceeds(n_drifted: int, n_unknown: int, n_columns: int, drift_share: float) -> bool | None:
    """Return whether too many columns drifted; None if unknown columns could change the result."""
    if n_unknown == n_columns:
        return None
    if n_drifted / n_columns > drift_share:
        return True
    return None if (n_drifted + n_unknown) / n_columns > drift_share else False


def _reasons(verdict: DriftVerdict, n_unknown: int, min_rows: int) -> tuple[str, ...]:
    few = [n for n in (verdict.n_current, verdict.n_reference) if n < min_rows]
    if verdict.drift_score is None and few:
        return (f"{few[0]} rows are too few; at least {min_rows} are needed",)
    if verdict.drift_score is None:
        return ("no column could be compared: " + _unknown(verdict.columns),)
    n = len(verdict.columns)
    side = "more than" if verdict.drift_score > verdict.drift_share else "not more than"
    first = (
        f"{verdict.n_drifted_features} of {n} columns drifted ({verdict.drift_score:.0%}), "
        f"{side} the allowed {verdict.drift_share:.0%}"
    )
    drifted = (f"drifted: {', '.join(verdict.drifted[:10])}",) if verdict.drifted else ()
    unknown = (f"unknown ({n_unknown}): {_unknown(verdict.columns)}",) if n_unknown else ()
    return (first, *drifted, *unknown)


def _unknown(columns: Sequence[ColumnVerdict]) -> str:
    named = [f"{c.name} ({c.reason})" for c in columns if c.is_drifted is None]
    return ", ".join(named[:5]) + (" …" if len(named) > 5 else "")
