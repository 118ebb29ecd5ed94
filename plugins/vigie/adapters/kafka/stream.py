"""The stream on Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from vigie.adapters.kafka.client import CONNECT_S, KafkaCluster
from vigie.adapters.kafka.consumer import KafkaConsumer
from vigie.adapters.kafka.member import KafkaMember
from vigie.adapters.kafka.producer import KafkaWriter
from vigie.errors import DataError, TransientError
from vigie.records import Message
from vigie.roles import Locks, StreamConsumer

#: A killed worker's lease ends within milliseconds; its successor waits that long.
_TAKEOVER_S = 0.5
_OUTAGE_S = 90.0


class KafkaStream:
    """Satisfies :class:`vigie.roles.LogStream`.

    Parameters
    ----------
    servers
        ``host:port,…`` to begin with.
    locks
        Keeps two live workers from owning one partition; None: the later one takes over, and the
        earlier learns it at its next commit.
    security
        librdkafka's options for TLS and SASL.
    outage_s
        How long a call that runs waits for brokers to come back, in seconds.
    """

    def __init__(
        self,
        servers: str,
        *,
        locks: Callable[[], Locks] | None = None,
        security: Mapping[str, str] | None = None,
        outage_s: float = _OUTAGE_S,
    ) -> None:
        self.cluster = KafkaCluster(servers, security or {}, outage_s)
        self._locks = locks
        self._writer = KafkaWriter(self.cluster)
        self._known: dict[str, int] = {}  # partitions of topics that were seen

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
        """Wait until the brokers tell of a change that the controller has made."""
        deadline = time.monotonic() + CONNECT_S
        while not is_done(self.partitions(topic)):
            if time.monotonic() > deadline:
                raise TransientError(f"the change of topic {topic!r} is not visible yet")
            time.sleep(0.02)

    def partitions(self, topic: str) -> int:
        return self.cluster.partitions(topic)

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        if not 0 <= partition < self._known.get(topic, 0):
            self._known[topic] = self.partitions(topic)
        if not 0 <= partition < self._known[topic]:
            raise DataError(f"topic {topic!r} has no partition {partition}; create it first")
        if not messages:
            return self.end_offsets(topic)[partition]
        return self._writer.write(topic, partition, messages)

    def first_offsets(self, topic: str) -> dict[int, int]:
        return self.cluster.bounds(topic, oldest=True)

    def end_offsets(self, topic: str) -> dict[int, int]:
        return self.cluster.bounds(topic, oldest=False)

    def trim(self, topic: str) -> int:
        """Drop nothing: the topic's own retention does it."""
        return 0

    def lag(self, group: str, topic: str) -> int:
        ends = self.end_offsets(topic)
        if not ends:
            return 0
        starts = self.cluster.committed(group, topic, sorted(ends))
        if len(starts) < len(ends):
            starts = self.first_offsets(topic) | starts
        return sum(max(end - starts[partition], 0) for partition, end in ends.items())

    @contextmanager
    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        member: str | None = None,
    ) -> Iterator[StreamConsumer]:
        with ExitStack() as leases:
            if member is not None:  # asks nothing here: whoever follows waits for brokers itself
                joined = KafkaMember(self.cluster, group, topic, member)
                leases.callback(joined.close)
                yield joined
                return
            known = range(self.partitions(topic))
            wanted = sorted(known if partitions is None else partitions)
            if not wanted or not set(known) >= set(wanted):
                raise DataError(f"topic {topic!r} has the partitions {list(known)}, not {wanted}")
            if self._locks is not None:
                for partition in wanted:
                    name = f"stream:{group}:{topic}:{partition}"
                    leases.enter_context(self._locks().hold(name, _TAKEOVER_S))
            consumer = KafkaConsumer(self.cluster, group, topic, wanted)
            leases.callback(consumer.close)
            yield consumer

    def close(self) -> None:
        """Let go of the producer and the administrator: their threads end."""
        self._writer.close()
        self.cluster.close()
