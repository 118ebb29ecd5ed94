"""The stream role on Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from vigie.adapters.kafka.client import CONNECT_S, KafkaCluster
from vigie.adapters.kafka.consumer import KafkaConsumer
from vigie.adapters.kafka.producer import KafkaWriter
from vigie.errors import DataError, TransientError
from vigie.records import Message
from vigie.roles import Locks
from vigie.roles.stream import TAKEOVER_S
from vigie.stored_records import partition_error

_OUTAGE_S = 90.0


class KafkaStream:
    """Implement :class:`vigie.roles.LogStream` on Kafka.

    Parameters
    ----------
    servers
        Bootstrap servers, ``host:port,…``.
    locks
        Function that returns the store of the leases. None: no leases; the commits of a consumer
        fail as soon as another consumer of its group starts on the same partition.
    security
        librdkafka's options for TLS and SASL.
    outage_s
        Seconds that a write waits for unavailable brokers.
    patience_s
        Seconds that reads and commits wait for unavailable brokers; None: ``outage_s``. A process
        that must stop soon after a signal passes a short time.
    """

    def __init__(
        self,
        servers: str,
        *,
        locks: Callable[[], Locks] | None = None,
        security: Mapping[str, str] | None = None,
        outage_s: float = _OUTAGE_S,
        patience_s: float | None = None,
    ) -> None:
        self.cluster = KafkaCluster(servers, security or {}, outage_s, patience_s)
        self._locks = locks
        self._writer = KafkaWriter(self.cluster)
        self._known: dict[str, int] = {}  # topic → number of partitions, read by ``produce``

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        if partitions < 1:
            raise DataError(f"topic {topic!r} needs at least one partition, not {partitions}")
        if self.partitions(topic) or not self.cluster.create(topic, partitions):
            return False
        self._await(topic, lambda n: n > 0)
        return True

    def delete_topic(self, topic: str) -> None:
        self._known.pop(topic, None)
        if self.partitions(topic) and self.cluster.delete(topic):
            self._await(topic, lambda n: n == 0)

    def _await(self, topic: str, is_done: Callable[[int], bool]) -> None:
        """Wait until the brokers report a change of a topic that the controller has made."""
        deadline = time.monotonic() + CONNECT_S
        while not is_done(self.partitions(topic)):
            if time.monotonic() > deadline:
                raise TransientError(f"the brokers do not report the change of topic {topic!r} yet")
            time.sleep(0.02)

    def partitions(self, topic: str) -> int:
        return self.cluster.partitions(topic)

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        if not 0 <= partition < self._known.get(topic, 0):
            self._known[topic] = self.partitions(topic)
        if not 0 <= partition < self._known[topic]:
            raise partition_error(topic, range(self._known[topic]), [partition])
        if not messages:
            return self.end_offsets(topic)[partition]
        return self._writer.write(topic, partition, messages)

    def first_offsets(self, topic: str) -> dict[int, int]:
        return self.cluster.bounds(topic, oldest=True)

    def end_offsets(self, topic: str) -> dict[int, int]:
        return self.cluster.bounds(topic, oldest=False)

    def trim(self, topic: str) -> int:
        """Delete nothing and return 0; Kafka applies the retention of the topic."""
        return 0

    def lag(self, group: str, topic: str) -> int:
        return sum(self.lags(group, topic).values())

    def lags(self, group: str, topic: str) -> dict[int, int]:
        ends = self.end_offsets(topic)
        if not ends:
            return {}
        starts = self.cluster.committed(group, topic, sorted(ends))
        if len(starts) < len(ends):
            starts = self.first_offsets(topic) | starts
        return {partition: max(end - starts[partition], 0) for partition, end in ends.items()}

    @contextmanager
    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        wait_s: float = TAKEOVER_S,
    ) -> Iterator[KafkaConsumer]:
        known = range(self.partitions(topic))
        wanted = sorted(known if partitions is None else partitions)
        if not wanted or not set(known) >= set(wanted):
            raise partition_error(topic, known, wanted)
        with ExitStack() as leases:
            if self._locks is not None:
                for partition in wanted:
                    name = f"stream:{group}:{topic}:{partition}"
                    leases.enter_context(self._locks().hold(name, wait_s))
            consumer = KafkaConsumer(self.cluster, group, topic, wanted)
            leases.callback(consumer.close)
            yield consumer

    def close(self) -> None:
        """Close the producer and the admin client; their threads end."""
        self._writer.close()
        self.cluster.close()
