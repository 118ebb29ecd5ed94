"""A log index in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import RLock
from typing import Any

from vigie.adapters.mapping import check_spec, extend_fields, sort_time, split_documents
from vigie.adapters.values import as_stored
from vigie.encoding import clean
from vigie.errors import DataError
from vigie.records import Document, IndexOutcome, IndexSpec


class FakeIndex:
    """Satisfies :class:`vigie.roles.LogIndex`; ``documents[index][id]`` is a body."""

    def __init__(self) -> None:
        self.specs: dict[str, dict[str, str]] = {}
        self.documents: dict[str, dict[str, dict[str, Any]]] = {}
        self.lock = RLock()

    def ensure(self, spec: IndexSpec) -> None:
        check_spec(spec)
        with self.lock:
            self.specs[spec.name] = extend_fields(
                spec.name, self.specs.get(spec.name, {}), spec.fields
            )
            self.documents.setdefault(spec.name, {})

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        fields = self.fields(index)
        if fields is None:
            raise DataError(f"no index {index!r}; create it with ensure first")
        accepted, rejected = split_documents(fields, documents)
        with self.lock:
            before = len(self.documents[index])
            for document in accepted:
                self.documents[index].setdefault(document.id, dict(as_stored(document.body)))
            created = len(self.documents[index]) - before
        return IndexOutcome(created, len(accepted) - created, rejected)

    def count(self, index: str) -> int:
        return len(self.documents.get(index, {}))

    def get(self, index: str, document_id: str) -> dict[str, Any] | None:
        body: dict[str, Any] | None = as_stored(
            self.documents.get(index, {}).get(clean(document_id))
        )
        return body

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        rows = ((sort_time(body), key, body) for key, body in self.documents.get(index, {}).items())
        for at, key, body in sorted(rows, key=lambda row: row[:2]):
            if (since is None or at >= since) and (until is None or at < until):
                yield Document(key, body)

    def delete(self, index: str, ids: Sequence[str]) -> int:
        rows = self.documents.get(index, {})
        return sum(rows.pop(clean(key), None) is not None for key in ids)

    def drop(self, index: str) -> int:
        self.specs.pop(index, None)
        return len(self.documents.pop(index, {}))

    def fields(self, index: str) -> dict[str, str] | None:
        return self.specs.get(index)
