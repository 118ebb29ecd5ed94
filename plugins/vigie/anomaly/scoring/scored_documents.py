"""Index and document fields of scored lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.records import IndexSpec

if TYPE_CHECKING:
    from vigie.anomaly.scoring.scorer import Scored
    from vigie.anomaly.scoring.threshold import Verdict

ANOMALY_INDEX = "mozilla-clogs-index"

FIELDS: Mapping[str, str] = {
    "@timestamp": "date",  # time in the line, else time of the write to the stream
    "ingested_at": "date",
    "clock_skew": "boolean",
    "message": "text",
    "raw_b64": "text",  # only if the line is not UTF-8 or contains a NUL byte
    "truncated": "boolean",
    "original_length": "long",
    "sha256": "keyword",
    "source": "keyword",
    "topic": "keyword",
    "partition": "integer",
    "offset": "long",
    "template": "keyword",
    "anomaly_score": "float",
    "is_anomaly": "boolean",
    "threshold_used": "float",
    "mean_score": "float",
    "std_score": "float",
    "score_error": "keyword",
    "status": "keyword",  # anomaly, normal, warming_up, unscored
    "detector": "keyword",
    "model_version": "integer",
    "top_tokens": "keyword",
}

KEYWORD_LIMIT = 8191
"""Maximum number of characters of a keyword: 32,766 bytes at four bytes per character."""


def anomaly_index(name: str = ANOMALY_INDEX) -> IndexSpec:
    return IndexSpec(name, FIELDS)


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """The template of a line with its score and verdict."""

    template: str
    scored: Scored
    verdict: Verdict | None
    top_tokens: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """``anomaly``, ``normal``, ``warming_up`` (no threshold yet) or ``unscored``."""
        if self.verdict is None:
            return "unscored"
        if self.verdict.is_anomaly is None:
            return "warming_up"
        return "anomaly" if self.verdict.is_anomaly else "normal"

    def fields(self) -> dict[str, Any]:
        """Return the fields of the document that come from the score and the verdict."""
        verdict = self.verdict
        return {
            "template": self.template[:KEYWORD_LIMIT],
            "anomaly_score": self.scored.score,
            "score_error": self.scored.error,
            "is_anomaly": verdict and verdict.is_anomaly,
            "threshold_used": verdict and verdict.threshold,
            "mean_score": verdict and verdict.mean,
            "std_score": verdict and verdict.std,
            "status": self.status,
            "top_tokens": list(self.top_tokens),
        }
