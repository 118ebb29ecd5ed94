"""The embedded log index: one row per document in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from vigie.adapters.postgres.engine import connected, transaction
from vigie.adapters.postgres.schema import documents, log_indices
from vigie.encoding import aware, clean
from vigie.errors import DataError
from vigie.index_mapping import Row, check_spec, extend_fields, split_documents
from vigie.records import Document, IndexOutcome, IndexSpec

#: Maximum number of documents in one INSERT statement and in one page of a scan.
_PAGE = 1000
_CREATE = text("""
    INSERT INTO documents (index_name, id, at, body)
    SELECT :index, id, at, body::jsonb
    FROM unnest(CAST(:ids AS text[]), CAST(:times AS timestamptz[]), CAST(:bodies AS text[]))
      AS batch (id, at, body)
    ON CONFLICT DO NOTHING
""")


class PgIndex:
    """Implement :class:`vigie.roles.LogIndex` in PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ensure(self, spec: IndexSpec) -> None:
        check_spec(spec)
        new = insert(log_indices).values(name=spec.name, fields=dict(spec.fields))
        mine = log_indices.c.name == spec.name
        with transaction(self._engine) as connection:
            if connection.execute(new.on_conflict_do_nothing()).rowcount == 1:
                return
            locked = select(log_indices.c.fields).where(mine).with_for_update(key_share=True)
            known = connection.execute(locked).scalar_one()
            fields = extend_fields(spec.name, known, spec.fields)
            if fields != known:
                connection.execute(log_indices.update().where(mine).values(fields=fields))

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        with transaction(self._engine) as connection:
            accepted, rejected = split_documents(_lock(connection, index), documents)
            unique = {row.id: row for row in reversed(accepted)}
            # Sort by id, so that two writers of the same documents cannot deadlock.
            rows = [unique[key] for key in sorted(unique)]
            pages = (rows[start : start + _PAGE] for start in range(0, len(rows), _PAGE))
            created = sum(_insert(connection, index, page) for page in pages)
        return IndexOutcome(created, len(accepted) - created, rejected)

    def count(self, index: str) -> int:
        with connected(self._engine) as connection:
            query = select(func.count()).where(documents.c.index_name == index)
            return connection.execute(query).scalar_one()

    def get(self, index: str, document_id: str) -> dict[str, Any] | None:
        this = (documents.c.index_name == index, documents.c.id == clean(document_id))
        with connected(self._engine) as connection:
            query = select(documents.c.body).where(*this)
            body: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
        return body

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        place = tuple_(documents.c.at, documents.c.id)
        query = select(documents.c.at, documents.c.id, documents.c.body)
        query = query.where(documents.c.index_name == index).order_by(*place).limit(_PAGE)
        if since is not None:
            query = query.where(documents.c.at >= aware(since, "since"))
        if until is not None:
            query = query.where(documents.c.at < aware(until, "until"))
        page = query
        while True:
            with connected(self._engine) as connection:
                rows = connection.execute(page).all()
            yield from (Document(row.id, row.body) for row in rows)
            if len(rows) < _PAGE:
                return
            page = query.where(place > tuple_(rows[-1].at, rows[-1].id))

    def delete(self, index: str, ids: Sequence[str]) -> int:
        wanted = documents.c.id.in_([clean(key) for key in ids])
        with transaction(self._engine) as connection:
            gone = delete(documents).where(documents.c.index_name == index, wanted)
            return connection.execute(gone).rowcount

    def drop(self, index: str) -> int:
        with transaction(self._engine) as connection:
            connection.execute(delete(log_indices).where(log_indices.c.name == index))
            gone = connection.execute(delete(documents).where(documents.c.index_name == index))
            return gone.rowcount

    def fields(self, index: str) -> dict[str, str] | None:
        with connected(self._engine) as connection:
            return connection.execute(_fields(index)).scalar_one_or_none()

    def take_backoff_s(self) -> float:
        return 0.0

    def cluster_name(self) -> None:
        return None


def _fields(index: str) -> Select[tuple[dict[str, str]]]:
    return select(log_indices.c.fields).where(log_indices.c.name == index)


def _insert(connection: Connection, index: str, rows: Sequence[Row]) -> int:
    """Write rows in one statement and return the number of new documents."""
    values = {
        "index": index,
        "ids": [row.id for row in rows],
        "times": [row.at for row in rows],
        "bodies": [row.body.decode() for row in rows],
    }
    return connection.execute(_CREATE, values).rowcount


def _lock(connection: Connection, index: str) -> dict[str, str]:
    """Return the mapping of an index; lock the index, so that no other process can drop it."""
    query = _fields(index).with_for_update(read=True, key_share=True)
    fields = connection.execute(query).scalar_one_or_none()
    if fields is None:
        raise DataError(f"the index {index!r} does not exist; call ensure first")
    return fields
