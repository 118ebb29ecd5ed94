"""Labels on PostgreSQL, including corrections, and the claims of training runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, func, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.predictions import COLUMNS, labelled_rows
from vigie.adapters.postgres.schema import claimed_rows, claims, labels, predictions, used_rows
from vigie.adapters.postgres.state import take
from vigie.encoding import clean, utcnow
from vigie.errors import PermanentError, UnknownTransactionError
from vigie.records import Label, LabelledPrediction, LabelOutcome

_UNUSED = ~select(used_rows).where(used_rows.c.transaction_id == labels.c.transaction_id).exists()
# For a claimed row, the label that was current at the time of the claim; otherwise, the newest.
_CLAIMED_LABEL = (
    select(labels.c.actual, labels.c.at)
    .where(labels.c.transaction_id == predictions.c.transaction_id)
    .where(labels.c.seq <= func.coalesce(claimed_rows.c.label_seq, labels.c.seq))
    .order_by(labels.c.seq.desc())
    .limit(1)
    .lateral("label")
)


class SqlLabels:
    """Implement :class:`vigie.roles.LabelStore`."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utcnow) -> None:
        self._engine = engine
        self._now = now

    def add(self, transaction_id: str, actual: str, source: str = "feedback") -> LabelOutcome:
        key, value = clean(transaction_id), clean(actual)
        with transaction(self._engine) as connection:
            model = _lock_prediction(connection, key)
            if model is None:
                raise UnknownTransactionError(transaction_id)
            newest = _newest(connection, key)
            if newest is not None and newest.actual == value:
                return LabelOutcome.ALREADY_THERE
            seq = 1 if newest is None else newest.seq + 1
            row = {"transaction_id": key, "seq": seq, "model": model, "actual": value}
            connection.execute(insert(labels).values(**row, at=self._now(), source=clean(source)))
        return LabelOutcome.RECORDED if seq == 1 else LabelOutcome.CORRECTED

    def history(self, transaction_id: str) -> list[Label]:
        columns = (labels.c[field.name] for field in dataclasses.fields(Label))
        query = select(*columns).where(labels.c.transaction_id == clean(transaction_id))
        with connected(self._engine) as connection:
            return [Label(*row) for row in connection.execute(query.order_by(labels.c.seq))]

    def count(self, model: str) -> int:
        return self._count(model)

    def count_unused(self, model: str) -> int:
        return self._count(model, _UNUSED)

    def _count(self, model: str, *conditions: Any) -> int:
        first = select(func.count()).where(labels.c.model == model, labels.c.seq == 1, *conditions)
        with connected(self._engine) as connection:
            return connection.execute(first).scalar_one()

    def claim(self, model: str, run_id: str) -> int:
        with transaction(self._engine) as connection:
            archives = take(connection, _archives(model), 0)  # The lock blocks archive().
            row = {"model": model, "run_id": run_id, "archives_before": archives}
            claim = insert(claims).values(**row).on_conflict_do_nothing()
            if connection.execute(claim).rowcount == 1:
                _freeze(connection, model, run_id)
            return _size(connection, model, run_id)

    def claimed(self, model: str, run_id: str) -> Iterator[LabelledPrediction]:
        with connected(self._engine) as connection:
            claim = _claim(connection, model, run_id)
        mine = and_(
            claimed_rows.c.model == model,
            claimed_rows.c.run_id == run_id,
            claimed_rows.c.transaction_id == predictions.c.transaction_id,
        )
        used = and_(
            used_rows.c.transaction_id == predictions.c.transaction_id,
            used_rows.c.archive < claim.archives_before,
        )
        label = _CLAIMED_LABEL
        rows = predictions.outerjoin(claimed_rows, mine).outerjoin(used_rows, used)
        query = (
            select(*COLUMNS, label.c.actual, label.c.at)
            .select_from(rows.join(label, true()))
            .where(predictions.c.model == model)
            .where(or_(claimed_rows.c.run_id.is_not(None), used_rows.c.archive.is_not(None)))
        )
        yield from labelled_rows(self._engine, query)

    def archive(self, model: str, run_id: str) -> int:
        with transaction(self._engine) as connection:
            take(connection, _archives(model), 0)
            if _claim(connection, model, run_id).archive is None:
                _use(connection, model, run_id, take(connection, _archives(model)))
            return _size(connection, model, run_id)


def _archives(model: str) -> str:
    """Return the name of a model's archive counter.

    ``claim`` and ``archive`` lock the row of this counter, so that one waits for the other.
    """
    return f"archives:{model}"


def _lock_prediction(connection: Connection, transaction_id: str) -> str | None:
    """Lock a prediction, so that its labels are added one at a time. Return its model."""
    query = select(predictions.c.model).where(predictions.c.transaction_id == transaction_id)
    return connection.execute(query.with_for_update(key_share=True)).scalar_one_or_none()


def _newest(connection: Connection, transaction_id: str) -> Row[Any] | None:
    query = select(labels.c.seq, labels.c.actual).where(labels.c.transaction_id == transaction_id)
    return connection.execute(query.order_by(labels.c.seq.desc()).limit(1)).one_or_none()


def _claim(connection: Connection, model: str, run_id: str) -> Row[Any]:
    query = select(claims).where(claims.c.model == model, claims.c.run_id == run_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise PermanentError(f"run {run_id!r} has no claim on rows of {model!r}; call claim first")
    return row


def _freeze(connection: Connection, model: str, run_id: str) -> None:
    """Store the unused labelled rows and their current labels as the rows of a claim."""
    names = ["model", "run_id", "transaction_id", "label_seq"]
    rows = (
        select(labels.c.model, literal(run_id), labels.c.transaction_id, func.max(labels.c.seq))
        .where(labels.c.model == model, _UNUSED)
        .group_by(labels.c.model, labels.c.transaction_id)
    )
    connection.execute(insert(claimed_rows).from_select(names, rows))


def _use(connection: Connection, model: str, run_id: str, archive: int) -> None:
    """Mark the rows of a claim as used, except rows that another run used first."""
    mine = (claimed_rows.c.model == model, claimed_rows.c.run_id == run_id)
    fields = (claimed_rows.c.transaction_id, claimed_rows.c.model, literal(archive))
    rows = select(*fields).where(*mine)
    used = insert(used_rows).from_select(["transaction_id", "model", "archive"], rows)
    connection.execute(used.on_conflict_do_nothing())
    this = (claims.c.model == model, claims.c.run_id == run_id)
    connection.execute(update(claims).where(*this).values(archive=archive))


def _size(connection: Connection, model: str, run_id: str) -> int:
    mine = (claimed_rows.c.model == model, claimed_rows.c.run_id == run_id)
    return connection.execute(select(func.count()).where(*mine)).scalar_one()
