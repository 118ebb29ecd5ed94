"""The documents of the anomaly index."""

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
    "raw_b64": "text",  # only when the line is not UTF-8
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
    """Return the index of scored lines."""
    return IndexSpec(name, FIELDS)


@dataclass(frozen=True, slots=True)
class Judged:
    """A template with its score and its verdict."""

    template: str
    scored: Scored
    verdict: Verdict | None
    top_tokens: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Return the value of the field ``status``."""
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
