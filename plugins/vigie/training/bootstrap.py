"""Paired, stratified bootstrap of the difference of a metric between two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vigie.errors import DataError
from vigie.training.metrics import RATIOS, Confusion

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
WeightedMetric = Callable[[Floats], Floats]  # weights, shape (n, rows) -> values, shape (n,)
_BLOCK = 2_000_000  # maximum number of weights in memory: 16 MB
_MANY_ROWS = 20_000  # With more rows, 300 resamples suffice for a narrow interval.


@dataclass(frozen=True, slots=True)
class Interval:
    """The central confidence interval of a gain."""

    low: float
    high: float
    n_resamples: int


def gain_interval(
    truth: Bools,
    challenger: tuple[Floats, float],
    champion: tuple[Floats, float],
    metric: str,
    confidence: float,
    seed: int = 0,
) -> Interval:
    """Return the confidence interval of ``metric(challenger) - metric(champion)``.

    Both models are measured on the same resampled rows (paired), because their errors are
    correlated. Each resample has as many positives as the data (stratified), so that the metrics
    are defined. An undefined metric counts as 0, its worst value. ``truth`` is true for the
    positive label. A model is a pair: its probabilities of the positive label, and its threshold.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    n_resamples = 1000 if len(truth) <= _MANY_ROWS else 300
    metrics = [_METRICS[metric](truth, p, t) for p, t in (challenger, champion)]
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK // max(1, len(truth)))
    gains = []
    for start in range(0, n_resamples, size):
        weights = _weights(truth, min(size, n_resamples - start), rng)
        new, old = (np.nan_to_num(weighted(weights), nan=0.0) for weighted in metrics)
        gains.append(new - old)
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(gains), [tail, 1 - tail])
    return Interval(float(low), float(high), n_resamples)


def metric_value(truth: Bools, p: Floats, threshold: float, metric: str) -> float:
    """Return a metric of all rows, or NaN if it is undefined; an unknown name is a DataError."""
    if metric not in _METRICS:
        raise DataError(f"unknown metric {metric!r}; expected one of: {', '.join(_METRICS)}")
    return float(_METRICS[metric](truth, p, threshold)(np.ones((1, len(truth))))[0])


def _weights(truth: Bools, n: int, rng: np.random.Generator) -> Floats:
    """Return how often each of n resamples contains each row, shape (n, rows)."""
    weights = np.zeros((n, len(truth)))
    for stratum in (np.flatnonzero(truth), np.flatnonzero(~truth)):
        m = len(stratum)
        if m:
            drawn = rng.integers(0, m, (n, m)) + m * np.arange(n)[:, None]
            weights[:, stratum] = np.bincount(drawn.ravel(), minlength=n * m).reshape(n, m)
    return weights


def _curve(truth: Bools, p: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Return a function of weights: cumulative hits and false alarms per score, highest first."""
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    positive = truth[order]

    def counts(weights: Floats) -> tuple[Floats, Floats]:
        ranked = weights[:, order]
        hits = np.cumsum(ranked * positive, axis=1)[:, ends]
        return hits, np.cumsum(ranked * ~positive, axis=1)[:, ends]

    return counts


def _average_precision(truth: Bools, p: Floats, threshold: float) -> WeightedMetric:
    counts = _curve(truth, p)

    def weighted(weights: Floats) -> Floats:
        hits, false_alarms = counts(weights)
        precision = hits / np.maximum(
            hits + false_alarms, 1
        )  # 0 / 1 before the first row of the resample
        steps = np.diff(hits, axis=1, prepend=0.0)
        return _divide((steps * precision).sum(axis=1), hits[:, -1])

    return weighted


def _roc_auc(truth: Bools, p: Floats, threshold: float) -> WeightedMetric:
    counts = _curve(truth, p)

    def weighted(weights: Floats) -> Floats:
        hits, false_alarms = counts(weights)
        before = np.pad(hits[:, :-1], ((0, 0), (1, 0)))
        steps = np.diff(false_alarms, axis=1, prepend=0.0)
        area = (steps * (hits + before) / 2).sum(axis=1)
        return _divide(area, hits[:, -1] * false_alarms[:, -1])

    return weighted


def _ratio(truth: Bools, p: Floats, threshold: float, *, name: str) -> WeightedMetric:
    part, whole = RATIOS[name](Confusion.of_rows(truth, p >= threshold))
    return lambda weights: _divide(weights @ part, weights @ whole)


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


_METRICS: dict[str, Callable[[Bools, Floats, float], WeightedMetric]] = {
    "average_precision": _average_precision,
    "roc_auc": _roc_auc,
    **{name: partial(_ratio, name=name) for name in RATIOS},
}
