"""Read and commit the partitions of a topic whose leases this process holds.

Partitions are assigned directly, without membership in a Kafka group. The successor of a killed
process therefore starts within 0.06 s; with a subscription, it would wait until the session of
the dead member expires. Kafka allows two such consumers of one partition, but the lease does not.
In addition, every consumer commits a fencing token when it starts. A consumer that lost its lease
reads the token of its successor before a commit, and raises ConflictError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vigie.adapters.kafka.client import CONNECT_S, KafkaCluster
from vigie.adapters.kafka.reader import KafkaReader
from vigie.errors import ConflictError
from vigie.records import Position, StreamRecord
from vigie.stored_records import check_metadata


class KafkaConsumer:
    """Implement :class:`vigie.roles.StreamConsumer` on Kafka."""

    def __init__(
        self, cluster: KafkaCluster, group: str, topic: str, partitions: Sequence[int]
    ) -> None:
        self._cluster, self._group, self._topic = cluster, group, topic
        self._reader = KafkaReader(cluster, group, topic)
        self._done: dict[int, Position] = {}  # committed positions
        self._returned: dict[int, int] = {}  # offsets after the last record that poll returned
        try:
            self._enter(partitions)
        except BaseException:
            self.close()
            raise

    def _enter(self, partitions: Sequence[int]) -> None:
        """Commit the stored positions again with this consumer's fencing token.

        The commits of the previous consumer of these partitions then fail.
        """
        reader = self._reader
        stored = reader.positions.stored(partitions, CONNECT_S)
        self._done = {partition: position for partition, (_, position) in stored.items()}
        try:
            reader.positions.write(self._done, max(CONNECT_S, self._cluster.patience_s))
        except ConflictError as exc:
            raise ConflictError(
                f"{exc}; if group {self._group!r} has members that subscribed through Kafka's "
                "group protocol, use another group"
            ) from exc
        reader.start({partition: at.offset for partition, at in self._done.items()})

    @property
    def partitions(self) -> tuple[int, ...]:
        return tuple(sorted(self._done))

    def committed(self) -> dict[int, Position]:
        wait_s = max(CONNECT_S, self._cluster.patience_s)
        found = self._reader.positions.stored(self.partitions, wait_s)
        return {partition: position for partition, (_, position) in sorted(found.items())}

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        records = self._reader.poll(max_records, timeout_s)
        self._returned |= {record.partition: record.offset + 1 for record in records}
        if not records:
            self._commit_past_markers()
        return records

    def _commit_past_markers(self) -> None:
        """Commit the offsets after transaction markers, so that markers do not count as lag."""
        ends = self._reader.next
        past = {
            p: Position(ends[p], at.metadata)
            for p, at in self._done.items()
            if self._returned.get(p, at.offset) == at.offset < ends[p]
        }
        if past:
            self.commit(past)

    def commit(self, positions: Mapping[int, Position]) -> None:
        """Commit positions if the stored token is still the token of this consumer.

        If another consumer takes over between the check and the write, this write succeeds and the
        next commit of the other consumer fails. No line is lost, because lines are stored before
        their position is committed.
        """
        self._check(positions)
        stored = self._reader.positions.stored(sorted(positions), self._cluster.patience_s)
        for partition, (token, _) in stored.items():
            if token != self._reader.positions.token:
                raise ConflictError(
                    f"another client committed an offset of partition {partition} of "
                    f"{self._topic!r} for group {self._group!r}, or the topic was deleted; "
                    "this consumer committed nothing"
                )
        self._reader.positions.write(positions, self._cluster.patience_s)
        self._done |= positions

    def _check(self, positions: Mapping[int, Position]) -> None:
        for position in positions.values():
            check_metadata(position.metadata)
        if foreign := sorted(positions.keys() - self._done.keys()):
            raise ConflictError(
                f"this consumer holds no lease of the partitions {foreign} of {self._topic!r}; "
                "nothing was committed"
            )

    def close(self) -> None:
        self._reader.positions.close()
