"""The embedded stream on PostgreSQL: one row per batch of lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.batches import pack, split
from vigie.adapters.postgres.consumer import PgConsumer, enter
from vigie.adapters.postgres.engine import connected, own_session, transaction
from vigie.adapters.postgres.locks import acquire, holder
from vigie.adapters.postgres.schema import stream_batches, stream_partitions, stream_positions
from vigie.encoding import utcnow
from vigie.errors import ConflictError, DataError
from vigie.records import Message
from vigie.roles.stream import TAKEOVER_S
from vigie.stored_records import partition_error

_parts = stream_partitions.c


class PgStream:
    """Implement :class:`vigie.roles.LogStream` on PostgreSQL.

    Base offsets come from ``UPDATE stream_partitions … RETURNING``, which holds a row lock until
    the commit, so offsets have no gaps and become visible in order. The lease of a partition is an
    advisory lock of the consumer's session, so it ends with the session. Every commit also checks
    a fencing token.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utcnow) -> None:
        self._engine = engine
        self._now = now

    def create_topic(self, topic: str, partitions: int = 1) -> bool:
        if partitions < 1:
            raise DataError(f"topic {topic!r} needs at least one partition, not {partitions}")
        rows = [{"topic": topic, "partition": p, "first": 0, "next": 0} for p in range(partitions)]
        with transaction(self._engine) as connection:
            first = insert(stream_partitions).values(rows[0]).on_conflict_do_nothing()
            if connection.execute(first).rowcount == 0:
                return False
            if rows[1:]:
                connection.execute(insert(stream_partitions), rows[1:])
        return True

    def delete_topic(self, topic: str) -> None:
        with transaction(self._engine) as connection:
            for table in (stream_partitions, stream_batches, stream_positions):
                connection.execute(delete(table).where(table.c.topic == topic))

    def partitions(self, topic: str) -> int:
        return len(self.end_offsets(topic))

    def produce(self, topic: str, messages: Sequence[Message], partition: int = 0) -> int:
        # Compress before acquiring the row lock, so that the lock is held only briefly.
        batches = [(len(batch), pack(batch)) for batch in split(messages)]
        place = {"topic": topic, "partition": partition, "at": self._now()}
        mine = (_parts.topic == topic, _parts.partition == partition)
        grown = update(stream_partitions).where(*mine).values(next=_parts.next + len(messages))
        with transaction(self._engine) as connection:
            end = connection.execute(grown.returning(_parts.next)).scalar_one_or_none()
            if end is None:
                raise partition_error(topic, self.end_offsets(topic), [partition])
            first = base = end - len(messages)
            rows = []
            for count, payload in batches:
                rows.append({**place, "base": base, "count": count, "payload": payload})
                base += count
            if rows:
                connection.execute(insert(stream_batches), rows)
        return int(first)

    def first_offsets(self, topic: str) -> dict[int, int]:
        return {partition: first for partition, first, _ in self._bounds(topic)}

    def end_offsets(self, topic: str) -> dict[int, int]:
        return {partition: end for partition, _, end in self._bounds(topic)}

    def _bounds(self, topic: str) -> Sequence[Row[tuple[int, int, int]]]:
        query = select(_parts.partition, _parts.first, _parts.next).where(_parts.topic == topic)
        with connected(self._engine) as connection:
            return connection.execute(query.order_by(_parts.partition)).all()

    def lag(self, group: str, topic: str) -> int:
        return sum(self.lags(group, topic).values())

    def lags(self, group: str, topic: str) -> dict[int, int]:
        theirs = stream_positions.c
        mine = and_(
            theirs.group_name == group,
            theirs.topic == _parts.topic,
            theirs.partition == _parts.partition,
        )
        behind = _parts.next - func.coalesce(theirs.offset, _parts.first)
        joined = stream_partitions.outerjoin(stream_positions, mine)
        query = select(_parts.partition, behind).select_from(joined).where(_parts.topic == topic)
        with connected(self._engine) as connection:
            rows = connection.execute(query.order_by(_parts.partition)).all()
        return {partition: int(lag) for partition, lag in rows}

    def trim(self, topic: str) -> int:
        """Delete the batches that every group has committed; return the number of deleted lines.

        A partition that no group has read keeps all its lines.
        """
        dropped = 0
        with transaction(self._engine) as connection:
            query = select(_parts.partition).where(_parts.topic == topic).with_for_update()
            for partition in connection.execute(query.order_by(_parts.partition)).scalars().all():
                dropped += _trim(connection, topic, partition)
        return dropped

    @contextmanager
    def consumer(
        self,
        group: str,
        topic: str,
        partitions: Sequence[int] | None = None,
        wait_s: float = TAKEOVER_S,
    ) -> Iterator[PgConsumer]:
        known = self.end_offsets(topic)
        wanted = sorted(known if partitions is None else partitions)
        if not wanted or not known.keys() >= set(wanted):
            raise partition_error(topic, known, wanted)
        with own_session(self._engine) as session:
            for partition in wanted:
                lease = f"stream:{group}:{topic}:{partition}"
                if not acquire(session, lease, wait_s):
                    owner = holder(session, lease)
                    raise ConflictError(f"partition {partition} of {topic!r} is held by {owner}")
            yield PgConsumer(self._engine, group, topic, enter(self._engine, group, topic, wanted))


def _trim(connection: Connection, topic: str, partition: int) -> int:
    batch, position = stream_batches.c, stream_positions.c
    done = (
        select(func.min(position.offset))
        .where(position.topic == topic, position.partition == partition)
        .scalar_subquery()
    )
    here = (batch.topic == topic, batch.partition == partition)
    gone = delete(stream_batches).where(*here, batch.base + batch.count <= done)
    dropped: int = sum(connection.execute(gone.returning(batch.count)).scalars())
    oldest = select(func.min(batch.base)).where(*here).scalar_subquery()
    kept = update(stream_partitions).where(_parts.topic == topic, _parts.partition == partition)
    connection.execute(kept.values(first=func.coalesce(oldest, _parts.next)))
    return dropped
