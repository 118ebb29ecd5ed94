"""Fit one candidate and choose its decision threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from vigie.errors import DataError
from vigie.training.candidates import build_candidate
from vigie.training.design_matrix import Design
from vigie.training.metrics import checked, evaluate
from vigie.training.split import folds, in_content_order

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile


@dataclass(frozen=True, slots=True)
class FittedCandidate:
    """A candidate fitted on the training rows.

    ``metrics`` contains the metrics of the out-of-fold predictions; the selection compares them.
    """

    name: str
    pipeline: Pipeline
    threshold: float
    metrics: dict[str, float]


def fit_candidate(name: str, model: ModelFile, frame: pd.DataFrame) -> FittedCandidate:
    """Fit a candidate on training rows without the hold-out, and choose its threshold.

    The result depends on the model's seed and on the rows, but not on their order.

    Raises
    ------
    DataError
        A value of the target is not one of the model's labels.
    NotEnoughDataError
        A label has fewer than two distinct rows, or the rows cannot be divided into folds.
    """
    frame = in_content_order(frame, [*model.feature_names, model.target])
    y = binary_target(model, frame)
    table = Design.of(model).table(frame)
    p = np.zeros(len(frame))
    for train, test in folds(frame, model.feature_names, y):
        pipeline = build_candidate(name, model, model.training.seed)
        pipeline.fit(table.iloc[train], y[train])
        p[test] = pipeline.predict_proba(table.iloc[test])[:, 1]
    threshold = choose_threshold(y, p, model.cost.miss, model.cost.false_alarm)
    pipeline = build_candidate(name, model, model.training.seed).fit(table, y)
    return FittedCandidate(name, pipeline, threshold, evaluate(y, p, threshold, model.cost))


def binary_target(model: ModelFile, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the target as 1 for the positive and 0 for the negative label, shape (n,)."""
    labels = frame[model.target]
    if (bad := ~labels.isin(model.labels)).any():
        raise DataError(
            f"{model.name}: the target contains {str(labels[bad].iloc[0])!r}; "
            f"expected {' or '.join(model.labels)}"
        )
    return np.asarray(labels == model.positive_label, dtype=np.int64)


def choose_threshold(y: ArrayLike, p: ArrayLike, miss: float, false_alarm: float) -> float:
    """Return the threshold ``t`` (alarm if ``p >= t``) with the lowest cost on these rows.

    ``p`` must be out-of-fold probabilities of training rows, not of the hold-out. The threshold is
    the midpoint of two neighbouring probabilities, or is outside their range. If several thresholds
    have the lowest cost, the result is the one closest to ``false_alarm / (miss + false_alarm)``,
    the optimum for calibrated probabilities (Elkan, 2001). If all rows have the same label, the
    result is this optimum.

    Examples
    --------
    >>> choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], miss=1, false_alarm=1)
    0.4
    >>> choose_threshold([0, 0, 0], [0.1, 0.2, 0.3], miss=9, false_alarm=1)
    0.1
    """
    truth, probability = checked(y, p)
    ideal = false_alarm / (miss + false_alarm)
    if truth.all() or not truth.any():
        return ideal
    seen, place = np.unique(probability, return_inverse=True)
    positives = np.bincount(place, weights=truth)
    negatives = np.bincount(place, weights=~truth)
    # Entry i counts the errors of a threshold between the values i - 1 and i.
    missed = np.concatenate([[0.0], np.cumsum(positives)])
    alarmed = negatives.sum() - np.concatenate([[0.0], np.cumsum(negatives)])
    costs = miss * missed + false_alarm * alarmed
    edges = np.concatenate([[0.0], seen, [np.nextafter(1.0, 2.0)]])
    thresholds = (edges[:-1] + edges[1:]) / 2
    thresholds[-1] = max(thresholds[-1], np.nextafter(seen[-1], 2.0))
    cheapest = np.flatnonzero(np.isclose(costs, costs.min(), rtol=1e-12, atol=0.0))
    return float(thresholds[cheapest[np.argmin(np.abs(thresholds[cheapest] - ideal))]])
