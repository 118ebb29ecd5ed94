"""The stream role: topics, partitions and groups; offsets are committed together with state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from vigie.records import Message, Position, StreamRecord

TAKEOVER_S = 0.5
"""Default wait for a lease; the lease of a killed process ends within milliseconds."""


class StreamConsumer(Protocol):
    """Read and commit the partitions whose leases the consumer holds.

    After an error, close the consumer and open a new one, which starts at the committed positions.
    Only after a ConflictError of ``commit`` may the same consumer be used again.
    """

    @property
    def partitions(self) -> tuple[int, ...]: ...

    def committed(self) -> dict[int, Position]:
        """Return the committed position of each partition.

        A group that never committed a partition starts at its oldest record.
        """

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        """Return the next records, in offset order within a partition.

        At the end of the log, wait up to ``timeout_s`` for more; then return an empty list.

        Raises
        ------
        DataError
            Retention deleted records before the group read them.
        """

    def commit(self, positions: Mapping[int, Position]) -> None:
        """Commit positions with their metadata, atomically per partition.

        Call it only after the documents of the records are stored.

        Raises
        ------
        ConflictError
            The lease was lost and another consumer took the partition.
        """


class LogStream(Protocol):
    """Topics of log lines."""

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        """Create a topic; return False if it exists, even with another number of partitions."""

    def delete_topic(self, topic: str) -> None: ...

    def partitions(self, topic: str) -> int:
        """Return the number of partitions; 0 if the topic does not exist."""

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        """Append messages durably, in order; return the offset of the first.

        Raises
        ------
        DataError
            The topic does not exist.
        """

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Return the offset of the oldest record of each partition, or its end if it is empty."""

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the offset that the next record of each partition gets."""

    def trim(self, topic: str) -> int:
        """Delete the records that every group has committed; return their number.

        A broker that has its own retention deletes nothing and returns 0.
        """

    def lags(self, group: str, topic: str) -> dict[int, int]:
        """Count the records of each partition that a group has not committed yet.

        The result is empty if the topic does not exist.
        """

    def lag(self, group: str, topic: str) -> int:
        """Count the records of all partitions that a group has not committed yet."""

    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        wait_s: float = TAKEOVER_S,
    ) -> AbstractContextManager[StreamConsumer]:
        """Hold the leases of partitions (None: all) for a group while the block runs.

        A lease ends with the block or with its process. Every commit checks a fencing token, so
        the commits of a consumer that lost its lease fail.

        Raises
        ------
        ConflictError
            Another live consumer still holds one of the leases after ``wait_s``.
        """
