"""What the drift decision says: of each column, and of the whole."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnVerdict:
    """One column: ``is_drifted`` is None when there is no telling; ``reason`` says why, always.

    ``statistic`` and ``p_value`` belong to ``test`` (``ks``: D; ``chi2``: Pearson's statistic;
    small p: change); ``effect`` is the size of the change, comparable between columns and tests:
    the larger of ``psi`` and ``shift``.
    """

    name: str
    kind: str  # numeric, category
    test: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    p_histogram: float | None = None  # of a chi-squared test of the bins, numeric columns only
    p_adjusted: float | None = None  # of all tests of the column, corrected for all columns
    psi: float | None = None
    shift: float | None = None  # Wasserstein distance in reference standard deviations
    effect: float | None = None
    n_current: int = 0
    missing_share: float | None = None
    is_partial: bool = False  # only the share of missing values could be compared
    is_drifted: bool | None = None
    reason: str = ""

    @property
    def p_column(self) -> float | None:
        """The p-value of the column: the smallest of its tests times their number (Bonferroni)."""
        found = [p for p in (self.p_value, self.p_histogram) if p is not None]
        return min(1.0, len(found) * min(found)) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftVerdict:
    """The whole table.

    ``drift_score`` is the share of drifted columns among all columns (0 to 1); ``is_drifted`` says
    whether it is above ``drift_share``, and is None (unknown, which is not *no drift*) when the
    undecided columns could tip it.
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
        """Names of the drifted columns, the strongest first."""
        found = [column for column in self.columns if column.is_drifted]
        return tuple(c.name for c in sorted(found, key=lambda c: -(c.effect or 0.0)))

    @property
    def word(self) -> str:
        """``yes``, ``no`` or ``unknown``, as the ledger writes it."""
        return {True: "yes", False: "no", None: "unknown"}[self.is_drifted]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return dataclasses.asdict(self)
