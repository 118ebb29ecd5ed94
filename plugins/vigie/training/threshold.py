"""The decision threshold that costs least."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vigie.training.metrics import checked


def choose_threshold(y: ArrayLike, p: ArrayLike, miss: float, false_alarm: float) -> float:
    """Return the threshold ``t`` (alarm if ``p >= t``) with the least cost on these rows.

    Use out-of-fold probabilities of training rows, never the hold-out's. The threshold lies
    half-way between two probabilities that were seen. Of equally cheap ones it is the one nearest
    to ``false_alarm / (miss + false_alarm)``, which is optimal for calibrated probabilities (Elkan,
    2001), and that value itself when the rows hold only one label, since they then say nothing
    about the trade.

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
    missed = np.concatenate(
        [[0.0], np.cumsum(positives)]
    )  # with the threshold above the first i values
    alarmed = negatives.sum() - np.concatenate([[0.0], np.cumsum(negatives)])
    costs = miss * missed + false_alarm * alarmed
    edges = np.concatenate([[0.0], seen, [np.nextafter(1.0, 2.0)]])
    thresholds = (edges[:-1] + edges[1:]) / 2
    thresholds[-1] = max(thresholds[-1], np.nextafter(seen[-1], 2.0))
    cheapest = np.flatnonzero(np.isclose(costs, costs.min(), rtol=1e-12, atol=0.0))
    return float(thresholds[cheapest[np.argmin(np.abs(thresholds[cheapest] - ideal))]])
