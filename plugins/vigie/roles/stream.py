"""The stream role: topics, partitions and groups; offsets are committed together with state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from vigie.records import Message, Position, StreamRecord

TAKEOVER_S = 0.5
"""Default time to wait for a lease; a killed process loses its lease within milliseconds."""


class StreamConsumer(Protocol):
    """A consumer that reads and commits the partitions whose leases it holds.

    After any error except a ConflictError of ``commit``, the consumer must not be used again. Close
    it and open a new consumer, which starts at the committed positions.
    """

    @property
    def partitions(self) -> tuple[int, ...]: ...

    def committed(self) -> dict[int, Position]:
        """Return the committed position of each partition.

        A group that never committed a partition starts at the oldest record of the partition.
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

        Commit the position after a record only when the documents of the record are stored.

        Raises
        ------
        ConflictError
            The consumer does not hold the lease of every partition; nothing was committed.
        """


class LogStream(Protocol):
    """A stream of log lines in partitioned topics."""

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        """Create a topic; return False if it exists, even with another number of partitions."""

    def delete_topic(self, topic: str) -> None: ...

    def partitions(self, topic: str) -> int:
        """Return the number of partitions; 0 if the topic does not exist."""

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        """Append messages durably; return the offset of the first, or the end offset if none.

        Messages keep their order. Only messages that Kafka first refuses as part of a batch that is
        too large are appended after the other messages.

        Raises
        ------
        DataError
            The topic or the partition does not exist.
        RefusedMessageError, UndeliveredError
            A message was refused or not confirmed; other messages may have been appended.
        """

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Return each partition's oldest offset; for an empty partition, its end offset."""

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return, per partition, the offset that the next record gets."""

    def trim(self, topic: str) -> int:
        """Delete the stored batches that every group has committed; return their record count.

        With a broker that applies its own retention, delete nothing and return 0.
        """

    def lags(self, group: str, topic: str) -> dict[int, int]:
        """Return, per partition, the number of records that a group has not committed yet.

        The result is empty if the topic does not exist.
        """

    def lag(self, group: str, topic: str) -> int:
        """Return the number of records in all partitions that a group has not committed yet."""

    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        wait_s: float = TAKEOVER_S,
    ) -> AbstractContextManager[StreamConsumer]:
        """Open a consumer that holds the leases of ``partitions`` (None: all) for a group.

        A lease ends when the block or the process ends. Every commit checks a fencing token, so
        the commits of a consumer that lost its lease fail.

        Raises
        ------
        DataError
            The topic or a partition does not exist, or ``partitions`` is empty.
        ConflictError
            Another live consumer still holds one of the leases after ``wait_s``.
        """
