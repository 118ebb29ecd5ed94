"""Partitions that a worker owns by name: no membership, a lease and a token in each commit.

A worker that Airflow maps takes its partitions at once after another was killed (0.06 s; a
subscription waits for the dead one's session). Kafka itself does not keep two such workers apart:
the lease does, and a token that each member writes at its start tells a late one that it lost.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import TopicPartition

from vigie.adapters.kafka.client import CONNECT_S, SESSION_S, KafkaCluster
from vigie.adapters.kafka.errors import translated
from vigie.adapters.kafka.reader import KafkaReader
from vigie.errors import ConflictError
from vigie.records import Position, StreamRecord


class KafkaConsumer:
    """Satisfies :class:`vigie.roles.StreamConsumer` over partitions chosen by the caller."""

    assignment = 1
    max_gap_s = None

    def __init__(
        self, cluster: KafkaCluster, group: str, topic: str, partitions: Sequence[int]
    ) -> None:
        self._reader = KafkaReader(cluster, group, topic, secrets.token_hex(4))
        self._done: dict[int, Position] = {}  # as far as it is committed
        self._handed: dict[int, int] = {}  # after the last line that was handed out
        self.committed = self._reader.committed
        self.idle = time.sleep
        try:
            self._enter(partitions)
        except BaseException:
            self.close()
            raise

    def _enter(self, partitions: Sequence[int]) -> None:
        """Take over: commit again what is committed, under our token.

        The broker refuses that while a follower is a member of the group.
        """
        reader = self._reader
        stored = reader.positions.stored(partitions, CONNECT_S)
        positions = {partition: position for partition, (_, position) in stored.items()}
        try:
            reader.positions.write(positions)
        except ConflictError as exc:
            raise ConflictError(
                f"group {reader.group!r} has a follower (`vigie stream consume --follow`), or had "
                f"one less than {SESSION_S:.0f} s ago: {exc}"
            ) from exc
        starts = [TopicPartition(reader.topic, p, at.offset) for p, at in positions.items()]
        with translated(f"the partitions {list(partitions)} were not assigned"):
            reader.client.assign(starts)
        reader.next = {partition: position.offset for partition, position in positions.items()}
        self._done = positions

    @property
    def partitions(self) -> tuple[int, ...]:
        return self._reader.partitions

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        records = self._reader.poll(max_records, timeout_s)
        self._handed |= {record.partition: record.offset + 1 for record in records}
        if not records:
            self._pass_markers()
        return records

    def _pass_markers(self) -> None:
        """Commit past offsets that are nobody's lines (of others' transactions): no lag is left."""
        ends = self._reader.next
        past = {
            p: Position(ends[p], at.metadata)
            for p, at in self._done.items()
            if self._handed.get(p, at.offset) == at.offset < ends[p]
        }
        if past:
            self.commit(past)

    def commit(self, positions: Mapping[int, Position]) -> None:
        """Commit behind the token: the group's positions are ours while it is the last written.

        Between looking and writing somebody may take over. His next commit then fails; nothing is
        lost, because a position always has its own state and its lines in the sink.
        """
        reader = self._reader
        reader.check(positions)
        stored = reader.positions.stored(sorted(positions), reader.cluster.outage_s)
        for partition, (token, _) in stored.items():
            if token != reader.positions.token:
                raise ConflictError(
                    f"partition {partition} of {reader.topic!r} belongs to another member of group "
                    f"{reader.group!r} now, or its topic is gone; nothing was committed"
                )
        reader.positions.write(positions)
        self._done |= positions

    def close(self) -> None:
        self._reader.client.close()
