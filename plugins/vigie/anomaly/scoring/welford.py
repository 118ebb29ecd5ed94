"""Running mean and variance of numbers, one at a time or in batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 256
"""Number of values per prefix sum. In a smaller chunk the shift is closer to the running mean."""


@dataclass(frozen=True, slots=True)
class Welford:
    """Running mean and sample variance.

    Source: Welford, *Note on a method for calculating corrected sums of squares and products*
    (1962). With ``n`` numbers seen, ``m2`` is the sum of squared distances from their mean.

    Examples
    --------
    >>> w = Welford().update(1.0).update(2.0).update(4.0)
    >>> w.n, round(w.mean, 4), round(w.var, 4)
    (3, 2.3333, 2.3333)
    >>> Welford().mean, Welford().update(7.0).var
    (nan, nan)
    """

    n: int = 0
    total_mean: float = 0.0
    m2: float = 0.0

    @property
    def mean(self) -> float:
        """Mean; NaN before the first number."""
        return self.total_mean if self.n else math.nan

    @property
    def var(self) -> float:
        """Sample variance (divided by n - 1); NaN for fewer than two numbers."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation; NaN for fewer than two numbers."""
        return math.sqrt(self.var)

    def update(self, x: float) -> Welford:
        """Return the state after one more finite number."""
        n = self.n + 1
        delta = x - self.total_mean
        mean = self.total_mean + delta / n
        return Welford(n, mean, self.m2 + delta * (x - mean))


def running(
    state: Welford, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Welford]:
    """Return mean and std *before* each of the finite numbers ``x``, and the state after them.

    Except for rounding, the result equals that of calling ``update`` in a loop. It is computed with
    prefix sums of the distances from the mean at the start of each chunk. This shift keeps the sums
    small, which avoids cancellation when the values are large and close together.
    """
    means, stds = np.empty(len(x)), np.empty(len(x))
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        means[part], stds[part], state = _chunk(state, x[part])
    return means, stds, state


def _chunk(
    state: Welford, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Welford]:
    shift = state.total_mean if state.n else float(x[0])
    distance = x - shift
    sums = np.concatenate([[0.0], np.cumsum(distance)])
    squares = np.concatenate([[0.0], np.cumsum(distance * distance)])
    n = state.n + np.arange(len(x) + 1)
    m2 = np.maximum(state.m2 + squares - sums * sums / np.maximum(n, 1), 0.0)
    means = np.where(n > 0, shift + sums / np.maximum(n, 1), np.nan)
    stds = np.where(n > 1, np.sqrt(m2 / np.maximum(n - 1, 1)), np.nan)
    after = Welford(int(n[-1]), float(means[-1]), float(m2[-1]))
    return means[:-1], stds[:-1], after
