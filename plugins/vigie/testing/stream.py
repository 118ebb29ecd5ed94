"""In-memory stream: a partition is a list, and an offset is an index in that list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import RLock

from vigie.encoding import as_stored, utcnow
from vigie.errors import ConflictError, DataError, RefusedMessageError
from vigie.records import Message, Position, StreamRecord
from vigie.stored_records import check_metadata

_Key = tuple[str, str, int]  # group, topic, partition


class FakeStream:
    """Implement :class:`vigie.roles.LogStream` in memory."""

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        self.now = now
        self.topics: dict[str, list[list[StreamRecord | None]]] = {}  # None: deleted by retention
        self.positions: dict[_Key, Position] = {}
        self.owners: dict[_Key, FakeConsumer] = {}
        self.lock = RLock()
        self.max_bytes: dict[str, int] = {}  # limit of a message, by topic

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        if partitions < 1:
            raise DataError(f"topic {topic!r} needs at least one partition, not {partitions}")
        if topic in self.topics:
            return False
        self.topics[topic] = [[] for _ in range(partitions)]
        return True

    def delete_topic(self, topic: str) -> None:
        self.topics.pop(topic, None)
        for key in [key for key in self.positions if key[1] == topic]:
            del self.positions[key]
            self.owners.pop(key, None)

    def partitions(self, topic: str) -> int:
        return len(self.topics.get(topic, []))

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        log = self.log_of(topic, partition)
        with self.lock:
            base = len(log)
            for offset, message in enumerate(messages, base):
                if len(message.value) > self.max_bytes.get(topic, len(message.value)):
                    raise RefusedMessageError(
                        f"{topic} refuses a message", first=offset - base, is_too_large=True
                    )
                place, headers = (topic, partition, offset), as_stored(message.headers)
                log.append(StreamRecord(*place, message.value, headers, self.now()))
            return base

    def log_of(self, topic: str, partition: int) -> list[StreamRecord | None]:
        logs = self.topics.get(topic)
        if logs is None or not 0 <= partition < len(logs):
            raise DataError(
                f"topic {topic!r} has no partition {partition}; create it with more partitions"
            )
        return logs[partition]

    def end_offsets(self, topic: str) -> dict[int, int]:
        return {p: len(log) for p, log in enumerate(self.topics.get(topic, []))}

    def first_offsets(self, topic: str) -> dict[int, int]:
        return {p: self.first_offset(topic, p) for p in range(self.partitions(topic))}

    def first_offset(self, topic: str, partition: int) -> int:
        log = self.log_of(topic, partition)
        return next((i for i, record in enumerate(log) if record is not None), len(log))

    def lags(self, group: str, topic: str) -> dict[int, int]:
        def start(p: int) -> int:
            position = self.positions.get((group, topic, p))
            return position.offset if position else self.first_offset(topic, p)

        return {p: end - start(p) for p, end in self.end_offsets(topic).items()}

    def lag(self, group: str, topic: str) -> int:
        return sum(self.lags(group, topic).values())

    def trim(self, topic: str) -> int:
        dropped = 0
        for p, log in enumerate(self.topics.get(topic, [])):
            offsets = [
                at.offset for (_, t, q), at in self.positions.items() if (t, q) == (topic, p)
            ]
            for i in range(self.first_offset(topic, p), min(offsets, default=0)):
                log[i] = None
                dropped += 1
        return dropped

    def expel(self, group: str, topic: str) -> None:
        """End the leases of a group on a topic, as after a loss of its database sessions."""
        for key in [key for key in self.owners if key[:2] == (group, topic)]:
            del self.owners[key]

    @contextmanager
    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        wait_s: float = 0.0,
    ) -> Iterator[FakeConsumer]:
        wanted = range(max(self.partitions(topic), 1)) if partitions is None else partitions
        owner = FakeConsumer(self, [(group, topic, p) for p in sorted(wanted)])
        try:
            yield owner
        finally:
            for key in [key for key, found in self.owners.items() if found is owner]:
                del self.owners[key]


class FakeConsumer:
    """Implement :class:`vigie.roles.StreamConsumer` in memory."""

    def __init__(self, stream: FakeStream, keys: list[_Key]) -> None:
        self.stream, self.keys = stream, keys
        with stream.lock:
            first = [Position(stream.first_offset(topic, p)) for _, topic, p in keys]
            if taken := [key for key in keys if key in stream.owners]:
                raise ConflictError(
                    f"partition {taken[0][2]} of {taken[0][1]!r} is held by another consumer"
                )
            for key, start in zip(keys, first, strict=True):
                stream.owners[key] = self
                stream.positions.setdefault(key, start)
        self.next = {key: stream.positions[key].offset for key in keys}

    @property
    def partitions(self) -> tuple[int, ...]:
        return tuple(p for _, _, p in self.keys)

    def committed(self) -> dict[int, Position]:
        return {key[2]: self.stream.positions[key] for key in self.keys}

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        found: list[StreamRecord] = []
        for key in self.keys:
            start = self.next[key]
            page = self.stream.log_of(key[1], key[2])[start : start + max_records - len(found)]
            records = [record for record in page if record is not None]
            if len(records) < len(page):
                raise DataError(f"offset {start} of {key[1]}/{key[2]} was deleted by retention")
            self.next[key] = start + len(page)
            found += records
        return found

    def commit(self, positions: Mapping[int, Position]) -> None:
        keys = {key[2]: key for key in self.keys}
        for p, position in positions.items():
            check_metadata(position.metadata)
            if p not in keys or self.stream.owners.get(keys[p]) is not self:
                raise ConflictError(f"the lease of partition {p} is lost; nothing was committed")
        self.stream.positions.update({keys[p]: position for p, position in positions.items()})
