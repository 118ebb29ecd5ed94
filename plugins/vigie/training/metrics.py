"""Metrics of a binary classifier; an undefined metric is NaN, never 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.models.model_file import Cost


@dataclass(frozen=True, slots=True)
class Confusion:
    """The four cells of a confusion matrix: totals, or arrays with 0 or 1 for each row."""

    hits: Any
    misses: Any
    false_alarms: Any
    correct_rejections: Any

    @classmethod
    def of_rows(cls, truth: NDArray[np.bool_], alarm: NDArray[np.bool_]) -> Confusion:
        """Return arrays of shape (n,); for each row, one of the four cells is 1."""
        cells = (truth & alarm, truth & ~alarm, ~truth & alarm, ~truth & ~alarm)
        return cls(*(cell.astype(np.float64) for cell in cells))

    def total(self) -> Confusion:
        """Return the sums over all rows."""
        cells = (self.hits, self.misses, self.false_alarms, self.correct_rejections)
        return Confusion(*(int(cell.sum()) for cell in cells))

    def metrics(self) -> dict[str, float]:
        """Return f1, precision, recall and accuracy of the totals.

        Examples
        --------
        >>> Confusion(hits=6, misses=2, false_alarms=4, correct_rejections=8).metrics()
        {'f1': 0.6666666666666666, 'precision': 0.6, 'recall': 0.75, 'accuracy': 0.7}
        >>> Confusion(hits=0, misses=2, false_alarms=0, correct_rejections=8).metrics()["precision"]
        nan
        """
        return {name: ratio(*parts(self)) for name, parts in RATIOS.items()}


#: Numerator and denominator of each metric, for totals and, in the bootstrap, for rows.
RATIOS: dict[str, Callable[[Confusion], tuple[Any, Any]]] = {
    "f1": lambda c: (2 * c.hits, 2 * c.hits + c.misses + c.false_alarms),
    "precision": lambda c: (c.hits, c.hits + c.false_alarms),
    "recall": lambda c: (c.hits, c.hits + c.misses),
    "accuracy": lambda c: (
        c.hits + c.correct_rejections,
        c.hits + c.misses + c.false_alarms + c.correct_rejections,
    ),
}


def evaluate(y: ArrayLike, p: ArrayLike, threshold: float, cost: Cost) -> dict[str, float]:
    """Return the metrics of labelled predictions, with the counts ``n_rows`` and ``n_positives``.

    ``y`` is 1 for the positive label, and ``p`` is its probability. A row is an alarm if
    ``p >= threshold``. Higher is better for ``average_precision``, ``roc_auc``, ``f1``,
    ``precision``, ``recall`` and ``accuracy``; lower is better for ``log_loss``, ``brier`` and
    ``expected_cost``, the cost per row.

    Without rows, every metric except the counts is NaN. ``average_precision``, ``roc_auc`` and
    ``recall`` are undefined without a positive label, ``roc_auc`` without a negative label,
    ``precision`` without an alarm, and ``f1`` with neither a positive label nor an alarm.

    Raises
    ------
    DataError
        A label is not 0 or 1, or a probability is outside [0, 1].
    """
    truth, probability = checked(y, p)
    n, positives = len(truth), int(truth.sum())
    confusion = Confusion.of_rows(truth, probability >= threshold).total()
    cost_of_errors = confusion.misses * cost.miss + confusion.false_alarms * cost.false_alarm
    has_both = 0 < positives < n
    return {
        "average_precision": average_precision_score(truth, probability) if positives else math.nan,
        "roc_auc": roc_auc_score(truth, probability) if has_both else math.nan,
        **confusion.metrics(),
        "log_loss": log_loss(truth, probability, labels=[False, True]) if n else math.nan,
        "brier": brier_score_loss(truth, probability) if has_both else _brier(truth, probability),
        "expected_cost": ratio(cost_of_errors, n),
        "n_rows": float(n),
        "n_positives": float(positives),
    }


def checked(y: ArrayLike, p: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as bool and probabilities as float64; invalid values raise DataError."""
    truth, probability = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != probability.shape:
        raise DataError(
            f"expected two columns of equal length, found {truth.shape} and {probability.shape}"
        )
    if not np.isin(truth, (0.0, 1.0)).all():
        raise DataError("expected labels of 0 and 1")
    if not ((probability >= 0) & (probability <= 1)).all():  # also rejects NaN
        raise DataError("expected probabilities from 0 to 1, found another value or NaN")
    return truth.astype(bool), probability


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``, or NaN if ``whole`` is 0."""
    return part / whole if whole else math.nan


def _brier(truth: np.ndarray, probability: np.ndarray) -> float:
    return float(np.mean((probability - truth) ** 2)) if len(truth) else math.nan
