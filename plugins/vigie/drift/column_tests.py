"""Statistics that compare a reference sample with a current sample.

The functions use numpy and ``scipy.special``, because importing ``scipy.stats`` takes a second. The
unit tests compare the results with those of ``scipy.stats``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from vigie.drift.values import Floats

Counts = npt.NDArray[np.int64]

#: Cochran's rule: chi-squared cells with a smaller expected count are pooled.
MIN_EXPECTED = 5.0


def ks_statistic(reference: Floats, current: Floats) -> float:
    """Return D (0 to 1), the largest distance between two empirical distribution functions.

    Both samples must be sorted and not empty. The reference function is constant between its points
    and the current function is monotone. The largest distance is therefore at a reference point or
    just below it, and binary searches at the reference points are enough.

    Examples
    --------
    >>> ks_statistic(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    0.5
    """
    at = [
        np.searchsorted(sample, reference, side) / sample.size
        for sample in (reference, current)
        for side in ("left", "right")
    ]
    return float(max(np.abs(at[0] - at[2]).max(), np.abs(at[1] - at[3]).max()))


def ks_p_value(statistic: float, n_reference: int, n_current: int) -> float:
    """Return the probability that D is at least ``statistic`` if the distributions are equal.

    The p-value is Kolmogorov's limit with the small-sample correction of Stephens (1970). If there
    are ties, the p-value is too large rather than too small.
    """
    root = np.sqrt(n_reference * n_current / (n_reference + n_current))
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * statistic))


def wasserstein(reference: Floats, current: Floats) -> float:
    """Return the area between two empirical distribution functions, in the unit of the column.

    Both samples must be sorted and not empty. The result is exact: between two reference points the
    reference function is a constant c, and the current function crosses c once, at the c-quantile
    of the current values. Prefix sums of these values then give the area.

    Examples
    --------
    >>> wasserstein(np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0]))
    5.0
    """
    n = current.size
    sums = np.concatenate(([0.0], np.cumsum(current)))

    def area_below(x: Floats) -> Floats:
        rank = np.searchsorted(current, x, "right")
        return np.asarray((rank * x - sums[rank]) / n, dtype=np.float64)

    ends = np.concatenate(
        ([min(reference[0], current[0])], reference, [max(reference[-1], current[-1])])
    )
    level = np.arange(reference.size + 1) / reference.size
    low, high = ends[:-1], ends[1:]
    quantile = current[np.clip(np.ceil(level * n).astype(int) - 1, 0, n - 1)]
    cross = np.clip(quantile, low, high)
    at_low, at_cross, at_high = area_below(low), area_below(cross), area_below(high)
    below = level * (cross - low) - (at_cross - at_low)
    above = (at_high - at_cross) - level * (high - cross)
    return float(np.sum(np.abs(below) + np.abs(above)))


def wasserstein_noise(reference: Floats, n_reference: int, n_current: int) -> float:
    """Return the expectation of :func:`wasserstein` if the distributions are equal.

    At each x the difference of the two distribution functions is normal with variance
    F(1-F)(1/n + 1/m). The mean absolute difference is sqrt(2/pi) standard deviations. The result is
    the integral of this mean over x.
    """
    level = np.arange(1, reference.size) / reference.size
    spread = float(np.sum(np.sqrt(level * (1 - level)) * np.diff(reference)))
    return float(np.sqrt(2 / np.pi * (1 / n_reference + 1 / n_current))) * spread


def population_stability(reference: Counts, current: Counts) -> float:
    """Return the population stability index of two histograms, corrected for chance (0 or more).

    Bins that are empty in both histograms are ignored. Half a count is added to each of the other
    k bins, so that a bin that is empty in one histogram contributes a finite term. If the
    distributions are equal, the index is (1/n + 1/m) times a chi-squared variable with k-1 degrees
    of freedom (Yurdakul 2018). The mean of this product is subtracted.

    Examples
    --------
    >>> round(population_stability(np.array([5000, 5000]), np.array([5000, 5000])), 3)
    0.0
    >>> round(population_stability(np.array([5000, 5000]), np.array([9000, 1000])), 3)
    0.878
    """
    occupied = (reference + current) > 0
    n, m, k = int(reference.sum()), int(current.sum()), int(occupied.sum())
    if k < 2:
        return 0.0
    p = (reference[occupied] + 0.5) / (n + 0.5 * k)
    q = (current[occupied] + 0.5) / (m + 0.5 * k)
    raw = float(np.sum((q - p) * np.log(q / p)))
    return max(0.0, raw - (k - 1) * (1 / n + 1 / m))


def chi_squared(reference: Counts, current: Counts) -> tuple[float, float]:
    """Return Pearson's chi-squared statistic of two histograms, and the p-value.

    Rare bins are pooled until the expected count of each cell is at least ``MIN_EXPECTED``. If only
    one bin remains, the result is (0, 1). Without rare bins the result equals that of
    ``scipy.stats.chi2_contingency(correction=False)``.
    """
    table = _pool_rare(np.vstack([reference, current]).astype(np.float64))
    total = table.sum()
    if table.shape[1] < 2:
        return 0.0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(special.chdtrc(table.shape[1] - 1, statistic))


def _pool_rare(table: Floats) -> Floats:
    """Merge the smallest columns until every expected count is at least ``MIN_EXPECTED``."""
    table = table[:, table.sum(axis=0) > 0]
    table = table[:, np.argsort(table.sum(axis=0), kind="stable")]
    if table.shape[1] < 2:
        return table
    smaller_share = table.sum(axis=1).min() / table.sum()
    while table.shape[1] > 1 and table[:, 0].sum() * smaller_share < MIN_EXPECTED:
        table = np.column_stack([table[:, 0] + table[:, 1], table[:, 2:]])
    return table


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's method (Holm 1979).

    If each adjusted p-value is compared with alpha, the probability of at least one false positive
    is at most alpha, even if the tests are dependent.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled)) if p.size else scaled
    return [float(value) for value in adjusted]
