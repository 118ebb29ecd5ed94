"""The stream role: topics, partitions, consumer groups, offsets committed together with the
consumer's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from vigie.records import Message, Position, StreamRecord


class StreamConsumer(Protocol):
    """A member of a group that owns some partitions until it closes."""

    @property
    def partitions(self) -> tuple[int, ...]: ...

    @property
    def assignment(self) -> int:
        """A number that changes whenever partitions came or went: their state must be read again,
        lines that were not committed are dropped (whoever owns the partition reads them again).
        """

    @property
    def max_gap_s(self) -> float | None:
        """How long the caller may stay away between two polls, in seconds; None: as it likes."""

    def committed(self) -> dict[int, Position]:
        """Return each owned partition's committed position (offset 0 of a fresh group: the oldest
        kept).
        """

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        """Return the next records, in offset order within a partition; empty at the end of the log.

        Raises DataError when the committed offset was dropped by retention (lines were lost).
        """

    def idle(self, seconds: float) -> None:
        """Stay the owner for a while without reading (the sink asks for time)."""

    def commit(self, positions: Mapping[int, Position]) -> None:
        """Commit positions with their metadata, atomically a partition.

        Call it only after the sink confirmed. Raises ConflictError when the partition now belongs
        to somebody else.
        """


class LogStream(Protocol):
    """Topics of log lines."""

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        """Create a topic; return False if it was already there (never recreates)."""

    def delete_topic(self, topic: str) -> None: ...

    def partitions(self, topic: str) -> int:
        """Return the number of partitions; 0 if the topic does not exist."""

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        """Append messages durably, in order; return the offset of the first. Raises DataError: no
        such topic.
        """

    def first_offsets(self, topic: str) -> dict[int, int]:
        """Return the oldest offset that is kept of each partition; of an empty one its end."""

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written of each partition."""

    def trim(self, topic: str) -> int:
        """Drop lines that every group has committed, where keeping the log small is left to us;
        return how many.

        A broker with a retention of its own drops nothing and returns 0.
        """

    def lag(self, group: str, topic: str) -> int:
        """Count the lines that a group has not committed yet; 0 if the topic does not exist."""

    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        member: str | None = None,
    ) -> AbstractContextManager[StreamConsumer]:
        """Own partitions (None: all) as a member of a group.

        Raises ConflictError while another live member owns one of them.

        With ``member``, a name that stays the same over restarts, the group shares the partitions
        out instead, if the stream can: they come and go (see ``assignment``), ``partitions`` is not
        used. Raises FencedError when another process takes the same name.
        """
