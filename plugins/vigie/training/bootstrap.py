"""Paired, stratified bootstrap of a figure's gain: how sure is it that one model is better?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigie.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_BLOCK = 2_000_000  # weights held at once: 16 MB
_MANY_ROWS = 20_000  # above it an interval of few resamples is narrow enough, and time matters


@dataclass(frozen=True, slots=True)
class Interval:
    """A central interval of the resampled gains."""

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
    """Return the interval of ``metric(challenger) - metric(champion)`` over resampled rows.

    Both answer the same resampled rows (paired: what is hard for one is hard for the other), and
    each resample has as many positives as the data (stratified: no resample without any). A
    contender is its probabilities, shape (n,), and its threshold. An undefined figure counts as 0,
    its worst value.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    n_resamples = 1000 if len(truth) <= _MANY_ROWS else 300
    figures = [_FIGURES[metric](truth, p, t) for p, t in (challenger, champion)]
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK // max(1, len(truth)))
    gains = []
    for start in range(0, n_resamples, size):
        weights = _weights(truth, min(size, n_resamples - start), rng)
        new, old = (np.nan_to_num(figure(weights), nan=0.0) for figure in figures)
        gains.append(new - old)
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(gains), [tail, 1 - tail])
    return Interval(float(low), float(high), n_resamples)


def figure_of(truth: Bools, p: Floats, threshold: float, metric: str) -> float:
    """Return one figure of all rows; nan where it is undefined.

    Raises
    ------
    DataError
        For a metric that the gate does not know.
    """
    if metric not in _FIGURES:
        raise DataError(f"no such metric: {metric!r}; there are: {', '.join(_FIGURES)}")
    return float(_FIGURES[metric](truth, p, threshold)(np.ones((1, len(truth))))[0])


def _weights(truth: Bools, n: int, rng: np.random.Generator) -> Floats:
    """Return how often each row is drawn, shape (n, rows)."""
    weights = np.zeros((n, len(truth)))
    for stratum in (np.flatnonzero(truth), np.flatnonzero(~truth)):
        m = len(stratum)
        if m:
            drawn = rng.integers(0, m, (n, m)) + m * np.arange(n)[:, None]
            weights[:, stratum] = np.bincount(drawn.ravel(), minlength=n * m).reshape(n, m)
    return weights


Figure = Callable[[Floats], Floats]  # weights (n, rows) -> values (n,)


def _curve(truth: Bools, p: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Return hits and false alarms at every threshold, from the highest down; ties are one step."""
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    positive = truth[order]

    def counts(weights: Floats) -> tuple[Floats, Floats]:
        ranked = weights[:, order]
        hits = np.cumsum(ranked * positive, axis=1)[:, ends]
        return hits, np.cumsum(ranked * ~positive, axis=1)[:, ends]

    return counts


def _average_precision(truth: Bools, p: Floats, threshold: float) -> Figure:
    counts = _curve(truth, p)

    def figure(weights: Floats) -> Floats:
        hits, false_alarms = counts(weights)
        precision = hits / np.maximum(hits + false_alarms, 1)  # 0 / 1 where nothing was drawn yet
        steps = np.diff(hits, axis=1, prepend=0.0)
        return _ratio((steps * precision).sum(axis=1), hits[:, -1])

    return figure


def _roc_auc(truth: Bools, p: Floats, threshold: float) -> Figure:
    counts = _curve(truth, p)

    def figure(weights: Floats) -> Floats:
        hits, false_alarms = counts(weights)
        before = np.pad(hits[:, :-1], ((0, 0), (1, 0)))
        steps = np.diff(false_alarms, axis=1, prepend=0.0)
        area = (steps * (hits + before) / 2).sum(axis=1)
        return _ratio(area, hits[:, -1] * false_alarms[:, -1])

    return figure


def _ratio_of(
    part: Callable[[Bools, Bools], Any], whole: Callable[[Bools, Bools], Any]
) -> Callable[[Bools, Floats, float], Figure]:
    def of(truth: Bools, p: Floats, threshold: float) -> Figure:
        alarm = p >= threshold
        above, below = (np.asarray(f(truth, alarm), dtype=np.float64) for f in (part, whole))
        return lambda weights: _ratio(weights @ above, weights @ below)

    return of


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


_FIGURES: dict[str, Callable[[Bools, Floats, float], Figure]] = {
    "average_precision": _average_precision,
    "roc_auc": _roc_auc,
    "f1": _ratio_of(lambda y, a: 2 * (y & a), lambda y, a: 1 * y + a),
    "precision": _ratio_of(lambda y, a: y & a, lambda y, a: a),
    "recall": _ratio_of(lambda y, a: y & a, lambda y, a: y),
    "accuracy": _ratio_of(lambda y, a: y == a, lambda y, a: y | ~y),
}
