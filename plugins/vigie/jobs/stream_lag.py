"""How many lines wait to be scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.catalogue import STREAM_LAG
from vigie.records import JobReport, Sample

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class LagReport(JobReport):
    """The lines that a group has not committed."""

    topic: str
    group: str
    partitions: int
    lag: int

    def workers(self, n: int) -> list[list[int]]:
        """Share the partitions out to at most ``n`` workers, evenly.

        Examples
        --------
        >>> LagReport(topic="t", group="g", partitions=5, lag=0).workers(2)
        [[0, 2, 4], [1, 3]]
        """
        shares = [list(range(first, self.partitions, n)) for first in range(n)]
        return [share for share in shares if share]


def stream_lag(services: Services, *, topic: str, group: str) -> LagReport:
    """Count the lines of ``topic`` that ``group`` has not committed; a topic that is not there has
    none."""
    lag = services.stream.lag(group, topic)
    return LagReport(
        topic=topic,
        group=group,
        partitions=services.stream.partitions(topic),
        lag=lag,
        metrics=[Sample(STREAM_LAG, float(lag), {"topic": topic})],
    )
