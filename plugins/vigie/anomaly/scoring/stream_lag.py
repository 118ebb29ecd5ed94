"""The topic of log lines: create it, count its waiting lines, skip lines that were lost."""

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

if TYPE_CHECKING:
    from vigie.roles import LogStream, Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LagResult(JobResult):
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
        >>> report = LagResult(
        ...     topic="t", group="g", partitions=5, lag=0, detector="d", model_version=None
        ... )
        >>> report.workers(2)
        [[0, 2, 4], [1, 3]]
        """
        shares = [list(range(first, self.partitions, n)) for first in range(n)]
        return [share for share in shares if share]


def stream_lag(
    services: Services, *, topic: str, group: str, detector: str = LSTM_AUTOENCODER
) -> LagResult:
    """Count the lines of ``topic`` that ``group`` has not committed; no such topic: none.

    A detector that nobody trained is told as no version: without it, waiting lines must not start
    a run that can only be skipped, again and again.
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
    """What became of the topic."""

    topic: str
    partitions: int
    created: bool
    lines_deleted: int


def ensure_topic(
    services: Services, *, topic: str, partitions: int = 1, recreate: bool = False
) -> TopicResult:
    """Create the topic unless it exists; only with ``recreate`` its lines and offsets are deleted
    first, and how far its log files were read: ``ingest`` writes them again, with the same ids.

    Parameters
    ----------
    services
        ``stream`` is used, with ``recreate`` also ``state``.
    topic, partitions
        The topic, and how many partitions a new one has.
    recreate
        Delete what is there. Lines that no group has read are lost.
    """
    if partitions < 1:
        raise DataError(f"a topic has at least one partition, not {partitions}")
    deleted = 0
    if recreate and services.stream.partitions(topic):
        deleted = readable_lines(services.stream, topic)
        # First: a crash in between has lines written twice, which their ids absorb.
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
    """Count the lines that a topic has now, without those that retention dropped."""
    first = stream.first_offsets(topic)
    return sum(end - first[partition] for partition, end in stream.end_offsets(topic).items())


def skip_lost_lines(
    services: Services, *, topic: str, group: str, partitions: Sequence[int] | None = None
) -> int:
    """Commit the oldest line that is kept where a group stands before it, or behind the end of a
    topic that was made again; return how many lines were lost.

    A partition's state stays, so its threshold goes on; nothing else moves. How many lines a topic
    had that is no more, nobody can tell: these count as none.

    Raises
    ------
    ConflictError
        A live member of the group owns one of the partitions.
    """
    lost = 0
    with services.stream.consumer(group, topic, partitions) as consumer:
        standing = consumer.committed()
        first, ends = services.stream.first_offsets(topic), services.stream.end_offsets(topic)
        moved = _moved(standing, first, ends)
        for partition, position in moved.items():
            gone = max(0, position.offset - standing[partition].offset)
            lost += gone
            log.warning(
                "%d lines of %s/%d are lost: group %s goes on at %d, not at %d",
                gone,
                topic,
                partition,
                group,
                position.offset,
                standing[partition].offset,
            )
        if moved:
            consumer.commit(moved)
    return lost


def _moved(
    standing: Mapping[int, Position], first: Mapping[int, int], ends: Mapping[int, int]
) -> dict[int, Position]:
    """Return where to go on, of the partitions whose next line is not there."""
    return {
        partition: Position(first[partition], at.metadata)
        for partition, at in standing.items()
        if not first[partition] <= at.offset <= ends[partition]
    }
