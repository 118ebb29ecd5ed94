"""Figures of a binary classifier; an undefined one is nan, never a flattering 0 or 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.models.model_file import Cost


def evaluate(y: ArrayLike, p: ArrayLike, threshold: float, cost: Cost) -> dict[str, float]:
    """Return every figure of some answered rows.

    Parameters
    ----------
    y
        Shape (n,), 1 for the positive label.
    p
        Shape (n,), probability of the positive label.
    cost
        What a miss and a false alarm cost; ``expected_cost`` is per row.
    threshold
        A row is an alarm if ``p >= threshold``.

    Returns
    -------
    dict
        Higher is better for ``average_precision, roc_auc, f1, precision, recall, accuracy``, lower
        for ``log_loss, brier, expected_cost``. Undefined, hence nan: everything without rows; the
        first two and ``recall`` without a positive, ``roc_auc`` without a negative; ``precision``
        without an alarm; ``f1`` with neither a positive nor an alarm. ``n_rows`` and
        ``n_positives`` are there too.

    Raises
    ------
    DataError
        For labels other than 0 and 1, or probabilities outside [0, 1].
    """
    truth, probability = checked(y, p)
    n, positives = len(truth), int(truth.sum())
    alarm = probability >= threshold
    hits, misses = int((truth & alarm).sum()), int((truth & ~alarm).sum())
    false_alarms = int((~truth & alarm).sum())
    ranked = 0 < positives < n
    return {
        "average_precision": average_precision_score(truth, probability) if positives else math.nan,
        "roc_auc": roc_auc_score(truth, probability) if ranked else math.nan,
        "f1": _ratio(2 * hits, 2 * hits + misses + false_alarms),
        "precision": _ratio(hits, hits + false_alarms),
        "recall": _ratio(hits, positives),
        "accuracy": _ratio(n - misses - false_alarms, n),
        "log_loss": log_loss(truth, probability, labels=[False, True]) if n else math.nan,
        "brier": brier_score_loss(truth, probability) if ranked else _brier(truth, probability),
        "expected_cost": _ratio(misses * cost.miss + false_alarms * cost.false_alarm, n),
        "n_rows": float(n),
        "n_positives": float(positives),
    }


def checked(y: ArrayLike, p: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as bool and probabilities as float64, or raise DataError."""
    truth, probability = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != probability.shape:
        raise DataError(
            f"expected two columns of one length, found {truth.shape} and {probability.shape}"
        )
    if not np.isin(truth, (0.0, 1.0)).all():
        raise DataError("expected labels of 0 and 1")
    if not ((probability >= 0) & (probability <= 1)).all():  # NaN fails too
        raise DataError("expected probabilities from 0 to 1")
    return truth.astype(bool), probability


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _brier(truth: np.ndarray, probability: np.ndarray) -> float:
    return float(np.mean((probability - truth) ** 2)) if len(truth) else math.nan
