"""Reading partitions up to the end of their log: what both kinds of Kafka consumers share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from vigie.adapters.kafka.client import CONNECT_S, CONSUMER, KafkaCluster, is_passing
from vigie.adapters.kafka.errors import explain, translated
from vigie.adapters.kafka.pieces import is_of_the_log, take
from vigie.adapters.kafka.positions import KafkaPositions
from vigie.adapters.kafka.records import records_of
from vigie.errors import ConflictError, DataError, TransientError
from vigie.records import Position, StreamRecord
from vigie.stored_records import ALLOW_GAP_ADVICE, check_metadata

#: Known lines are on their way: how long one read waits for more of them.
_GATHER_S = 0.02
#: One wait of an idle reader; between two the process hears Ctrl-C.
_SLICE_S = 0.5


class KafkaReader:
    """Reads partitions of one topic, in order; a line is handed out once, commits come after it.

    Parameters
    ----------
    cluster, group, topic, token
        What is read, as whom.
    patience_s
        How long one call waits for brokers that are away; None: as long as the cluster allows.
    options
        librdkafka's, ``_`` for ``.``.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        group: str,
        topic: str,
        token: str,
        *,
        patience_s: float | None = None,
        **options: Any,
    ) -> None:
        self.cluster, self.group, self.topic = cluster, group, topic
        self.patience_s = cluster.outage_s if patience_s is None else patience_s
        self.assignment = 0
        self.next: dict[int, int] = {}  # of each owned partition: the next offset to hand out
        with translated("the settings of Kafka are wrong"):
            self.client = Consumer(
                cluster.options(CONSUMER, group_id=group, enable_partition_eof=True, **options)
            )
        ask_s = min(CONNECT_S, self.patience_s)
        self.positions = KafkaPositions(cluster, self.client, group, topic, token, ask_s)

    def own(self, starts: Mapping[int, int]) -> None:
        """Own these partitions from now on, and no other; each begins at its offset."""
        self.assignment += 1
        self.next = dict(starts)

    @property
    def partitions(self) -> tuple[int, ...]:
        return tuple(sorted(self.next))

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        """Hand out what is there; at the end of the log wait up to ``timeout_s`` for more.

        Raises
        ------
        DataError
            Lines were lost to retention before they were read.
        TransientError
            Lines that are there do not arrive: brokers are away for longer than an outage may take.
        """
        deadline = time.monotonic() + timeout_s
        give_up = time.monotonic() + self.patience_s
        wait_s = 0.0
        while not (records := self._consume(max_records, wait_s)):
            if self._is_behind():
                if time.monotonic() > give_up:
                    raise TransientError(
                        f"lines of {self.topic!r} did not arrive from Kafka at "
                        f"{self.cluster.servers} within {self.patience_s:.0f} s"
                    )
                wait_s = _GATHER_S
                continue
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            if records := self._consume(1, min(_SLICE_S, left_s), more=max_records - 1):
                break  # it came back with the first line
            wait_s = 0.0
        return records

    def _consume(self, max_records: int, wait_s: float, more: int = 0) -> list[StreamRecord]:
        """Take lines; after the first that was waited for, take what is there of ``more``.

        After any error the lines that came with it are read again: who swallows the error and
        polls on would commit past them.
        """
        assignment, before = self.assignment, dict(self.next)
        messages: list[Any] = []
        try:
            with translated(f"{self.topic!r} cannot be read from {self.cluster.servers}"):
                take(self.client, messages, max_records, wait_s)
                if messages and more:
                    take(self.client, messages, more, 0.0)
            if self.assignment == assignment:
                return self._handed_out(messages)
        except BaseException:
            if self.assignment == assignment:
                self.next = before
            self._read_again(messages)
            raise
        self._read_again(messages)  # some of it is somebody else's now
        return self._handed_out([each for each in messages if not is_of_the_log(each)])

    def _handed_out(self, messages: list[Any]) -> list[StreamRecord]:
        """Decode the lines and go on behind them; heed what is no line."""
        good = [message for message in messages if message.error() is None]
        records = records_of(self.topic, good)
        for record in records:
            self._passed(record.partition, record.offset + 1)
        if len(good) < len(messages):
            for message in messages:
                self.heed(message)
        return records

    def _read_again(self, messages: list[Any]) -> None:
        """Begin at our positions again if lines of partitions that we (still, or again) own were
        taken and are not handed out.
        """
        lines = [message for message in messages if is_of_the_log(message)]
        if any(message.partition() in self.next for message in lines):
            starts = [TopicPartition(self.topic, p, at) for p, at in self.next.items()]
            with translated(f"{self.topic!r} cannot be read again"):
                self.client.assign(starts)

    def _passed(self, partition: int, offset: int) -> None:
        """Go on behind a line, or behind transaction markers, which are nobody's; never back."""
        if partition in self.next:
            self.next[partition] = max(self.next[partition], offset)

    def heed(self, message: Any) -> None:
        """Take what is no line: the end of a partition, a passing trouble, or an error."""
        error: KafkaError | None = message.error()
        if error is None or is_passing(error):
            return
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            self._passed(partition, message.offset())
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise self._lost(partition, *self.positions.bounds(partition, CONNECT_S))
        else:
            raise explain(error, f"{self.topic!r} cannot be read from {self.cluster.servers}")

    def _is_behind(self) -> bool:
        """Ask the brokers whether an owned partition has lines that were not handed out."""
        for partition, position in self.next.items():
            low, high = self.positions.bounds(partition, self.patience_s)
            if position < low:
                raise self._lost(partition, low, high)
            if position != high:
                return True
        return False

    def _lost(self, partition: int, low: int, high: int) -> DataError:
        """Name the lines between the position and the log."""
        position, where = self.next.get(partition, 0), f"{self.topic!r}/{partition}"
        if position < low:
            gone = f"lines {position} to {low - 1} of {where} were dropped by retention"
        else:
            gone = f"line {position} of {where} is not there: its log is {low} to {high - 1} now"
        return DataError(
            f"{gone} before group {self.group!r} read them; nothing was skipped; {ALLOW_GAP_ADVICE}"
        )

    def committed(self) -> dict[int, Position]:
        """Return what the group committed of the owned partitions."""
        if not self.next:  # the library would ask nevertheless
            return {}
        wait_s = max(CONNECT_S, self.patience_s)
        found = self.positions.stored(self.partitions, wait_s)
        return {partition: position for partition, (_, position) in sorted(found.items())}

    def check(self, positions: Mapping[int, Position]) -> None:
        """Refuse positions that this member may not, or cannot, commit."""
        for position in positions.values():
            check_metadata(position.metadata)
        if foreign := sorted(positions.keys() - self.next.keys()):
            raise ConflictError(
                f"partitions {foreign} of {self.topic!r} belong to another member of group "
                f"{self.group!r} now; nothing was committed"
            )
