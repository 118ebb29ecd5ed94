"""Dense numbers from rows of ``counters``; the row stays locked until the transaction ends."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.schema import counters


def take(connection: Connection, name: str, count: int = 1) -> int:
    """Return the first of ``count`` new numbers (from 0 on); ``count=0`` only locks and looks."""
    row = insert(counters).values(name=name, next=count)
    taken = row.on_conflict_do_update(
        index_elements=[counters.c.name], set_={"next": counters.c.next + count}
    )
    end: int = connection.execute(taken.returning(counters.c.next)).scalar_one()
    return end - count
