"""A log index in memory, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import RLock
from typing import Any

import orjson

from vigie.encoding import clean
from vigie.errors import DataError
from vigie.index_mapping import Row, check_spec, extend_fields, split_documents
from vigie.records import Document, IndexOutcome, IndexSpec


class FakeIndex:
    """Implement :class:`vigie.roles.LogIndex`; ``documents[index][id]`` is a row."""

    def __init__(self) -> None:
        self.specs: dict[str, dict[str, str]] = {}
        self.documents: dict[str, dict[str, Row]] = {}
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
            raise DataError(f"the index {index!r} does not exist; call ensure first")
        accepted, rejected = split_documents(fields, documents)
        with self.lock:
            before = len(self.documents[index])
            for row in accepted:
                self.documents[index].setdefault(row.id, row)
            created = len(self.documents[index]) - before
        return IndexOutcome(created, len(accepted) - created, rejected)

    def count(self, index: str) -> int:
        return len(self.documents.get(index, {}))

    def get(self, index: str, document_id: str) -> dict[str, Any] | None:
        row = self.documents.get(index, {}).get(clean(document_id))
        return None if row is None else dict(orjson.loads(row.body))

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        rows = self.documents.get(index, {}).values()
        for row in sorted(rows, key=lambda row: (row.at, row.id)):
            if (since is None or row.at >= since) and (until is None or row.at < until):
                yield Document(row.id, orjson.loads(row.body))

    def delete(self, index: str, ids: Sequence[str]) -> int:
        rows = self.documents.get(index, {})
        return sum(rows.pop(clean(key), None) is not None for key in ids)

    def drop(self, index: str) -> int:
        self.specs.pop(index, None)
        return len(self.documents.pop(index, {}))

    def fields(self, index: str) -> dict[str, str] | None:
        return self.specs.get(index)

    def take_backoff_s(self) -> float:
        return 0.0

    def cluster_name(self) -> None:
        return None
