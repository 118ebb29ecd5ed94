"""How many lines wait to be scored, and whether somebody can score them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER
from vigie.catalogue import STREAM_LAG
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class LagReport(JobResult):
    """The lines that a group has not committed, and the detector that would score them."""

    topic: str
    group: str
    partitions: int
    lag: int
    detector: str
    model_version: int | None

    @property
    def is_ready(self) -> bool:
        """Whether scoring has something to do and somebody to do it."""
        return self.lag > 0 and self.model_version is not None

    def workers(self, n: int) -> list[list[int]]:
        """Share the partitions out to at most ``n`` workers, evenly.

        Examples
        --------
        >>> report = LagReport(
        ...     topic="t", group="g", partitions=5, lag=0, detector="d", model_version=None
        ... )
        >>> report.workers(2)
        [[0, 2, 4], [1, 3]]
        """
        shares = [list(range(first, self.partitions, n)) for first in range(n)]
        return [share for share in shares if share]


def stream_lag(
    services: Services, *, topic: str, group: str, detector: str = LSTM_AUTOENCODER
) -> LagReport:
    """Count the lines of ``topic`` that ``group`` has not committed; no such topic: none.

    A detector that nobody trained is told as no version: without it, waiting lines must not start
    a run that can only be skipped, again and again.
    """
    lag = services.stream.lag(group, topic)
    champion = services.deployments.champion(detector)
    return LagReport(
        topic=topic,
        group=group,
        partitions=services.stream.partitions(topic),
        lag=lag,
        detector=detector,
        model_version=champion.version if champion else None,
        metrics=[Sample(STREAM_LAG, float(lag), {"topic": topic})],
    )
