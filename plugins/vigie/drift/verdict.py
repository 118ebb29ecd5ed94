"""Verdicts on the drift of a column and of a table."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnVerdict:
    """The verdict on a column, with its reason; ``is_drifted`` is None for an unknown verdict.

    ``statistic`` and ``p_value`` are the results of ``test`` (``ks``: D; ``chi2``: Pearson's
    statistic). ``effect`` is the size of the change: the larger of ``psi`` and ``shift``. The
    effects of different columns and tests can be compared.
    """

    name: str
    kind: str  # numeric or category
    test: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    p_histogram: float | None = None  # chi-squared test of the bins; numeric columns only
    p_adjusted: float | None = None  # p_column, adjusted for the number of columns
    psi: float | None = None
    shift: float | None = None  # Wasserstein distance in reference standard deviations
    effect: float | None = None
    n_current: int = 0
    missing_share: float | None = None
    is_partial: bool = False  # Usable values exist, but only missing shares were compared.
    is_drifted: bool | None = None
    reason: str = ""

    @property
    def p_column(self) -> float | None:
        """Return the p-value over all tests of the column (Bonferroni); None without a test."""
        found = [p for p in (self.p_value, self.p_histogram) if p is not None]
        return min(1.0, len(found) * min(found)) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftVerdict:
    """The verdict on a table.

    ``drift_score`` is the share of drifted columns among all columns (0 to 1), or None if the
    verdict on every column is unknown. ``is_drifted`` is True if the score exceeds ``drift_share``,
    and None if columns with an unknown verdict could change the result.
    """

    drift_score: float | None
    n_drifted_features: int
    max_feature_drift: float | None
    columns: tuple[ColumnVerdict, ...]
    is_drifted: bool | None
    reasons: tuple[str, ...]
    drift_share: float
    n_reference: int
    n_current: int

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the names of the drifted columns, largest effect first."""
        found = [column for column in self.columns if column.is_drifted]
        return tuple(c.name for c in sorted(found, key=lambda c: -(c.effect or 0.0)))

    @property
    def word(self) -> str:
        """Return ``is_drifted`` as ``yes``, ``no`` or ``unknown``, the words of the ledger."""
        return {True: "yes", False: "no", None: "unknown"}[self.is_drifted]

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as a dictionary of values that JSON supports."""
        return dataclasses.asdict(self)
