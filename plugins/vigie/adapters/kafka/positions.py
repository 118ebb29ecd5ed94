"""A group's positions in one topic: where its log begins and ends, what was committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from vigie.adapters.kafka.client import CONNECT_S, MISSING, KafkaCluster
from vigie.adapters.kafka.errors import translated
from vigie.adapters.kafka.records import pack, unpack
from vigie.errors import ConflictError, TransientError
from vigie.records import Position

T = TypeVar("T")


class KafkaPositions:
    """Asks and commits through a consumer; waits for brokers that are away, but not for ever.

    Parameters
    ----------
    token
        Written into every commit, so that another member of the group is told from this one.
    ask_s
        How long one question waits for its answer.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        client: Consumer,
        group: str,
        topic: str,
        token: str,
        ask_s: float = CONNECT_S,
    ) -> None:
        self._cluster, self._client, self._ask_s = cluster, client, ask_s
        self.group, self.topic, self.token = group, topic, token

    def bounds(self, partition: int, wait_s: float) -> tuple[int, int]:
        """Return the oldest offset of a partition and the next one to be written."""
        place = TopicPartition(self.topic, partition)
        found: tuple[int, int] = self._patiently(
            lambda: self._watermarks(place),
            wait_s,
            f"the end of {self.topic!r}/{partition} was not told",
        )
        return found

    def _watermarks(self, place: TopicPartition) -> tuple[int, int] | None:
        """Ask once; None while only this broker, or the library, does not know the partition.

        A partition without a leader is not there, says the library; so says a broker that has not
        heard of a new topic yet.
        """
        try:
            found: tuple[int, int] | None = self._client.get_watermark_offsets(
                place, timeout=self._ask_s, cached=False
            )
            return found
        except KafkaException as exc:
            if exc.args[0].code() not in (KafkaError._UNKNOWN_PARTITION, *MISSING):
                raise
            if self._cluster.partitions(self.topic, self._ask_s) > place.partition:
                return None
            raise self._deleted() from exc

    def stored(self, partitions: Sequence[int], wait_s: float) -> dict[int, tuple[str, Position]]:
        """Return token and position of what the group committed; the oldest line if nothing."""
        places = [TopicPartition(self.topic, p) for p in partitions]
        found = self._patiently(
            lambda: self._of_topic(lambda: self._client.committed(places, timeout=self._ask_s)),
            wait_s,
            f"the positions of group {self.group!r} in {self.topic!r} were not told",
        )
        positions: dict[int, tuple[str, Position]] = {}
        for at in found:
            token, state = unpack(at.metadata)
            is_fresh = at.offset == OFFSET_INVALID
            offset = self.bounds(at.partition, wait_s)[0] if is_fresh else at.offset
            positions[at.partition] = token, Position(offset, state)
        return positions

    def write(
        self, positions: Mapping[int, Position], check: Callable[[], None] = lambda: None
    ) -> None:
        """Commit and wait for the answer; a repeated commit changes nothing.

        ``check`` is called before each attempt: what it raises ends them.
        """
        offsets = [
            TopicPartition(self.topic, p, at.offset, pack(self.token, at.metadata))
            for p, at in sorted(positions.items())
        ]

        def commit() -> list[TopicPartition]:
            check()
            answer: list[TopicPartition] = self._client.commit(offsets=offsets, asynchronous=False)
            return answer

        self._patiently(
            lambda: self._of_topic(commit),
            self._cluster.outage_s,
            f"the positions of group {self.group!r} in {self.topic!r} were not committed",
        )

    def _patiently(self, ask: Callable[[], T | None], wait_s: float, what: str) -> T:
        """Ask again for ``wait_s`` while brokers are away."""
        give_up = time.monotonic() + wait_s
        pause_s = 0.05
        where = f"{what} by Kafka at {self._cluster.servers}"
        while True:
            try:
                with translated(where):
                    answer = ask()
                if answer is not None:
                    return answer
                raise TransientError(where)
            except TransientError:
                if time.monotonic() + pause_s > give_up:
                    raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)

    def _of_topic(self, ask: Callable[[], list[TopicPartition]]) -> list[TopicPartition]:
        """Return an answer without errors; a topic that is gone took the group's positions."""
        try:
            answer = ask()
            for place in answer:
                if place.error is not None:
                    raise KafkaException(place.error)
            return answer
        except KafkaException as exc:
            if exc.args[0].code() in MISSING:
                raise self._deleted() from exc
            raise

    def _deleted(self) -> ConflictError:
        return ConflictError(f"topic {self.topic!r} was deleted under group {self.group!r}")
