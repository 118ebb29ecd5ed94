"""Predictions on PostgreSQL; log offsets are consecutive and in commit order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, Select, bindparam, func, select, true, update
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.engine import connected
from vigie.adapters.postgres.schema import counters, labels, predictions
from vigie.encoding import aware, clean
from vigie.records import LabelledPrediction, LoggedPrediction, Prediction
from vigie.stored_records import storable_prediction

_FIELDS = tuple(field.name for field in dataclasses.fields(Prediction))
COLUMNS = tuple(predictions.c[name] for name in _FIELDS)
PAGE = 1000  # rows per fetch of a streaming query

# One statement allocates the offset and writes the prediction. The row lock of the counter lasts
# until the commit, so no reader sees offset n+1 before n. The rollback of a duplicate also reverts
# the counter, so offsets have no gap.
_BUMP = (
    update(counters)
    .where(counters.c.name == "predictions")
    .values(next=counters.c.next + 1)
    .returning((counters.c.next - 1).label("log_offset"))
    .cte("bump")
)
_ADD = (
    insert(predictions)
    .from_select(
        ["log_offset", *_FIELDS],
        select(_BUMP.c.log_offset, *(bindparam(c.name, type_=c.type) for c in COLUMNS)),
    )
    .on_conflict_do_nothing(index_elements=[predictions.c.transaction_id])
    .returning(predictions.c.log_offset)
)


class SqlPredictions:
    """Implement :class:`vigie.roles.PredictionStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, prediction: Prediction) -> int:
        stored = storable_prediction(prediction)
        row = {name: getattr(stored, name) for name in _FIELDS}
        with connected(self._engine) as connection:
            offset: int | None = connection.execute(_ADD, row).scalar_one_or_none()
            if offset is not None:
                connection.commit()
                return offset
            connection.rollback()
            existing = select(predictions.c.log_offset).where(_is(stored.transaction_id))
            return int(connection.execute(existing).scalar_one())

    def get(self, transaction_id: str) -> Prediction | None:
        with connected(self._engine) as connection:
            query = select(*COLUMNS).where(_is(clean(transaction_id)))
            row = connection.execute(query).one_or_none()
        return None if row is None else prediction_of(row)

    def count(self, model: str | None = None) -> int:
        query = select(func.count()).select_from(predictions)
        if model is not None:
            query = query.where(predictions.c.model == model)
        with connected(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def page(self, offset: int, limit: int) -> list[LoggedPrediction]:
        offsets = predictions.c.log_offset
        query = select(*COLUMNS, offsets).where(offsets >= offset).order_by(offsets).limit(limit)
        with connected(self._engine) as connection:
            rows = connection.execute(query).all()
        return [LoggedPrediction(row.log_offset, prediction_of(row)) for row in rows]

    def window(
        self, model: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[LabelledPrediction]:
        query = _labelled().where(predictions.c.model == model)
        if since is not None:
            query = query.where(predictions.c.created_at >= aware(since, "since"))
        if until is not None:
            query = query.where(predictions.c.created_at < aware(until, "until"))
        yield from labelled_rows(self._engine, query)


def labelled_rows(engine: Engine, query: Select[Any]) -> Iterator[LabelledPrediction]:
    """Yield the rows of a query for :data:`COLUMNS`, ``actual`` and ``at``, oldest first."""
    ordered = query.order_by(predictions.c.created_at, predictions.c.log_offset)
    with connected(engine) as connection:
        for row in connection.execution_options(yield_per=PAGE).execute(ordered):
            yield LabelledPrediction(prediction_of(row), row.actual, row.at)


def prediction_of(row: Row[Any]) -> Prediction:
    """Convert a row that starts with :data:`COLUMNS` to a prediction."""
    return Prediction(*row[: len(COLUMNS)])


def _is(transaction_id: str) -> Any:
    return predictions.c.transaction_id == transaction_id


def _labelled() -> Select[Any]:
    """Return a query for predictions, each with its latest label (null if there is none)."""
    latest = (
        select(labels.c.actual, labels.c.at)
        .where(labels.c.transaction_id == predictions.c.transaction_id)
        .order_by(labels.c.seq.desc())
        .limit(1)
        .lateral("latest")
    )
    return select(*COLUMNS, latest.c.actual, latest.c.at).join_from(
        predictions, latest, true(), isouter=True
    )
