"""Deployments on PostgreSQL; the primary key prevents equal numbers for one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Engine, Select, insert, select

from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.schema import deployments
from vigie.adapters.postgres.state import take
from vigie.encoding import aware, clean, utcnow
from vigie.errors import ConflictError
from vigie.records import Deployment

_COLUMNS = tuple(deployments.c[field.name] for field in dataclasses.fields(Deployment))


class SqlDeployments:
    """Implement :class:`vigie.roles.DeploymentStore`."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utcnow) -> None:
        self._engine = engine
        self._now = now

    def next_version(self, model: str) -> int:
        with transaction(self._engine) as connection:
            return take(connection, f"versions:{model}") + 1

    def champion(self, model: str, at: datetime | None = None) -> Deployment | None:
        query = _newest_first(model)
        if at is not None:
            query = query.where(deployments.c.deployed_at <= aware(at, "at"))
        with connected(self._engine) as connection:
            return _first(connection, query)

    def history(self, model: str, limit: int = 50) -> list[Deployment]:
        with connected(self._engine) as connection:
            rows = connection.execute(_newest_first(model).limit(limit))
            return [Deployment(*row) for row in rows]

    def deploy(
        self,
        model: str,
        version: int,
        *,
        expected_number: int,
        actor: str,
        reason: str,
        run_id: str | None = None,
    ) -> Deployment:
        with transaction(self._engine) as connection:
            newest = _first(connection, _newest_first(model))
            found = newest.number if newest else 0
            if found != expected_number:
                raise ConflictError(
                    f"{model}: the newest deployment is number {found}, not {expected_number}; "
                    "another process deployed a version meanwhile"
                )
            previous = newest.version if newest else None
            described = (clean(actor), clean(reason), run_id)
            row = Deployment(model, found + 1, version, previous, self._now(), *described)
            # If two transactions read the same number, the second transaction violates the primary
            # key, and its error is translated to ConflictError.
            connection.execute(insert(deployments).values(**dataclasses.asdict(row)))
        return row


def _newest_first(model: str) -> Select[tuple[object, ...]]:
    query = select(*_COLUMNS).where(deployments.c.model == model)
    return query.order_by(deployments.c.number.desc())


def _first(connection: Connection, query: Select[tuple[object, ...]]) -> Deployment | None:
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else Deployment(*row)
