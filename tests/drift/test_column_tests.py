"""Compare the statistics with those of scipy, an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vigie.drift.column_tests import (
    chi_squared,
    holm,
    ks_p_value,
    ks_statistic,
    population_stability,
    wasserstein,
    wasserstein_noise,
)

SAMPLES = st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6), min_size=1, max_size=60)


def as_sorted(values: list[float]) -> np.ndarray:
    return np.sort(np.asarray(values, dtype=np.float64))


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")  # scipy divides by zero for D = 0.
@given(SAMPLES, SAMPLES)
def test_ks_statistic_equals_scipys(reference: list[float], current: list[float]) -> None:
    expected = stats.ks_2samp(reference, current, method="asymp").statistic
    assert ks_statistic(as_sorted(reference), as_sorted(current)) == pytest.approx(
        expected, abs=1e-12
    )


@given(SAMPLES, SAMPLES)
def test_wasserstein_equals_scipys(reference: list[float], current: list[float]) -> None:
    expected = stats.wasserstein_distance(reference, current)
    ours = wasserstein(as_sorted(reference), as_sorted(current))
    # Prefix sums lose digits: up to n times the largest value times the spacing of doubles.
    assert ours == pytest.approx(expected, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (400, 60), (1000, 1000), (5000, 200)])
@pytest.mark.parametrize("shift", [0.05, 0.2, 0.5])
def test_ks_p_value_is_close_to_the_exact_one_of_scipy(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(7)
    reference, current = np.sort(rng.normal(size=n)), np.sort(rng.normal(shift, size=m))
    exact = stats.ks_2samp(reference, current, method="exact").pvalue
    ours = ks_p_value(ks_statistic(reference, current), n, m)
    # The limit distribution differs from the exact one by at most a quarter of the p-value.
    assert ours == pytest.approx(exact, rel=0.25, abs=0.02)


def test_ks_p_value_of_no_difference_is_one() -> None:
    assert ks_p_value(0.0, 100, 100) == 1.0


@given(st.lists(st.tuples(st.integers(40, 500), st.integers(40, 500)), min_size=2, max_size=8))
def test_chi_squared_equals_scipys_if_no_cell_is_rare(cells: list[tuple[int, int]]) -> None:
    table = np.array(cells).T
    expected = stats.chi2_contingency(table, correction=False)
    if expected.expected_freq.min() < 5:
        return
    statistic, p_value = chi_squared(table[0], table[1])
    assert statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)


def test_chi_squared_pools_rare_cells() -> None:
    reference, current = np.array([500, 480, 1, 1]), np.array([100, 96, 0, 1])
    pooled = chi_squared(np.array([500, 482]), np.array([100, 97]))
    assert chi_squared(reference, current) == pytest.approx(pooled)


def test_chi_squared_of_one_category_is_not_significant() -> None:
    assert chi_squared(np.array([100]), np.array([50])) == (0.0, 1.0)


def test_stability_index_is_finite_for_an_empty_bin() -> None:
    assert 0 < population_stability(np.array([100, 0]), np.array([0, 100])) < 20


def test_stability_index_matches_its_formula_for_large_counts() -> None:
    reference, current = np.array([60_000, 40_000]), np.array([40_000, 60_000])
    assert population_stability(reference, current) == pytest.approx(
        0.2 * np.log(0.6 / 0.4) * 2, abs=1e-3
    )


def test_stability_index_of_equal_distributions_is_near_zero_on_average() -> None:
    rng = np.random.default_rng(3)
    shares = np.full(12, 1 / 12)
    values = [
        population_stability(rng.multinomial(400, shares), rng.multinomial(100, shares))
        for _ in range(400)
    ]
    # Without the correction the mean would be 11 * (1/400 + 1/100) = 0.14.
    assert np.mean(values) < 0.05


def test_wasserstein_noise_is_the_mean_distance_of_equal_distributions() -> None:
    rng = np.random.default_rng(5)
    pairs = [(np.sort(rng.normal(size=400)), np.sort(rng.normal(size=100))) for _ in range(300)]
    seen = np.mean([wasserstein(reference, current) for reference, current in pairs])
    expected = np.mean([wasserstein_noise(reference, 400, 100) for reference, _ in pairs])
    assert expected == pytest.approx(seen, rel=0.1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50)
def test_holm_rejects_exactly_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    alpha, rejected = 0.05, set()
    for step, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] * (len(p_values) - step) >= alpha:
            break
        rejected.add(int(index))
    assert {i for i, p in enumerate(holm(p_values)) if p < alpha} == rejected
