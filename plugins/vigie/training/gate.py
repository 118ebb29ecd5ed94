"""The gate: compare a challenger with the champion on the same hold-out.

The challenger is promoted if every check passes. Two checks always apply:

* *beyond chance*: the challenger ranks the positives significantly higher than a random ranking;
* *dummy*: the challenger's metric exceeds that of predictions that ignore the features.

If there is a champion, these checks apply too:

* *gain*: the challenger's metric minus the champion's is at least ``min_gain``;
* *certainty*: the lower end of the gain's confidence interval is at least ``-tolerance``, so that a
  random gain on few rows is refused;
* *guards*: no guarded metric is below the champion's by more than the allowed loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from scipy.stats import mannwhitneyu

from vigie.training.bootstrap import Bools, Floats, gain_interval, metric_value
from vigie.training.metrics import checked

if TYPE_CHECKING:
    from vigie.models.model_file import Gate

#: Maximum probability that a random ranking passes: one in 2000 trainings.
CHANCE = 0.0005
#: Maximum number of pairs of a positive and a negative row for the exact distribution. With more
#: pairs, the exact distribution is slow and the normal approximation is accurate.
_EXACT_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class Contender:
    """Predictions of one model on the hold-out."""

    name: str
    probability: ArrayLike  # of the positive label, shape (n,)
    threshold: float  # of the model


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The decision, its reasons, and the compared values."""

    promote: bool
    reasons: tuple[str, ...]
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate."""

    name: str
    holds: bool
    reason: str
    evidence: dict[str, Any]


def compare(
    y: ArrayLike,
    challenger: Contender,
    champion: Contender | None,
    *,
    metric: str,
    rules: Gate,
    seed: int = 0,
) -> GateVerdict:
    """Compare two models on the hold-out, or the challenger with chance if there is no champion.

    ``y`` contains the labels of the hold-out, 1 for the positive label; ``rules`` is the ``[gate]``
    table of the model file. The same ``seed`` of the bootstrap gives the same verdict. The
    ``reasons`` of the verdict list the failed checks or, if no check failed, all checks.
    """
    truth, new = checked(y, challenger.probability)
    evidence = _evidence(truth, challenger, champion, metric)
    if truth.all() or not truth.any():
        n = int(truth.sum())
        reason = f"the hold-out has {n} positives in {len(truth)} rows; it needs both labels"
        return GateVerdict(False, (reason,), evidence)
    checks = [*_against_chance(truth, new, challenger, metric)]
    if champion is not None:
        checks = [*_against_champion(truth, challenger, champion, metric, rules, seed), *checks]
    for check in checks:
        evidence |= check.evidence
    evidence["checks"] = {check.name: check.holds for check in checks}
    failed = tuple(check.reason for check in checks if not check.holds)
    return GateVerdict(not failed, failed or tuple(check.reason for check in checks), evidence)


def _evidence(
    truth: Bools, challenger: Contender, champion: Contender | None, metric: str
) -> dict[str, Any]:
    return {
        "metric": metric,
        "n_rows": len(truth),
        "n_positives": int(truth.sum()),
        "challenger": challenger.name,
        "champion": None if champion is None else champion.name,
        "challenger_threshold": challenger.threshold,
        "champion_threshold": None if champion is None else champion.threshold,
    }


def _against_chance(
    truth: Bools, new: Floats, challenger: Contender, metric: str
) -> Iterator[Check]:
    value = metric_value(truth, new, challenger.threshold, metric)
    dummy = _dummy(truth, float((new >= challenger.threshold).mean()), metric)
    yield Check(
        "dummy",
        value > dummy,  # False for NaN.
        f"{metric} {_shown(value)} is {'above' if value > dummy else 'not above'} {dummy:.4f}, "
        "the value of a model that ignores the features",
        {"challenger_value": _known(value), "dummy_value": dummy},
    )
    area = metric_value(truth, new, challenger.threshold, "roc_auc")
    positives, n = int(truth.sum()), len(truth)
    p_value = _chance(truth, new)
    yield Check(
        "beyond_chance",
        p_value <= CHANCE,
        f"with {positives} positives in {n} rows, a random ranking reaches the challenger's ROC "
        f"area of {area:.4f} with probability {p_value:.2g}; at most {CHANCE:g} is allowed",
        {"roc_auc": area, "chance_p_value": p_value, "chance_allowed": CHANCE},
    )


def _chance(truth: Bools, new: Floats) -> float:
    """Return the probability that a random ranking is at least as good as ``new`` (U test)."""
    positives, negatives = new[truth], new[~truth]
    is_small = len(positives) * len(negatives) <= _EXACT_PAIRS
    method = "exact" if is_small else "asymptotic"
    return float(mannwhitneyu(positives, negatives, alternative="greater", method=method).pvalue)


def _dummy(truth: Bools, alarm_rate: float, metric: str) -> float:
    """Return the metric of predictions that ignore the features."""
    share = float(truth.mean())
    return {
        "average_precision": share,
        "roc_auc": 0.5,
        "f1": 2 * share / (1 + share),  # predictions: all rows are alarms
        "precision": share,
        "recall": alarm_rate,  # predictions: random alarms, as many as the challenger's
        "accuracy": max(share, 1 - share),
    }[metric]


def _against_champion(
    truth: Bools, challenger: Contender, champion: Contender, metric: str, rules: Gate, seed: int
) -> Iterator[Check]:
    new, old = (_predictions(truth, contender) for contender in (challenger, champion))
    values = [metric_value(truth, p, t, metric) for p, t in (new, old)]
    gain = _worst(values[0]) - _worst(values[1])
    yield Check(
        "gain",
        gain >= rules.min_gain,
        f"{metric} {_shown(values[0])} against the champion's {_shown(values[1])}: a gain of "
        f"{gain:+.4f}, at least {rules.min_gain:+.4f} is required",
        {"champion_value": _known(values[1]), "gain": gain, "min_gain": rules.min_gain},
    )
    yield _certainty(truth, new, old, metric, rules, seed)
    for guard, allowed in rules.guards.items():
        yield _guard(truth, new, old, guard, allowed)


def _certainty(
    truth: Bools,
    new: tuple[Floats, float],
    old: tuple[Floats, float],
    metric: str,
    rules: Gate,
    seed: int,
) -> Check:
    interval = gain_interval(truth, new, old, metric, rules.confidence, seed)
    return Check(
        "certainty",
        interval.low >= -rules.tolerance,
        f"with {rules.confidence:.0%} confidence the gain is from {interval.low:+.4f} to "
        f"{interval.high:+.4f}; a loss of at most {rules.tolerance:.4f} is tolerated",
        {
            "gain_low": interval.low,
            "gain_high": interval.high,
            "confidence": rules.confidence,
            "tolerance": rules.tolerance,
            "n_resamples": interval.n_resamples,
            "seed": seed,
        },
    )


def _guard(
    truth: Bools, new: tuple[Floats, float], old: tuple[Floats, float], guard: str, allowed: float
) -> Check:
    values = [metric_value(truth, p, t, guard) for p, t in (new, old)]
    loss = _worst(values[1]) - _worst(values[0])
    return Check(
        f"guard_{guard}",
        loss <= allowed,
        f"{guard} {_shown(values[0])} against the champion's {_shown(values[1])}: a loss of "
        f"{max(loss, 0.0):.4f}, at most {allowed:.4f} is allowed",
        {
            f"guard_{guard}": {
                "challenger": _known(values[0]),
                "champion": _known(values[1]),
                "loss": loss,
                "allowed": allowed,
            }
        },
    )


def _predictions(truth: Bools, contender: Contender) -> tuple[Floats, float]:
    return checked(truth, contender.probability)[1], contender.threshold


def _worst(value: float) -> float:
    """Return the value; for an undefined value return 0, the worst value of every metric."""
    return 0.0 if math.isnan(value) else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shown(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.4f}"
