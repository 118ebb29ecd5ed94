"""Read the partitions of one topic up to their end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from vigie.adapters.kafka.client import CONNECT_S, CONSUMER, KafkaCluster, is_passing
from vigie.adapters.kafka.errors import explain, translated
from vigie.adapters.kafka.messages import records_of
from vigie.adapters.kafka.positions import KafkaPositions
from vigie.errors import DataError, TransientError
from vigie.records import StreamRecord
from vigie.stored_records import ALLOW_GAP_ADVICE, MAX_POLL_BYTES

PIECE = 64
"""Number of messages taken from the client before their bytes are counted. 64 lines of the maximum
length that vigie writes have 16 MB in total."""

_GATHER_S = 0.02  # length of one wait for existing records that have not arrived
_SLICE_S = 0.5  # length of one wait at the end of the log; Python handles signals between waits


class KafkaReader:
    """A reader that returns each record once, in offset order within a partition."""

    def __init__(self, cluster: KafkaCluster, group: str, topic: str) -> None:
        self.cluster, self.group, self.topic = cluster, group, topic
        self.next: dict[int, int] = {}  # partition → offset of the next record to return
        with translated("the settings of Kafka are wrong"):
            self.client = Consumer(
                cluster.options(CONSUMER, group_id=group, enable_partition_eof=True)
            )
        self.positions = KafkaPositions(cluster, self.client, group, topic)

    def start(self, offsets: Mapping[int, int]) -> None:
        """Start to read each partition at its offset in ``offsets``."""
        self.next = dict(offsets)
        starts = [TopicPartition(self.topic, p, offset) for p, offset in offsets.items()]
        with translated(f"cannot read the partitions {sorted(offsets)} of {self.topic!r}"):
            self.client.assign(starts)

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        """Return the next records; at the end of the log, wait up to ``timeout_s`` for more.

        Raises
        ------
        DataError
            Retention deleted records before they were read.
        TransientError
            Records exist, but did not arrive within the cluster's ``patience_s``.
        """
        deadline = time.monotonic() + timeout_s
        outage_deadline = time.monotonic() + self.cluster.patience_s
        wait_s = 0.0
        while not (records := self._consume(max_records, wait_s)):
            if self._is_behind():
                if time.monotonic() > outage_deadline:
                    raise TransientError(
                        f"records of {self.topic!r} did not arrive from Kafka at "
                        f"{self.cluster.servers} within {self.cluster.patience_s:.0f} s"
                    )
                wait_s = _GATHER_S
                continue
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            if records := self._consume(1, min(_SLICE_S, left_s), more=max_records - 1):
                break  # a record arrived before the deadline
            wait_s = 0.0
        return records

    def _consume(self, max_records: int, wait_s: float, more: int = 0) -> list[StreamRecord]:
        """Return records that arrive within ``wait_s``, then up to ``more`` that are ready.

        After an error, reset the positions, so that records received before the error are read
        again and a later commit does not skip them.
        """
        before = dict(self.next)
        messages: list[Any] = []
        try:
            with translated(f"cannot read {self.topic!r} from Kafka at {self.cluster.servers}"):
                _take(self.client, messages, max_records, wait_s)
                if messages and more:
                    _take(self.client, messages, more, 0.0)
            return self._decoded(messages)
        except BaseException:
            self.start(before)
            raise

    def _decoded(self, messages: list[Any]) -> list[StreamRecord]:
        good = [message for message in messages if message.error() is None]
        records = records_of(self.topic, good)
        for record in records:
            self._advance(record.partition, record.offset + 1)
        if len(good) < len(messages):
            for message in messages:
                self._handle(message)
        return records

    def _advance(self, partition: int, offset: int) -> None:
        """Move a position past a record or transaction markers; never move it back."""
        self.next[partition] = max(self.next[partition], offset)

    def _handle(self, message: Any) -> None:
        """Advance past an end-of-partition event; raise an error that librdkafka does not retry."""
        error: KafkaError | None = message.error()
        if error is None or is_passing(error):
            return
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            self._advance(partition, message.offset())
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise self._lost(partition, *self.positions.bounds(partition, CONNECT_S))
        else:
            raise explain(error, f"cannot read {self.topic!r} from Kafka at {self.cluster.servers}")

    def _is_behind(self) -> bool:
        """Return whether the brokers have records that ``poll`` has not returned yet."""
        for partition, position in self.next.items():
            low, high = self.positions.bounds(partition, self.cluster.patience_s)
            if position < low:
                raise self._lost(partition, low, high)
            if position != high:
                return True
        return False

    def _lost(self, partition: int, low: int, high: int) -> DataError:
        """Return an error with the numbers of the missing lines, for a position outside the log."""
        position, where = self.next[partition], f"{self.topic!r}/{partition}"
        if position < low:
            gone = (
                f"lines {position} to {low - 1} of {where} were deleted by retention before group "
                f"{self.group!r} read them"
            )
        else:
            gone = (
                f"line {position} of {where}, the next line of group {self.group!r}, does not "
                f"exist: the log now starts at {low} and ends before {high}"
            )
        return DataError(f"{gone}; nothing was skipped; {ALLOW_GAP_ADVICE}")


def _take(client: Consumer, messages: list[Any], wanted: int, wait_s: float) -> None:
    """Append up to ``wanted`` messages that arrive within ``wait_s``; stop early if they are long.

    The client does not report the size of its queued messages: one call for a thousand messages
    could return hundreds of megabytes, which a broker sent as one compressed batch. After an error,
    the client does not return the appended messages again.
    """
    until, n_bytes = time.monotonic() + wait_s, 0
    while wanted > 0 and n_bytes < MAX_POLL_BYTES:
        n = min(wanted, PIECE)
        piece = client.consume(n, timeout=max(until - time.monotonic(), 0.0))
        messages += piece
        if len(piece) < n:
            return
        n_bytes += sum(len(message.value() or b"") for message in piece)
        wanted -= n
