"""Make sure that the topic of log lines exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.errors import DataError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import LogStream, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicReport(JobResult):
    """What became of the topic."""

    topic: str
    partitions: int
    created: bool
    lines_deleted: int


def ensure_topic(
    services: Services, *, topic: str, partitions: int = 1, recreate: bool = False
) -> TopicReport:
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
    return TopicReport(
        topic=topic,
        partitions=services.stream.partitions(topic),
        created=created,
        lines_deleted=deleted,
    )


def readable_lines(stream: LogStream, topic: str) -> int:
    """Count the lines that a topic has now, without those that retention dropped."""
    first = stream.first_offsets(topic)
    return sum(end - first[partition] for partition, end in stream.end_offsets(topic).items())
