"""Create the topic of log lines, count its uncommitted lines, and skip deleted lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.anomaly.detectors.registry import LSTM_AUTOENCODER
from vigie.catalogue import STREAM_LAG
from vigie.errors import DataError
from vigie.records import JobResult, Position, Sample
from vigie.roles.stream import TAKEOVER_S

if TYPE_CHECKING:
    from vigie.roles import LogStream, Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LagResult(JobResult):
    """Number of lines that a group has not committed, and the detector that would score them."""

    topic: str
    group: str
    partitions: int
    lag: int
    detector: str
    model_version: int | None

    @property
    def is_ready(self) -> bool:
        """Whether uncommitted lines exist and a detector is deployed."""
        return self.lag > 0 and self.model_version is not None

    def workers(self, n: int) -> list[list[int]]:
        """Divide the partitions evenly among at most ``n`` workers.

        Examples
        --------
        >>> result = LagResult(
        ...     topic="t", group="g", partitions=5, lag=0, detector="d", model_version=None
        ... )
        >>> result.workers(2)
        [[0, 2, 4], [1, 3]]
        """
        shares = [list(range(first, self.partitions, n)) for first in range(n)]
        return [share for share in shares if share]


def stream_lag(
    services: Services, *, topic: str, group: str, detector: str = LSTM_AUTOENCODER
) -> LagResult:
    """Count the lines that ``group`` has not committed; 0 if the topic does not exist.

    ``model_version`` is None if no version of the detector is deployed. In that case, uncommitted
    lines must not start a run, because all tasks of the run would be skipped.
    """
    lag = services.stream.lag(group, topic)
    champion = services.deployments.champion(detector)
    return LagResult(
        topic=topic,
        group=group,
        partitions=services.stream.partitions(topic),
        lag=lag,
        detector=detector,
        model_version=champion.version if champion else None,
        metrics=[Sample(STREAM_LAG, float(lag), {"topic": topic})],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicResult(JobResult):
    """Whether the topic was created, and the numbers of its partitions and deleted lines."""

    topic: str
    partitions: int
    created: bool
    lines_deleted: int


def ensure_topic(
    services: Services, *, topic: str, partitions: int = 1, recreate: bool = False
) -> TopicResult:
    """Create a topic unless it exists.

    With ``recreate``, an existing topic is deleted first, with its lines, the offsets of its groups
    and the read positions of its log files. ``ingest`` then writes the lines of the files again
    with the same ids, except for files that were truncated earlier. Lines from other sources are
    lost unless a group has read them.
    """
    if partitions < 1:
        raise DataError(f"a topic needs at least one partition, not {partitions}")
    deleted = 0
    if recreate and services.stream.partitions(topic):
        deleted = readable_lines(services.stream, topic)
        # The read positions are deleted before the topic. After a crash between the two steps,
        # lines are written again with the same ids. In the other order, they would be lost.
        services.state.forget(state_keys.ingested_file(topic))
        services.stream.delete_topic(topic)
    created = services.stream.create_topic(topic, partitions)
    return TopicResult(
        topic=topic,
        partitions=services.stream.partitions(topic),
        created=created,
        lines_deleted=deleted,
    )


def readable_lines(stream: LogStream, topic: str) -> int:
    """Count the lines that retention has not deleted from a topic."""
    first = stream.first_offsets(topic)
    return sum(end - first[partition] for partition, end in stream.end_offsets(topic).items())


def skip_lost_lines(
    stream: LogStream,
    *,
    topic: str,
    group: str,
    partitions: Sequence[int] | None = None,
    lease_wait_s: float = TAKEOVER_S,
) -> int:
    """Move a group past lines that no longer exist; return the number of these lines.

    A position before the oldest line, or past the end of a topic that was recreated, moves to the
    oldest line. The threshold state of the partition is kept. Other positions do not move. Lines of
    a deleted topic cannot be counted and count as 0.

    Raises
    ------
    ConflictError
        Another worker or follower still holds one of the partitions after ``lease_wait_s``.
    """
    lost = 0
    with stream.consumer(group, topic, partitions, lease_wait_s) as consumer:
        committed = consumer.committed()
        moved = _moved(committed, stream.first_offsets(topic), stream.end_offsets(topic))
        for partition, position in moved.items():
            before = committed[partition].offset
            gone = max(0, position.offset - before)
            lost += gone
            log.warning(
                "group %s skips %d deleted lines of topic %s, partition %d: from offset %d to %d",
                group, gone, topic, partition, before, position.offset,
            )  # fmt: skip
        if moved:
            consumer.commit(moved)
    return lost


def _moved(
    committed: Mapping[int, Position], first: Mapping[int, int], ends: Mapping[int, int]
) -> dict[int, Position]:
    """Return new positions for the partitions whose committed offset is out of range."""
    return {
        partition: Position(first[partition], at.metadata)
        for partition, at in committed.items()
        if not first[partition] <= at.offset <= ends[partition]
    }
