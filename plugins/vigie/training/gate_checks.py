"""The single checks of the gate, each a sentence with its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from scipy.stats import mannwhitneyu

from vigie.training.bootstrap import Bools, Floats, figure_of, gain_interval
from vigie.training.metrics import checked

if TYPE_CHECKING:
    from vigie.models.model_file import Gate

#: How often a model without skill may pass: less than once in 2000 trainings.
CHANCE = 0.0005
#: Up to so many pairs of rows the exact distribution is cheap; above, the normal one is close.
_EXACT_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class Contender:
    """A model's answers on the hold-out: probabilities of the positive label, and its threshold."""

    name: str
    probability: ArrayLike
    threshold: float


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    holds: bool
    reason: str
    facts: dict[str, Any]


def against_chance(
    truth: Bools, new: Floats, challenger: Contender, metric: str
) -> Iterator[Check]:
    value = figure_of(truth, new, challenger.threshold, metric)
    dummy = _dummy(truth, float((new >= challenger.threshold).mean()), metric)
    yield Check(
        "dummy",
        value > dummy,  # false for nan
        f"{metric} {_shown(value)} is {'above' if value > dummy else 'not above'} {dummy:.4f}, "
        "what a model that ignores the features reaches",
        {"challenger_value": _known(value), "dummy_value": dummy},
    )
    area = figure_of(truth, new, challenger.threshold, "roc_auc")
    positives, n = int(truth.sum()), len(truth)
    p_value = _chance(truth, new)
    yield Check(
        "beyond_chance",
        p_value <= CHANCE,
        f"with {positives} positives of {n} rows, chance reaches its ROC area of {area:.4f} with "
        f"probability {p_value:.2g}; at most {CHANCE:g} is allowed",
        {"roc_auc": area, "chance_p_value": p_value, "chance_allowed": CHANCE},
    )


def _chance(truth: Bools, new: Floats) -> float:
    """Return how probably answers without skill rank the rows as well (Mann and Whitney, 1947)."""
    positives, negatives = new[truth], new[~truth]
    is_small = len(positives) * len(negatives) <= _EXACT_PAIRS
    method = "exact" if is_small else "asymptotic"
    return float(mannwhitneyu(positives, negatives, alternative="greater", method=method).pvalue)


def _dummy(truth: Bools, alarm_rate: float, metric: str) -> float:
    """Return the figure of answers that ignore the features."""
    share = float(truth.mean())
    return {
        "average_precision": share,
        "roc_auc": 0.5,
        "f1": 2 * share / (1 + share),  # always an alarm
        "precision": share,
        "recall": alarm_rate,  # as many alarms as the challenger's, at random
        "accuracy": max(share, 1 - share),
    }[metric]


def against_champion(
    truth: Bools, challenger: Contender, champion: Contender, metric: str, rules: Gate, seed: int
) -> Iterator[Check]:
    new, old = (_answers(truth, contender) for contender in (challenger, champion))
    values = [figure_of(truth, p, t, metric) for p, t in (new, old)]
    gain = _worst(values[0]) - _worst(values[1])
    yield Check(
        "gain",
        gain >= rules.min_gain,
        f"{metric} {_shown(values[0])} against the champion's {_shown(values[1])}: a gain of "
        f"{gain:+.4f}, at least {rules.min_gain:+.4f} is needed",
        {"champion_value": _known(values[1]), "gain": gain, "min_gain": rules.min_gain},
    )
    interval = gain_interval(truth, new, old, metric, rules.confidence, seed)
    yield Check(
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
    for guard, allowed in rules.guards.items():
        yield _guard(truth, new, old, guard, allowed)


def _guard(
    truth: Bools, new: tuple[Floats, float], old: tuple[Floats, float], guard: str, allowed: float
) -> Check:
    values = [figure_of(truth, p, t, guard) for p, t in (new, old)]
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


def _answers(truth: Bools, contender: Contender) -> tuple[Floats, float]:
    return checked(truth, contender.probability)[1], contender.threshold


def _worst(value: float) -> float:
    """Count an undefined figure as 0, the worst value of every figure that the gate compares."""
    return 0.0 if math.isnan(value) else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shown(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.4f}"
