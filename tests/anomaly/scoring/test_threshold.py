"""The dynamic threshold, compared with results of numpy and statistics."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.anomaly.scoring.threshold import (
    STD_FLOOR,
    UPDATES,
    WARM_UP,
    DynamicThreshold,
    pack_state,
    unpack_state,
)
from vigie.anomaly.scoring.welford import Welford, running
from vigie.errors import DataError

scores = st.floats(min_value=-1e6, max_value=1e6)


def learned(values: list[float]) -> Welford:
    state = Welford()
    for value in values:
        state = state.update(value)
    return state


@given(st.lists(scores, min_size=2, max_size=200))
def test_mean_and_std_agree_with_statistics(values: list[float]) -> None:
    state = learned(values)
    scale = max(1.0, max(map(abs, values)))
    assert math.isclose(state.mean, statistics.fmean(values), abs_tol=1e-9 * scale)
    assert math.isclose(state.std, statistics.stdev(values), rel_tol=1e-6, abs_tol=1e-6 * scale)


def test_large_values_with_a_tiny_spread_lose_no_digits() -> None:
    values = [1e8 + d for d in (4e-4, 7e-4, 13e-4, 16e-4)] * 50
    expected = float(np.std(np.asarray(values, dtype=np.longdouble), ddof=1))
    assert math.isclose(learned(values).std, expected, rel_tol=1e-4)
    _, _, state = running(Welford(), np.asarray(values))
    assert math.isclose(state.std, expected, rel_tol=1e-4)


@given(st.lists(scores, max_size=20), st.lists(scores, min_size=1, max_size=700))
def test_a_batch_equals_one_at_a_time(before: list[float], batch: list[float]) -> None:
    state = learned(before)
    means, stds, after = running(state, np.asarray(batch))
    scale = max(1.0, *(abs(v) for v in (*before, *batch)))
    for value, mean, std in zip(batch, means, stds, strict=True):
        assert math.isclose(mean, state.mean, abs_tol=1e-9 * scale) or not state.n
        assert math.isnan(std) if state.n < 2 else abs(std - state.std) <= 1e-6 * scale
        state = state.update(value)
    assert after.n == state.n
    assert math.isclose(after.mean, state.mean, abs_tol=1e-9 * scale)


def test_a_long_stream_of_realistic_scores_agrees_to_nine_digits() -> None:
    values = np.random.default_rng(7).lognormal(0.0, 0.8, 20_000)
    means, stds, after = running(Welford(), values)
    state = learned(values.tolist())
    assert abs(after.mean - state.mean) < 1e-9
    assert abs(after.std - state.std) < 1e-9
    assert abs(means[10_000] - values[:10_000].mean()) < 1e-9
    assert abs(stds[10_000] - values[:10_000].std(ddof=1)) < 1e-9


@pytest.mark.parametrize("size", [1, 7, 256, 1000])
def test_the_batch_size_does_not_matter(size: int) -> None:
    values = np.random.default_rng(1).lognormal(0.0, 1.0, 3000)
    _, _, whole = running(Welford(), values)
    state = Welford()
    for start in range(0, len(values), size):
        _, _, state = running(state, values[start : start + size])
    assert abs(state.mean - whole.mean) < 1e-9
    assert abs(state.std - whole.std) < 1e-9


def test_before_the_warm_up_the_verdict_is_unknown() -> None:
    verdicts, _ = DynamicThreshold().classify([1.0] * WARM_UP + [50.0])
    assert {v.is_anomaly for v in verdicts[:WARM_UP]} == {None}
    assert {v.threshold for v in verdicts[:WARM_UP]} == {None}
    assert verdicts[WARM_UP].is_anomaly is True


def test_a_score_is_classified_before_it_updates_the_state() -> None:
    verdicts, after = DynamicThreshold(state=Welford(100, 1.0, 99.0)).classify([100.0])
    assert verdicts[0].threshold == 4.0
    assert after.state.mean > 1.9


def test_rounding_errors_of_a_constant_stream_are_no_anomalies() -> None:
    verdicts, _ = DynamicThreshold().classify(
        [1.0] * 200 + [1.0 + 2 * STD_FLOOR, 1.0 + 10 * STD_FLOOR]
    )
    assert [v.is_anomaly for v in verdicts[-2:]] == [False, True]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("update", UPDATES)
def test_scores_that_are_not_finite_are_refused(bad: float, update: str) -> None:
    with pytest.raises(DataError):
        DynamicThreshold(update=update).classify([1.0, bad])


def test_a_fixed_threshold_applies_from_the_first_score() -> None:
    verdicts, after = DynamicThreshold(fixed=3.5).classify([3.5, 3.6])
    assert [v.is_anomaly for v in verdicts] == [False, True]
    assert after.state.n == 2


def test_the_factor_changes_the_threshold() -> None:
    state = Welford(100, 1.0, 99.0)
    found = [
        DynamicThreshold(factor=f, state=state).classify([0.0])[0][0].threshold for f in (0, 5)
    ]
    assert found == [1.0, 6.0]


def recall(update: str, share: float) -> float:
    """Return the recall for a burst of scores at mean + 6 std."""
    draw = np.random.default_rng(3)
    normal = draw.lognormal(0.0, 0.5, 20_000)
    is_burst = np.zeros(20_000, dtype=bool)
    is_burst[10_000 : 10_000 + int(20_000 * share)] = True
    values = np.where(is_burst, normal.mean() + 6 * normal.std(), normal)
    verdicts, _ = DynamicThreshold(update=update).classify(values.tolist())
    return float(np.mean([v.is_anomaly is True for v in np.asarray(verdicts)[is_burst]]))


def test_a_burst_of_anomalies_raises_the_threshold_of_the_default_rule_only() -> None:
    found = {update: recall(update, 0.1) for update in UPDATES}
    assert found["all"] < 0.5 < found["winsorised"] + 0.35
    assert found["all"] < found["winsorised"] < found["skip-anomalies"] + 1e-9
    assert found["skip-anomalies"] == 1.0


def test_skip_anomalies_does_not_adapt_to_a_new_level() -> None:
    verdicts, _ = DynamicThreshold(update="skip-anomalies").classify([1.0, 1.1] * 100 + [5.0] * 500)
    assert all(v.is_anomaly for v in verdicts[200:])


def test_one_score_at_a_time_gives_the_verdicts_of_one_batch() -> None:
    values = np.random.default_rng(5).lognormal(0.0, 1.0, 400).tolist()
    for update in UPDATES:
        whole, after = DynamicThreshold(update=update).classify(values)
        rule, single = DynamicThreshold(update=update), []
        for value in values:
            verdicts, rule = rule.classify([value])
            single += verdicts
        assert [v.is_anomaly for v in whole] == [v.is_anomaly for v in single]
        assert abs(after.state.mean - rule.state.mean) < 1e-9


@pytest.mark.parametrize(
    "wrong", [{"update": "never"}, {"factor": -1.0}, {"factor": math.nan}, {"fixed": math.inf}]
)
def test_invalid_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError):
        DynamicThreshold(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 10**12), scores, st.floats(0, 1e12))
def test_the_state_survives_packing_to_the_last_digit(n: int, mean: float, m2: float) -> None:
    packed = pack_state(Welford(n, mean, m2), 7, "log_lstm_autoencoder")
    assert unpack_state(packed, 7, "log_lstm_autoencoder") == Welford(n, mean, m2)
    assert len(packed) < 300


def test_another_version_starts_a_new_state() -> None:
    packed = pack_state(Welford(5, 1.0, 1.0), 7, "a")
    assert unpack_state(packed, 8, "a") is None
    assert unpack_state(packed, 7, "b") is None
    assert unpack_state("", 7, "a") is None


def test_metadata_of_another_program_is_refused() -> None:
    with pytest.raises(DataError, match="not a threshold state"):
        unpack_state('{"offset": 3}', 1, "a")
