"""Size, JSON types and accuracy of reference profiles."""

from __future__ import annotations

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vigie.drift.column_tests import ks_statistic
from vigie.drift.reference_profile import bin_counts, bin_edges, build_profile, thin
from vigie.errors import DataError


def column(values: object, kind: str = "float") -> dict[str, object]:
    return build_profile(pd.DataFrame({"x": values}), {"x": kind})["columns"]["x"]


def test_a_profile_is_unchanged_by_a_json_round_trip() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=3000), "b": rng.choice(list("xyz"), 3000)})
    profile = build_profile(frame, {"a": "float", "b": "category"})
    assert orjson.loads(orjson.dumps(profile)) == profile


def test_all_values_of_a_small_column_are_kept() -> None:
    assert column([3.0, 1.0, 2.0])["sample"] == [1.0, 2.0, 3.0]


def test_the_sample_of_a_large_column_is_bounded() -> None:
    assert len(column(np.arange(50_000.0))["sample"]) == 1000


@given(st.integers(0, 2**32 - 1), st.sampled_from(["normal", "exponential"]))
def test_a_thinned_sample_changes_the_ks_statistic_by_at_most_half_a_step(
    seed: int, family: str
) -> None:
    rng = np.random.default_rng(seed)
    reference = np.sort(getattr(rng, family)(size=5000))
    current = np.sort(rng.normal(0.3, size=500))
    exact = stats.ks_2samp(reference, current).statistic
    assert abs(ks_statistic(thin(reference, 500), current) - exact) <= 1 / 1000 + 1e-12


@given(st.lists(st.integers(-3, 3) | st.floats(-1e9, 1e9), min_size=1, max_size=100))
def test_every_reference_value_is_in_an_inner_bin(values: list[float]) -> None:
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    edges = bin_edges(ordered)
    counts = bin_counts(ordered, edges)
    assert np.all(np.diff(edges) > 0)
    assert counts.sum() == ordered.size
    assert counts[0] == counts[-1] == 0


def test_unusable_values_count_as_missing() -> None:
    body = column([1.0, None, np.inf, 1e200, "abc", "2"], "float")
    assert (body["n"], body["n_missing"]) == (2, 4)


def test_a_column_without_usable_values_is_all_missing() -> None:
    assert column([np.nan, np.nan]) == {"kind": "numeric", "n": 0, "n_missing": 2}


def test_a_constant_column_has_no_deviation() -> None:
    assert column([0.1] * 7)["std"] == 0.0


def test_equal_categories_of_different_types_have_one_key() -> None:
    assert column([True, 1, 1.0, "1"], "boolean")["counts"] == {"1": 4}


def test_rare_categories_beyond_the_limit_are_counted_together() -> None:
    body = column([f"id{i}" for i in range(500)], "category")
    assert (len(body["counts"]), body["n_other"]) == (200, 300)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="lacks the columns y"):
        build_profile(pd.DataFrame({"x": [1]}), {"x": "float", "y": "float"})


def test_an_empty_reference_is_refused() -> None:
    with pytest.raises(DataError, match="at least one row"):
        build_profile(pd.DataFrame({"x": []}), {"x": "float"})


def test_two_columns_of_the_same_name_are_refused() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(DataError, match="2 columns called 'x'"):
        build_profile(frame, {"x": "float"})
