"""What both kinds of Kafka consumers share: reading up to the end of the log, committing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from vigie.adapters.kafka_client import CONNECT_S, CONSUMER, MISSING, KafkaCluster, is_passing
from vigie.adapters.kafka_errors import explain, meaning, translated
from vigie.adapters.kafka_records import pack, records_of, unpack
from vigie.adapters.values import check_metadata
from vigie.errors import ConflictError, DataError, FencedError, TransientError
from vigie.records import Position, StreamRecord

T = TypeVar("T")

#: Known lines are on their way: how long one read waits for more of them.
_GATHER_S = 0.02
#: One wait of an idle reader; between two the process hears Ctrl-C.
_SLICE_S = 0.5


class KafkaReader:
    """Reads partitions of one topic, in order, and commits positions with state.

    Parameters
    ----------
    token
        Written into every commit, so that another member of the group is told from this one.
    """

    def __init__(
        self, cluster: KafkaCluster, group: str, topic: str, token: str, **options: Any
    ) -> None:
        self.cluster, self.group, self.topic, self.token = cluster, group, topic, token
        self._next: dict[int, int] = {}  # of each owned partition: the next offset to hand out
        with translated("the settings of Kafka are wrong"):
            self.client = Consumer(
                cluster.options(CONSUMER, group_id=group, enable_partition_eof=True, **options)
            )

    @property
    def partitions(self) -> tuple[int, ...]:
        return tuple(sorted(self._next))

    def places(self, partitions: Sequence[int] | None = None) -> list[TopicPartition]:
        wanted = self.partitions if partitions is None else partitions
        return [TopicPartition(self.topic, p) for p in wanted]

    def start(self, offsets: Mapping[int, int]) -> None:
        """Say which partitions are read from where."""
        self._next = dict(offsets)

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        deadline = time.monotonic() + timeout_s
        give_up = time.monotonic() + self.cluster.outage_s
        wait_s = 0.0
        while not (records := self._consume(max_records, wait_s)):
            now = time.monotonic()
            if self._is_behind(give_up):
                if now > give_up:
                    raise TransientError(
                        f"lines of {self.topic!r} did not arrive from Kafka at "
                        f"{self.cluster.servers} within {self.cluster.outage_s:.0f} s"
                    )
                wait_s = _GATHER_S
            elif now >= deadline:
                break
            else:
                wait_s = min(_SLICE_S, deadline - now)
                records = self._consume(1, wait_s)  # comes back with the first one
                if records:
                    return records + self._consume(max_records - 1, 0.0)
                wait_s = 0.0
        return records

    def _consume(self, max_records: int, wait_s: float) -> list[StreamRecord]:
        if max_records < 1:
            return []
        with translated(f"{self.topic!r} cannot be read from {self.cluster.servers}"):
            messages = self.client.consume(max_records, timeout=wait_s)
        if not messages:
            return []
        good = [message for message in messages if message.error() is None]
        for message in messages if len(good) < len(messages) else ():
            self._heed(message)
        records = records_of(self.topic, good)
        for record in records:
            self._next[record.partition] = record.offset + 1
        return records

    def _heed(self, message: Any) -> None:
        """Take what is no line: the end of a partition, a passing trouble, or an error."""
        error: KafkaError | None = message.error()
        if error is None or (is_passing(error) and not error.fatal()):
            return
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            if partition in self._next:  # offsets of transaction markers are nobody's lines
                self._next[partition] = max(self._next[partition], message.offset())
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise self.lost(partition, error)
        elif error.fatal() and meaning(error) is ConflictError:
            raise FencedError(f"this member of group {self.group!r} was replaced: {error.str()}")
        else:
            raise explain(error, f"{self.topic!r} cannot be read from {self.cluster.servers}")

    def lost(self, partition: int, error: KafkaError | None = None) -> DataError:
        """Return the error that names the lines between the position and the log."""
        position = self._next.get(partition, 0)
        low, high = self._watermarks(partition, time.monotonic() + CONNECT_S)
        where = f"{self.topic!r}/{partition}"
        if position < low:
            gone = f"lines {position} to {low - 1} of {where} were dropped by retention"
        else:
            gone = f"line {position} of {where} is not there: its log is {low} to {high - 1} now"
        return DataError(
            f"{gone} before group {self.group!r} read them; nothing was skipped"
            + (f" ({error.str()})" if error else "")
        )

    def _is_behind(self, give_up: float) -> bool:
        """Ask the brokers whether an owned partition has lines that were not handed out."""
        for partition, position in self._next.items():
            low, high = self._watermarks(partition, give_up)
            if position < low:
                raise self.lost(partition)
            if position != high:
                return True
        return False

    def _watermarks(self, partition: int, give_up: float) -> tuple[int, int]:
        [place] = self.places([partition])
        bounds: tuple[int, int] = self.patiently(
            lambda: self.client.get_watermark_offsets(place, timeout=CONNECT_S, cached=False),
            give_up,
            f"the end of {self.topic!r}/{partition} was not told",
        )
        return bounds

    def patiently(self, ask: Callable[[], T], give_up: float, what: str) -> T:
        """Ask again while brokers are away, until ``give_up``."""
        pause_s = 0.05
        while True:
            try:
                with translated(f"{what} by Kafka at {self.cluster.servers}"):
                    answer = ask()
                    if answer is None:
                        raise TransientError(f"{what} by Kafka at {self.cluster.servers}")
                    return answer
            except TransientError:
                if time.monotonic() + pause_s > give_up:
                    raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)

    def stored(self, partitions: Sequence[int], wait_s: float) -> dict[int, tuple[str, Position]]:
        """Return token and position of what the group committed; the oldest line if nothing."""
        give_up = time.monotonic() + wait_s
        found = self.patiently(
            lambda: self._committed(partitions), give_up, f"positions of {self.group!r} not told"
        )
        positions: dict[int, tuple[str, Position]] = {}
        for at in found:
            token, state = unpack(at.metadata)
            offset = at.offset
            if offset == OFFSET_INVALID:
                offset = self._watermarks(at.partition, give_up)[0]
            positions[at.partition] = token, Position(offset, state)
        return positions

    def _committed(self, partitions: Sequence[int]) -> list[TopicPartition]:
        found: list[TopicPartition] = self.client.committed(
            self.places(partitions), timeout=CONNECT_S
        )
        return _checked(found)

    def committed(self) -> dict[int, Position]:
        found = self.stored(self.partitions, self.cluster.outage_s)
        return {partition: position for partition, (_, position) in sorted(found.items())}

    def check(self, positions: Mapping[int, Position]) -> None:
        """Refuse positions that this member may not, or cannot, commit."""
        for position in positions.values():
            check_metadata(position.metadata)
        if foreign := sorted(positions.keys() - self._next.keys()):
            raise ConflictError(
                f"partitions {foreign} of {self.topic!r} belong to another member of group "
                f"{self.group!r} now; nothing was committed"
            )

    def write(self, positions: Mapping[int, Position]) -> None:
        """Commit and wait for the answer; a repeated commit changes nothing."""
        offsets = [
            TopicPartition(self.topic, p, at.offset, pack(self.token, at.metadata))
            for p, at in sorted(positions.items())
        ]
        self.patiently(
            lambda: self._commit(offsets),
            time.monotonic() + self.cluster.outage_s,
            f"positions of group {self.group!r} in {self.topic!r} were not committed",
        )

    def _commit(self, offsets: list[TopicPartition]) -> list[TopicPartition]:
        try:
            return _checked(self.client.commit(offsets=offsets, asynchronous=False))
        except KafkaException as exc:
            if exc.args[0].code() in MISSING:
                raise ConflictError(
                    f"topic {self.topic!r} was deleted under group {self.group!r}"
                ) from exc
            raise


def _checked(places: list[TopicPartition]) -> list[TopicPartition]:
    """Raise the first error that an answer holds for one of its partitions."""
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return places
