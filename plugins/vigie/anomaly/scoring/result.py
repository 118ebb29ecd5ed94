"""What a scoring run says when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vigie import catalogue
from vigie.anomaly.scoring.threshold import STD_FLOOR
from vigie.errors import DataError
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.anomaly.scoring.threshold import DynamicThreshold

_FIGURES = {
    "read": catalogue.STREAM_READ,
    "indexed": catalogue.STREAM_INDEXED,
    "already_there": catalogue.STREAM_ALREADY_THERE,
    "dead_lettered": catalogue.STREAM_DEAD_LETTERED,
    "anomalies": catalogue.STREAM_ANOMALIES,
    "unscored": catalogue.STREAM_UNSCORED,
}


@dataclass(slots=True)
class Counts:
    """What became of the lines so far: ``read == indexed + already_there + dead_lettered``."""

    read: int = 0
    indexed: int = 0
    already_there: int = 0
    dead_lettered: int = 0
    anomalies: int = 0
    warming_up: int = 0
    unscored: int = 0

    def add(self, other: Counts) -> None:
        """Add what became of a batch."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport(JobResult):
    """Counts of lines; ``read == indexed + already_there + dead_lettered + filtered``."""

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
    lost: int  # lines that were gone before they were read, and were let go
    lag: int | None  # lines of all partitions that wait now; None: the stream did not tell
    filtered: int = 0  # every line of the stream is scored


def score_report(
    counts: Counts,
    thresholds: Mapping[int, DynamicThreshold],
    *,
    topic: str,
    seconds: float,
    lag: int | None,
    lost: int = 0,
    more: Sequence[Sample] = (),
    **names: Any,
) -> ScoreReport:
    """Return the report with its metrics.

    Raises
    ------
    DataError
        The counts do not add up: a line is missing, or there twice.
    """
    stored = counts.indexed + counts.already_there + counts.dead_lettered
    if stored != counts.read:
        raise DataError(f"{counts.read} lines were read, but {stored} accounted for: {counts}")
    labels = {"topic": topic, "worker": str(min(thresholds, default=0))}
    samples = [Sample(name, float(getattr(counts, key)), labels) for key, name in _FIGURES.items()]
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
    return ScoreReport(topic=topic, metrics=samples, **values)


def _next_threshold(rule: DynamicThreshold) -> float | None:
    if rule.fixed is not None:
        return rule.fixed
    if rule.state.n < 2:
        return None
    return rule.state.mean + rule.factor * max(rule.state.std, STD_FLOOR)
