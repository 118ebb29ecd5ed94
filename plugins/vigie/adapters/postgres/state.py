"""Small JSON values and counters on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.schema import counters, state


class SqlState:
    """Implement :class:`vigie.roles.StateStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, key: str) -> dict[str, Any] | None:
        with connected(self._engine) as connection:
            query = select(state.c.value).where(state.c.key == key)
            value: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
        return value

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        row = insert(state).values(key=key, value=dict(value))
        with transaction(self._engine) as connection:
            connection.execute(
                row.on_conflict_do_update(
                    index_elements=[state.c.key], set_={"value": row.excluded.value}
                )
            )

    def forget(self, prefix: str) -> int:
        gone = delete(state).where(state.c.key.startswith(prefix, autoescape=True))
        with transaction(self._engine) as connection:
            return int(connection.execute(gone).rowcount)


def take(connection: Connection, name: str, count: int = 1) -> int:
    """Allocate ``count`` consecutive numbers of a counter, from 0 on; return the first of them.

    The counter stays locked until the transaction ends. ``count=0`` only locks the counter and
    returns its next number.
    """
    row = insert(counters).values(name=name, next=count)
    taken = row.on_conflict_do_update(
        index_elements=[counters.c.name], set_={"next": counters.c.next + count}
    )
    end: int = connection.execute(taken.returning(counters.c.next)).scalar_one()
    return end - count
