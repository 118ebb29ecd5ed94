"""Counts, metrics and result of scoring lines of the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vigie import catalogue
from vigie.anomaly.scoring.threshold import STD_FLOOR
from vigie.records import JobResult, LineCounts, Sample

if TYPE_CHECKING:
    from vigie.anomaly.scoring.threshold import DynamicThreshold

_METRICS = {
    "read": catalogue.STREAM_READ,
    "indexed": catalogue.STREAM_INDEXED,
    "already_there": catalogue.STREAM_ALREADY_THERE,
    "dead_lettered": catalogue.STREAM_DEAD_LETTERED,
    "anomalies": catalogue.STREAM_ANOMALIES,
    "unscored": catalogue.STREAM_UNSCORED,
}


@dataclass(frozen=True)
class ScoreCounts(LineCounts):
    """Numbers of lines by outcome, and of scored lines by status (without ``normal``)."""

    anomalies: int = 0
    warming_up: int = 0
    unscored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult(JobResult):
    """Result of scoring; ``read == indexed + already_there + dead_lettered + filtered``."""

    topic: str
    group: str
    index: str
    detector: str
    model_version: int
    read: int
    indexed: int
    already_there: int
    dead_lettered: int
    anomalies: int
    warming_up: int
    unscored: int
    seconds: float
    lost: int  # lines that retention deleted before they were read
    lag: int | None  # uncommitted lines of all partitions; None: unknown in an outage
    filtered: int = 0  # always 0, because every line of the stream is scored


def score_result(
    counts: ScoreCounts,
    thresholds: Mapping[int, DynamicThreshold],
    *,
    topic: str,
    seconds: float,
    lag: int | None,
    worker: int = 0,
    lost: int = 0,
    more: Sequence[Sample] = (),
    **names: Any,
) -> ScoreResult:
    """Check the counts, and return the result of scoring with its metrics.

    Raises
    ------
    DataError
        The counts do not add up: a line is missing, or was counted twice.
    """
    counts.checked(names["index"])
    labels = {"topic": topic, "worker": str(worker)}
    samples = [Sample(name, float(getattr(counts, key)), labels) for key, name in _METRICS.items()]
    samples += [Sample(catalogue.STREAM_LOST, float(lost), labels), *more]
    samples.append(Sample(catalogue.STREAM_RATE, counts.read / max(seconds, 1e-9), labels))
    if lag is not None:
        samples.append(Sample(catalogue.STREAM_LAG, float(lag), {"topic": topic}))
    for partition, rule in thresholds.items():
        value = _next_threshold(rule)
        if value is not None:
            where = {"topic": topic, "partition": str(partition)}
            samples.append(Sample(catalogue.STREAM_THRESHOLD, value, where))
    times = {"seconds": round(seconds, 3), "lag": lag, "lost": lost}
    values: dict[str, Any] = {**asdict(counts), **times, **names}
    return ScoreResult(topic=topic, metrics=samples, **values)


def _next_threshold(rule: DynamicThreshold) -> float | None:
    if rule.fixed is not None:
        return rule.fixed
    if rule.state.n < 2:
        return None
    return rule.state.mean + rule.factor * max(rule.state.std, STD_FLOOR)
