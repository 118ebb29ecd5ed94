"""A long-running member of a consumer group: Kafka shares the partitions out and moves them.

Membership is static: a member that comes back under its name within the session has its partitions
at once, without a rebalance. The caller polls only when every line that it got is stored and
committed, or given up: when a partition is taken away (this happens inside ``poll`` and ``idle``)
nothing of it waits, and the broker has accepted the commits until then.

No call waits long for brokers that are away: TransientError, and the same call may be made again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

from vigie.adapters.kafka.background_call import Errand
from vigie.adapters.kafka.client import CONNECT_S, SESSION_S, KafkaCluster
from vigie.adapters.kafka.errors import translated
from vigie.adapters.kafka.reader import KafkaReader
from vigie.errors import ConflictError
from vigie.records import Position, StreamRecord

#: How long a rebalance waits for a member's last batch: the caller keeps its batches below a third.
MAX_GAP_S = 90.0
#: How long one call waits for brokers that are away; then the caller decides (and may be stopped).
PATIENCE_S = 1.0
_BEAT_S = 0.2


class KafkaMember:
    """Satisfies :class:`vigie.roles.StreamConsumer`; partitions come and go."""

    def __init__(
        self,
        cluster: KafkaCluster,
        group: str,
        topic: str,
        member: str,
    ) -> None:
        self.max_gap_s = MAX_GAP_S
        self._is_idle = False
        self._heard = time.monotonic()
        self._reader = KafkaReader(
            cluster,
            group,
            topic,
            member,
            patience_s=PATIENCE_S,
            group_instance_id=member,
            partition_assignment_strategy="range",
            session_timeout_ms=int(min(SESSION_S, MAX_GAP_S) * 1000),
            max_poll_interval_ms=int(MAX_GAP_S * 1000),
        )
        self._done: dict[int, Position] = {}  # of each owned partition, as far as it is committed
        self._commits = Errand(self._write)
        with translated(f"group {group!r} was not joined"):
            self._reader.client.subscribe(
                [topic], on_assign=self._taken, on_revoke=self._given, on_lost=self._given
            )

    def _taken(self, client: Consumer, places: list[TopicPartition]) -> None:
        """Begin where the group committed; a fresh group at the oldest line."""
        reader = self._reader
        reader.own({})
        partitions = [place.partition for place in places]
        stored = reader.positions.stored(partitions, CONNECT_S) if partitions else {}
        starts = [TopicPartition(reader.topic, p, at.offset) for p, (_, at) in stored.items()]
        client.assign(starts)
        reader.own({p: position.offset for p, (_, position) in stored.items()})
        self._done = {p: position for p, (_, position) in stored.items()}
        if starts:  # the library keeps the pause of a partition that went and came back
            (client.pause if self._is_idle else client.resume)(starts)

    def _given(self, client: Consumer, places: list[TopicPartition]) -> None:
        """Let go: what was read and not committed is the next owner's to read."""
        self._reader.own({})
        client.unassign()

    @property
    def assignment(self) -> int:
        return self._reader.assignment

    @property
    def partitions(self) -> tuple[int, ...]:
        return self._reader.partitions

    def committed(self) -> dict[int, Position]:
        """Return where reading began or, after it, what this member committed; asks nobody.

        A second question could be answered otherwise: a state that does not belong to the start.
        """
        return {partition: self._done[partition] for partition in self.partitions}

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        if self._is_idle:
            self._is_idle = False
            with translated("reading did not go on"):
                self._reader.client.resume(self._places())
        try:
            return self._reader.poll(max_records, timeout_s)
        finally:
            self._heard = time.monotonic()

    def idle(self, seconds: float) -> None:
        """Stay a member without reading, until the next poll: no line arrives."""
        reader, until = self._reader, time.monotonic() + seconds
        try:
            with translated(f"group {reader.group!r} was left"):
                if not self._is_idle:
                    self._is_idle = True
                    self._pause()
                while (left_s := until - time.monotonic()) > 0:
                    message = reader.client.poll(min(_BEAT_S, left_s))
                    if message is not None:
                        reader.heed(message)
        finally:
            self._heard = time.monotonic()

    def _pause(self) -> None:
        if places := self._places():
            self._reader.client.pause(places)

    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(self._reader.topic, p) for p in self._reader.partitions]

    def commit(self, positions: Mapping[int, Position]) -> None:
        """Commit under the group's generation, which the broker checks.

        After too long a time away the library has left the group; the broker then takes us for
        somebody who was replaced under his own name. Nobody was: joining again is right.
        """
        self._reader.check(positions)
        away_s = time.monotonic() - self._heard
        if away_s > self.max_gap_s:
            raise ConflictError(
                f"this member of group {self._reader.group!r} was away for {away_s:.1f} s, longer "
                f"than the {self.max_gap_s:.0f} s that the group waits; nothing was committed"
            )
        self._commits.run((self._reader.assignment, dict(positions)), PATIENCE_S)
        self._done |= positions

    def _write(self, order: tuple[int, Mapping[int, Position]]) -> None:
        """Commit what was ordered, as long as the partitions are those of then.

        The library commits under the generation of the moment: an attempt after a rebalance would
        set somebody else's position back.
        """
        assignment, positions = order

        def check() -> None:
            if self._reader.assignment != assignment:
                raise ConflictError(
                    f"the partitions of group {self._reader.group!r} were shared out anew before "
                    "its positions were committed; they are not"
                )

        self._reader.positions.write(positions, check)

    def close(self) -> None:
        """Leave; the library hangs if that happens during a commit, which then comes first."""
        self._commits.afterwards(self._reader.client.close)
