"""Explain the score of log lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER, TokenLoss
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.normalise import Normaliser
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True)
class Explanation:
    """A line's template, score, and its tokens, most surprising first; a blank line has no
    score."""

    line: str
    template: str
    score: float | None
    is_above_threshold: bool | None
    tokens: tuple[TokenLoss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationReport(JobResult):
    """The explanations, by which detector, against its own threshold."""

    detector: str
    model_version: int
    threshold: float
    explanations: tuple[Explanation, ...]


def explain_anomaly(
    services: Services, *, lines: Sequence[bytes], detector: str = LSTM_AUTOENCODER
) -> ExplanationReport:
    """Say for each line which of its tokens make its score. Changes nothing."""
    champion = champion_detector(services, detector)
    threshold = float(champion.facts["threshold"])
    found: list[Explanation] = []
    for raw, template in zip(lines, Normaliser().templates(lines), strict=True):
        line = raw.decode("utf-8", "backslashreplace")
        if not template:
            found.append(Explanation(line, template, None, None, ()))
            continue
        score = float(champion.detector.score([template])[0])
        tokens = tuple(champion.detector.explain(template))
        found.append(Explanation(line, template, score, score > threshold, tokens))
    return ExplanationReport(
        detector=detector,
        model_version=champion.version,
        threshold=threshold,
        explanations=tuple(found),
    )
