"""The contract of the stream through the real client on librdkafka's mock cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.kafka_mock import KafkaMock, MockKafkaStream
from vigie.testing.contracts import stream, stream_faults, stream_groups
from vigie.testing.contracts.stream import GROUP, StreamSubject
from vigie.testing.index import FakeIndex
from vigie.testing.stores import FakeLocks

_CHECKS = [*stream.CHECKS, *stream_groups.CHECKS, *stream_faults.CHECKS]


@pytest.fixture
def subject() -> Iterator[StreamSubject]:
    locks = FakeLocks()
    with KafkaMock() as mock:
        kafka = MockKafkaStream(mock, locks=lambda: locks)
        yield StreamSubject(
            kafka,
            FakeIndex(),
            expel=lambda group, topic: locks.locks.clear(),
            trim=lambda topic: trim(kafka, topic),
        )
        kafka.close()


def trim(kafka: MockKafkaStream, topic: str) -> int:
    """Delete the records that both groups have committed, as the mock cannot list groups."""
    dropped = 0
    for partition, low in kafka.cluster.bounds(topic, oldest=True).items():
        found = [kafka.cluster.committed(group, topic, [partition]) for group in (GROUP, "slow")]
        offsets = [offset for committed in found for offset in committed.values()]
        if offsets and min(offsets) > low:
            kafka.mock.delete_records(topic, partition, min(offsets))
            dropped += min(offsets) - low
    return dropped


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__)
def test_mock_cluster(check: Callable[[StreamSubject], None], subject: StreamSubject) -> None:
    check(subject)


def test_a_closed_mock_cluster_ignores_calls() -> None:
    with KafkaMock() as mock:
        pass
    mock.up()
    mock.fail(1, 6)
    mock.close()
