"""Score templates and cache the scores, because most lines of a stream repeat a template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.anomaly.scoring.cache import GenerationCache

if TYPE_CHECKING:
    from vigie.anomaly.detectors.registry import Detector

CHUNK = 64
TOP_TOKENS = 5


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of a template, or None with an error code."""

    score: float | None
    error: str | None = None


class CachedScorer:
    """Score templates with a detector, and cache the scores.

    The score of a blank template is None, with the error ``empty``. A score that is not finite is
    replaced by None, with the error ``nan``.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.cache: GenerationCache[str, Scored] = GenerationCache()

    def score(self, templates: Sequence[str]) -> list[Scored]:
        found = {template: self.cache.get(template) for template in dict.fromkeys(templates)}
        missing = [template for template, known in found.items() if known is None]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            for template, scored in zip(chunk, self._fresh(chunk), strict=True):
                self.cache.put(template, scored)
                found[template] = scored
        return [found[template] or Scored(None, "empty") for template in templates]

    def _fresh(self, templates: Sequence[str]) -> Iterable[Scored]:
        full = [template for template in templates if template.strip()]
        scores = dict(zip(full, map(float, self.detector.score(full)), strict=True))
        return [_scored(scores.get(template)) for template in templates]

    def top_tokens(self, template: str) -> list[str]:
        """Return the ``TOP_TOKENS`` tokens that contribute most to the score, largest first."""
        return [item.token for item in self.detector.explain(template)[:TOP_TOKENS]]


def _scored(score: float | None) -> Scored:
    if score is None:
        return Scored(None, "empty")
    return Scored(score) if math.isfinite(score) else Scored(None, "nan")
