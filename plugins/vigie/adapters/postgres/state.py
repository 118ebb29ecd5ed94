"""Small JSON values on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.schema import state


class SqlState:
    """Satisfies :class:`vigie.roles.StateStore`."""

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
