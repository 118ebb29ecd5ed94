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

from vigie.adapters.kafka_client import CONNECT_S, SESSION_S, KafkaCluster
from vigie.adapters.kafka_errors import translated
from vigie.adapters.kafka_reader import KafkaReader
from vigie.errors import ConflictError
from vigie.records import Position


class KafkaConsumer:
    """Satisfies :class:`vigie.roles.StreamConsumer` over partitions chosen by the caller."""

    assignment = 1
    max_gap_s = None

    def __init__(
        self, cluster: KafkaCluster, group: str, topic: str, partitions: Sequence[int]
    ) -> None:
        self._reader = KafkaReader(cluster, group, topic, secrets.token_hex(4))
        self.poll = self._reader.poll
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

    @property
    def partitions(self) -> tuple[int, ...]:
        return self._reader.partitions

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

    def close(self) -> None:
        self._reader.client.close()
