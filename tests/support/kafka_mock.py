"""The mock cluster of librdkafka: real sockets and protocol, injected faults, no server.

The cluster ends with its process and writes nothing to disk; a partition holds 5 MiB. The contract
of the stream passes on the cluster. It cannot create or delete topics through the protocol
(:class:`MockKafkaStream` calls the cluster directly), refuse an unknown topic, list groups, or
enforce message sizes, TLS, SASL and permissions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any, Self

import confluent_kafka

from vigie.adapters.kafka.stream import KafkaStream
from vigie.errors import DataError
from vigie.roles import Locks

PRODUCE, FETCH, LIST_OFFSETS, OFFSET_COMMIT, OFFSET_FETCH = 0, 1, 2, 8, 9
"""Keys of Kafka's API, for :meth:`KafkaMock.fail`."""

_PRODUCER = 0


def _library() -> ctypes.CDLL:
    """Load the librdkafka of confluent-kafka, which is already in the process."""
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    found = [path for folder in folders for path in folder.glob("librdkafka*")]
    if not found:
        raise DataError(f"no librdkafka beside {package}")
    library = ctypes.CDLL(str(found[0]))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class KafkaMock:
    """A mock cluster on loopback; a context manager.

    Parameters
    ----------
    brokers
        Number of brokers; their ids are 1 to ``brokers``.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        text = ctypes.create_string_buffer(256)
        conf = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", text, ctypes.c_size_t(256))
        handle = self._library.rd_kafka_new(_PRODUCER, conf, text, ctypes.c_size_t(256))
        if not handle:
            raise DataError(f"no mock cluster: {text.value.decode()}")
        self._handle = ctypes.c_void_p(handle)
        cluster = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        self._cluster = ctypes.c_void_p(cluster)
        self.brokers = range(1, brokers + 1)
        self._lock, self._is_closed = RLock(), False
        self._call("group_initial_rebalance_delay_ms", ctypes.c_int32(100))

    def _call(self, name: str, *arguments: Any) -> int:
        """Call the library, unless the cluster is closed: the call would crash."""
        function = getattr(self._library, f"rd_kafka_mock_{name}")
        with self._lock:
            return 0 if self._is_closed else int(function(self._cluster, *arguments))

    @property
    def servers(self) -> str:
        bootstraps = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return str(bootstraps.decode())

    def create_topic(self, topic: str, partitions: int) -> None:
        self._call("topic_create", topic.encode(), partitions, len(self.brokers))

    def delete_topic(self, topic: str) -> None:
        self._call("topic_delete", topic.encode())

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete the lines below an offset, as retention does."""
        self._call(
            "partition_delete_records",
            topic.encode(),
            ctypes.c_int32(partition),
            ctypes.c_int64(before),
        )

    def fail(self, api: int, *codes: int) -> None:
        """Let the next requests of one kind fail: one request with each of these errors."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._call("push_request_errors_array", ctypes.c_int16(api), len(codes), errors)

    def forgive(self, api: int) -> None:
        """Remove injected errors that were not used."""
        self._call("clear_request_errors", ctypes.c_int16(api))

    def down(self) -> None:
        """Disconnect every broker."""
        for broker in self.brokers:
            self._call("broker_set_down", ctypes.c_int32(broker))

    def up(self) -> None:
        for broker in self.brokers:
            self._call("broker_set_up", ctypes.c_int32(broker))

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MockKafkaStream(KafkaStream):
    """A stream on a mock cluster, whose topics are created by direct calls."""

    def __init__(
        self,
        mock: KafkaMock,
        *,
        locks: Callable[[], Locks] | None = None,
        outage_s: float = 20.0,
        patience_s: float | None = None,
    ) -> None:
        super().__init__(mock.servers, locks=locks, outage_s=outage_s, patience_s=patience_s)
        self.mock = mock
        self.made: set[str] = set()

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        if partitions < 1:
            raise DataError(f"topic {topic!r} needs at least one partition, not {partitions}")
        if topic in self.made:
            return False
        self.mock.create_topic(topic, partitions)
        self.made.add(topic)
        return True

    def delete_topic(self, topic: str) -> None:
        self.mock.delete_topic(topic)
        self.made.discard(topic)

    def partitions(self, topic: str) -> int:
        """Request only existing topics, because a request would create a missing topic."""
        return super().partitions(topic) if topic in self.made else 0
