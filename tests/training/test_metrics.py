"""Metrics, thresholds and the gate, compared with scikit-learn and with manual results."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from sklearn import metrics as sk

from vigie.errors import DataError
from vigie.models.model_file import Cost, Gate
from vigie.models.names import METRICS
from vigie.training.bootstrap import gain_interval, metric_value
from vigie.training.fitting import choose_threshold
from vigie.training.gate import Contender, GateVerdict, compare
from vigie.training.metrics import evaluate

RNG = np.random.default_rng(7)
Y = RNG.random(300) < 0.3
GOOD = np.clip(Y * 0.5 + RNG.random(300) * 0.5, 0, 1)
FAIR = np.clip(Y * 0.2 + RNG.random(300) * 0.8, 0, 1)
COIN = RNG.random(300)


def test_every_metric_equals_that_of_scikit_learn() -> None:
    found = evaluate(Y, FAIR, 0.5, Cost(miss=10, false_alarm=2))

    alarm = FAIR >= 0.5
    _, false_alarms, misses, _ = sk.confusion_matrix(Y, alarm).ravel()
    expected = {
        "average_precision": sk.average_precision_score(Y, FAIR),
        "roc_auc": sk.roc_auc_score(Y, FAIR),
        "f1": sk.f1_score(Y, alarm),
        "precision": sk.precision_score(Y, alarm),
        "recall": sk.recall_score(Y, alarm),
        "accuracy": sk.accuracy_score(Y, alarm),
        "log_loss": sk.log_loss(Y, FAIR),
        "brier": sk.brier_score_loss(Y, FAIR),
        "expected_cost": (10 * misses + 2 * false_alarms) / 300,
        "n_rows": 300,
        "n_positives": Y.sum(),
    }
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("y", "p", "unknown"),
    [
        ([], [], set(METRICS) | {"log_loss", "brier", "expected_cost"}),
        ([0, 0], [0.1, 0.2], {"average_precision", "roc_auc", "recall", "precision", "f1"}),
        ([1, 1], [0.9, 0.2], {"roc_auc"}),
        ([1, 0], [0.2, 0.1], {"precision"}),
    ],
)
def test_only_undefined_metrics_are_nan(y: list[int], p: list[float], unknown: set[str]) -> None:
    found = evaluate(y, p, 0.5, Cost())

    assert {name for name, value in found.items() if math.isnan(value)} == unknown


@pytest.mark.parametrize(
    ("y", "p"),
    [([2], [0.5]), ([1], [1.5]), ([1], [math.nan]), ([1, 0], [0.5]), ([math.nan], [0.5])],
)
def test_invalid_labels_and_probabilities_are_refused(y: list[float], p: list[float]) -> None:
    with pytest.raises(DataError):
        evaluate(y, p, 0.5, Cost())


@pytest.mark.parametrize("seed", range(30))
def test_no_threshold_is_cheaper_than_the_chosen_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.random(40) < 0.3, rng.random(40).round(1)
    y[:2] = [True, False]
    miss, false_alarm = rng.integers(1, 20, 2)

    chosen = choose_threshold(y, p, miss, false_alarm)

    def cost(threshold: float) -> float:
        return miss * (y & (p < threshold)).sum() + false_alarm * (~y & (p >= threshold)).sum()

    assert cost(chosen) == min(cost(t) for t in np.linspace(0, 1.01, 1000))


@pytest.mark.parametrize("y", [[], [0, 0], [1, 1]])
def test_rows_of_one_label_give_the_threshold_of_calibrated_probabilities(y: list[int]) -> None:
    assert choose_threshold(y, [0.3] * len(y), miss=3, false_alarm=1) == 0.25


def test_a_threshold_above_every_probability_is_possible() -> None:
    threshold = choose_threshold([1, 0, 0, 0], [0.1, 1.0, 1.0, 1.0], miss=1, false_alarm=5)

    assert threshold > 1.0


@pytest.mark.parametrize(("metric", "ties"), list(product(METRICS, [False, True])))
def test_the_metrics_of_the_gate_equal_those_of_scikit_learn(metric: str, ties: bool) -> None:
    p = FAIR.round(1) if ties else FAIR
    alarm = p >= 0.5
    expected = {
        "average_precision": lambda: sk.average_precision_score(Y, p),
        "roc_auc": lambda: sk.roc_auc_score(Y, p),
        "f1": lambda: sk.f1_score(Y, alarm),
        "precision": lambda: sk.precision_score(Y, alarm),
        "recall": lambda: sk.recall_score(Y, alarm),
        "accuracy": lambda: sk.accuracy_score(Y, alarm),
    }[metric]()

    assert metric_value(Y, p, 0.5, metric) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_equals_a_bootstrap_row_by_row(metric: str) -> None:
    found = gain_interval(Y, (GOOD, 0.5), (FAIR, 0.5), metric, 0.9)

    rng, gains = np.random.default_rng(1), []
    strata = np.flatnonzero(Y), np.flatnonzero(~Y)
    for _ in range(400):
        rows = np.concatenate([rng.choice(s, len(s)) for s in strata])
        gains.append(
            metric_value(Y[rows], GOOD[rows], 0.5, metric)
            - metric_value(Y[rows], FAIR[rows], 0.5, metric)
        )
    low, high = np.quantile(gains, [0.05, 0.95])
    # Two Monte Carlo estimates of one interval differ by a fraction of its width.
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.3 * (high - low))


def gate(
    challenger: np.ndarray, champion: np.ndarray | None = None, rules: Gate | None = None
) -> GateVerdict:
    return compare(
        Y,
        Contender("challenger", challenger, 0.5),
        None if champion is None else Contender("champion v1", champion, 0.5),
        metric="average_precision",
        rules=rules or Gate(),
    )


def test_a_clearly_better_challenger_is_promoted() -> None:
    verdict = gate(GOOD, FAIR)

    assert verdict.promote
    assert "against the champion's" in verdict.reasons[0]
    assert verdict.evidence["gain"] > 0.2
    assert all(verdict.evidence["checks"].values())


def test_a_worse_challenger_is_refused_with_the_numbers() -> None:
    verdict = gate(FAIR, GOOD)

    assert not verdict.promote
    assert verdict.evidence["checks"] == {
        "gain": False,
        "certainty": False,
        "dummy": True,
        "beyond_chance": True,
    }
    assert len(verdict.reasons) == 2


def test_an_equal_model_is_promoted_unless_a_gain_is_required() -> None:
    assert gate(GOOD, GOOD).promote
    assert not gate(GOOD, GOOD, Gate(min_gain=0.001)).promote


def test_a_random_gain_is_refused() -> None:
    one, other = (np.clip(Y * 0.2 + np.roll(COIN, i) * 0.8, 0, 1) for i in (1, 2))
    better, worse = (one, other) if gate(one, other).evidence["gain"] > 0 else (other, one)

    verdict = gate(better, worse, Gate(tolerance=0.0, confidence=0.99))

    assert verdict.evidence["checks"]["gain"]
    assert not verdict.evidence["checks"]["certainty"]


def test_a_loss_within_the_tolerance_passes_the_certainty_check() -> None:
    assert gate(FAIR, GOOD, Gate(tolerance=1.0)).evidence["checks"]["certainty"]


def test_a_guard_refuses_a_challenger_with_a_better_selection_metric() -> None:
    shy = GOOD * 0.6  # ranks the same rows, alarms for fewer

    verdict = gate(shy, FAIR, Gate(guards={"recall": 0.05}))

    assert verdict.evidence["checks"]["gain"]
    assert not verdict.evidence["checks"]["guard_recall"]
    assert verdict.evidence["guard_recall"]["allowed"] == 0.05
    assert [r for r in verdict.reasons if r.startswith("recall")]


def test_a_first_model_must_be_beyond_chance() -> None:
    assert gate(GOOD).promote
    assert not gate(COIN).promote


@pytest.mark.parametrize("seed", range(20))
def test_a_model_without_skill_never_passes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.random(80) < 0.4

    verdict = compare(
        y,
        Contender("challenger", rng.random(80), 0.5),
        None,
        metric="average_precision",
        rules=Gate(),
    )

    assert not verdict.promote


@pytest.mark.parametrize("label", [0, 1])
def test_a_hold_out_of_one_label_promotes_no_model(label: int) -> None:
    verdict = compare(
        [label] * 5, Contender("challenger", [0.5] * 5, 0.5), None, metric="f1", rules=Gate()
    )

    assert not verdict.promote
    assert "it needs both labels" in verdict.reasons[0]


def test_a_challenger_that_never_alarms_has_no_precision_and_is_refused() -> None:
    verdict = compare(
        Y,
        Contender("challenger", GOOD, 2.0),
        Contender("champion", FAIR, 0.5),
        metric="precision",
        rules=Gate(),
    )

    assert not verdict.promote
    assert verdict.evidence["challenger_value"] is None


def test_the_verdict_is_deterministic() -> None:
    assert gate(GOOD, FAIR) == gate(GOOD, FAIR)
