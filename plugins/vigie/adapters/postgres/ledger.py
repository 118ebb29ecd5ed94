"""The ledger on PostgreSQL; a decision with an existing key is not recorded again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, select
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.schema import decisions
from vigie.encoding import aware, utcnow
from vigie.records import Decision
from vigie.stored_records import storable_decision

#: Column name → field of a decision, without ``id``, which the database sets.
_FIELDS = {
    "facts" if field.name == "evidence" else field.name: field.name
    for field in dataclasses.fields(Decision)
    if field.name != "id"
}


class SqlLedger:
    """Implement :class:`vigie.roles.Ledger`."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utcnow) -> None:
        self._engine = engine
        self._now = now

    def record(self, decision: Decision) -> int:
        stored = storable_decision(decision, self._now())
        row = {column: getattr(stored, name) for column, name in _FIELDS.items()}
        new = insert(decisions).values(row).on_conflict_do_nothing(index_elements=[decisions.c.key])
        with transaction(self._engine) as connection:
            number = connection.execute(new.returning(decisions.c.id)).scalar_one_or_none()
            if number is None:
                known = select(decisions.c.id).where(decisions.c.key == decision.key)
                number = connection.execute(known).scalar_one()
        return int(number)

    def decisions(
        self,
        model: str | None = None,
        kind: str | None = None,
        run_id: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[Decision]:
        query = select(decisions).order_by(decisions.c.id.desc()).limit(limit)
        filters = {"model": model, "kind": kind, "run_id": run_id}
        for name, value in filters.items():
            if value is not None:
                query = query.where(decisions.c[name] == value)
        if until is not None:
            query = query.where(decisions.c.at <= aware(until, "until"))
        with connected(self._engine) as connection:
            return [_decision(row) for row in connection.execute(query)]


def _decision(row: Row[Any]) -> Decision:
    fields = {name: row._mapping[column] for column, name in _FIELDS.items()}
    return Decision(**fields | {"id": row.id, "reasons": tuple(row.reasons)})
