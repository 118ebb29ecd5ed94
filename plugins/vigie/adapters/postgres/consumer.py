"""Read and commit partitions of the embedded stream; each commit checks a fencing token."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.batches import unpack
from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.schema import stream_partitions, stream_positions
from vigie.errors import ConflictError, DataError
from vigie.records import Position, StreamRecord
from vigie.stored_records import ALLOW_GAP_ADVICE, MAX_POLL_BYTES, check_metadata

#: Pause between two queries at the end of the log.
_IDLE_S = 0.1
_theirs = stream_positions.c

# Select the batch that contains the position, and later batches up to the wanted number of lines
# and bytes. Sums over at most 512 rows limit the number of batches before any payload is read.
_PAGE = text("""
    SELECT base, at, payload FROM (
        SELECT *, sum(count) OVER (ORDER BY base) - count AS lines_before,
            sum(octet_length(payload)) OVER (ORDER BY base) - octet_length(payload) AS bytes_before
        FROM (
            SELECT * FROM stream_batches
            WHERE topic = :topic AND partition = :partition AND base >= coalesce((
                SELECT max(base) FROM stream_batches
                WHERE topic = :topic AND partition = :partition AND base <= :position), 0)
            ORDER BY base LIMIT 512
        ) AS near
    ) AS counted
    WHERE lines_before < :wanted AND bytes_before < :bytes AND base + count > :position
    ORDER BY base
""")


def enter(
    engine: Engine, group: str, topic: str, partitions: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """Increment the fencing token of each leased partition; return offsets and new tokens.

    A new group starts at the oldest line. ``trim`` keeps all lines from a group's position on.
    """
    with transaction(engine) as connection:
        return {p: _enter(connection, group, topic, p) for p in partitions}


def _enter(connection: Connection, group: str, topic: str, partition: int) -> tuple[int, int]:
    here = stream_partitions.c
    oldest = select(here.first).where(here.topic == topic, here.partition == partition)
    first = connection.execute(oldest.with_for_update(read=True, key_share=True)).scalar_one()
    place = {"group_name": group, "topic": topic, "partition": partition}
    new = insert(stream_positions).values(**place, offset=first, metadata="", fence=1)
    entered = new.on_conflict_do_update(
        index_elements=list(place), set_={"fence": _theirs.fence + 1}
    )
    row = connection.execute(entered.returning(_theirs.offset, _theirs.fence)).one()
    return row.offset, row.fence


class PgConsumer:
    """Implement :class:`vigie.roles.StreamConsumer` on PostgreSQL."""

    def __init__(
        self, engine: Engine, group: str, topic: str, entered: Mapping[int, tuple[int, int]]
    ) -> None:
        self._engine = engine
        self._group, self._topic = group, topic
        self._fences = {p: fence for p, (_, fence) in entered.items()}
        self._next = {p: offset for p, (offset, _) in entered.items()}  # offset of the next fetch
        self._ready: dict[int, deque[StreamRecord]] = {p: deque() for p in entered}
        self._turn = 0

    @property
    def partitions(self) -> tuple[int, ...]:
        return tuple(sorted(self._fences))

    def committed(self) -> dict[int, Position]:
        query = select(_theirs.partition, _theirs.offset, _theirs.metadata).where(
            _theirs.group_name == self._group,
            _theirs.topic == self._topic,
            _theirs.partition.in_(self.partitions),
        )
        with connected(self._engine) as connection:
            rows = connection.execute(query.order_by(_theirs.partition)).all()
        return {row.partition: Position(row.offset, row.metadata) for row in rows}

    def poll(self, max_records: int, timeout_s: float = 0.0) -> list[StreamRecord]:
        deadline = time.monotonic() + timeout_s
        while not (records := self._read(max_records)):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            time.sleep(min(_IDLE_S, left_s))
        return records

    def _read(self, max_records: int) -> list[StreamRecord]:
        """Return at most ``max_records`` records; each call starts with another partition."""
        self._turn += 1
        order = self.partitions
        found: list[StreamRecord] = []
        n_bytes = 0
        for at in range(len(order)):
            partition = order[(self._turn + at) % len(order)]
            ready = self._ready[partition]
            while len(found) < max_records and n_bytes < MAX_POLL_BYTES:
                if not ready and not self._fetch(partition, max_records):
                    break
                found.append(ready.popleft())
                n_bytes += len(found[-1].value)
        return found

    def _fetch(self, partition: int, wanted: int) -> bool:
        """Read and decode the batches for one poll; return False at the end of the log."""
        position, ready = self._next[partition], self._ready[partition]
        place = {"topic": self._topic, "partition": partition, "position": position}
        with connected(self._engine) as connection:
            bounds = {"wanted": wanted, "bytes": MAX_POLL_BYTES}
            rows = connection.execute(_PAGE, {**place, **bounds}).all()
            first = rows[0].base if rows else self._oldest(connection, partition)
        if first > position:
            raise DataError(
                f"lines {position} to {first - 1} of {self._topic!r}/{partition} were deleted by "
                f"retention before group {self._group!r} read them; {ALLOW_GAP_ADVICE}"
            )
        n_bytes = 0
        for row in rows:
            if n_bytes >= MAX_POLL_BYTES:  # A small batch may expand a thousandfold.
                break
            for offset, (value, headers) in enumerate(unpack(row.payload), row.base):
                n_bytes += len(value)
                if offset >= position:
                    record = (self._topic, partition, offset, value, headers, row.at)
                    ready.append(StreamRecord(*record))
        self._next[partition] = ready[-1].offset + 1 if ready else position
        return bool(ready)

    def _oldest(self, connection: Connection, partition: int) -> int:
        here = stream_partitions.c
        query = select(here.first).where(here.topic == self._topic, here.partition == partition)
        oldest = connection.execute(query).scalar_one_or_none()
        if oldest is None:
            raise DataError(
                f"topic {self._topic!r} was deleted while group {self._group!r} read it"
            )
        return int(oldest)

    def commit(self, positions: Mapping[int, Position]) -> None:
        for position in positions.values():
            check_metadata(position.metadata)
        with transaction(self._engine) as connection:
            for partition, position in sorted(positions.items()):
                self._commit(connection, partition, position)

    def _commit(self, connection: Connection, partition: int, position: Position) -> None:
        mine = update(stream_positions).where(
            _theirs.group_name == self._group,
            _theirs.topic == self._topic,
            _theirs.partition == partition,
            _theirs.fence == self._fences.get(partition),
        )
        moved = mine.values(offset=position.offset, metadata=position.metadata)
        if connection.execute(moved).rowcount != 1:
            raise ConflictError(
                f"this consumer of group {self._group!r} does not hold the lease of partition "
                f"{partition} of {self._topic!r}, or the topic was deleted; nothing was committed"
            )
