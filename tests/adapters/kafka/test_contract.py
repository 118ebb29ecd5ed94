"""The contract of the stream on a real Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition

from vigie.adapters.kafka.stream import KafkaStream
from vigie.testing.contracts import stream, stream_faults, stream_groups
from vigie.testing.contracts.stream import TOPIC, StreamSubject
from vigie.testing.index import FakeIndex
from vigie.testing.stores import FakeLocks

_CHECKS = [*stream.CHECKS, *stream_groups.CHECKS, *stream_faults.CHECKS]


@pytest.fixture
def subject(kafka_servers: str) -> Iterator[StreamSubject]:
    locks = FakeLocks()
    kafka = KafkaStream(kafka_servers, locks=lambda: locks, outage_s=30)
    kafka.delete_topic(TOPIC)
    yield StreamSubject(
        kafka,
        FakeIndex(),
        expel=lambda group, topic: locks.locks.clear(),
        trim=lambda topic: trim(kafka, topic),
    )
    kafka.delete_topic(TOPIC)
    kafka.close()


def trim(kafka: KafkaStream, topic: str) -> int:
    """Delete the records that every group has committed; return their number."""
    cluster = kafka.cluster
    groups = [g.group_id for g in cluster.admin.list_consumer_groups().result().valid]
    dropped = 0
    for partition, low in cluster.bounds(topic, oldest=True).items():
        found = [cluster.committed(group, topic, [partition]) for group in groups]
        offsets = [offset for committed in found for offset in committed.values()]
        if offsets and min(offsets) > low:
            place = TopicPartition(topic, partition, min(offsets))
            cluster.admin.delete_records([place])[place].result()
            dropped += min(offsets) - low
    return dropped


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__)
def test_kafka(check: Callable[[StreamSubject], None], subject: StreamSubject) -> None:
    check(subject)
