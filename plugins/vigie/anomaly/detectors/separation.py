"""Measure how well a detector separates held-out normal lines from corrupted lines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score

from vigie.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vigie.anomaly.detectors.registry import Detector

UNSEEN_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Separation:
    """Metrics of one detector on normal lines and corruptions of these lines.

    The corrupted lines are **synthetic**: tokens are shuffled, or some are replaced by unseen ones.
    The metrics show how well a detector recognises lines that differ from its training data. They
    do not show that it detects the faults of a real system, because these have no labels.
    """

    auc: float  # share of pairs in which the corrupted line scores higher (ties: half)
    auc_shuffled: float
    auc_unseen_tokens: float
    false_alarm_rate: float  # share of normal lines above the threshold
    detection_rate: float  # share of corrupted lines above the threshold
    mean_normal_score: float
    mean_corrupted_score: float
    n_normal: int
    n_corrupted: int

    def as_metrics(self) -> dict[str, Any]:
        return asdict(self)


def separation(
    detector: Detector, lines: Sequence[str], threshold: float, seed: int = 0
) -> Separation:
    """Return the metrics of a detector on normal lines and corruptions of these lines.

    Parameters
    ----------
    detector
        A trained detector.
    lines
        Templates of normal lines; at least one must have three tokens or more.
    threshold
        Threshold of the detector.
    seed
        Seed of the corruptions, so that two detectors are compared on the same lines.
    """
    draw = random.Random(seed)
    distinct = list(dict.fromkeys(line for line in lines if len(line.split()) > 2))
    if not distinct:
        raise DataError("cannot measure the detector: no line has at least three tokens")
    normal = detector.score(lines)
    shuffled = detector.score([shuffle_tokens(line, draw) for line in distinct])
    unseen = detector.score([put_unseen_tokens(line, draw) for line in distinct])
    corrupted = np.concatenate([shuffled, unseen])
    return Separation(
        auc=_auc(normal, corrupted),
        auc_shuffled=_auc(normal, shuffled),
        auc_unseen_tokens=_auc(normal, unseen),
        false_alarm_rate=float((normal > threshold).mean()),
        detection_rate=float((corrupted > threshold).mean()),
        mean_normal_score=float(normal.mean()),
        mean_corrupted_score=float(corrupted.mean()),
        n_normal=len(normal),
        n_corrupted=len(corrupted),
    )


def shuffle_tokens(line: str, draw: random.Random) -> str:
    """Shuffle the tokens of a line; reverse them if shuffling does not change their order."""
    tokens = line.split()
    other = draw.sample(tokens, len(tokens))
    return " ".join(other if other != tokens else reversed(tokens))


def put_unseen_tokens(line: str, draw: random.Random) -> str:
    """Replace about a third of the tokens (at least one) with random nine-letter words."""
    tokens = line.split()
    for place in draw.sample(range(len(tokens)), max(1, round(UNSEEN_SHARE * len(tokens)))):
        tokens[place] = "".join(draw.choices("qxzjkw", k=9))
    return " ".join(tokens)


def _auc(normal: NDArray[np.float64], corrupted: NDArray[np.float64]) -> float:
    labels = np.concatenate([np.zeros(len(normal)), np.ones(len(corrupted))])
    return float(roc_auc_score(labels, np.concatenate([normal, corrupted])))
