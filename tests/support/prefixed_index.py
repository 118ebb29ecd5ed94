"""A log index whose names are prefixed, so that tests can share one real server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from vigie.records import Document, IndexOutcome, IndexSpec
from vigie.roles import LogIndex


class PrefixedIndex:
    """Add a prefix to every index name of another log index."""

    def __init__(self, inner: LogIndex, prefix: str) -> None:
        self.inner = inner
        self.prefix = prefix
        self.names: set[str] = set()  # to be dropped after the test

    def ensure(self, spec: IndexSpec) -> None:
        self.inner.ensure(dataclasses.replace(spec, name=self.prefix + spec.name))
        self.names.add(spec.name)

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        return self.inner.create(self.prefix + index, documents)

    def count(self, index: str) -> int:
        return self.inner.count(self.prefix + index)

    def get(self, index: str, document_id: str) -> dict[str, Any] | None:
        return self.inner.get(self.prefix + index, document_id)

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        return self.inner.scan(self.prefix + index, since, until)

    def delete(self, index: str, ids: Sequence[str]) -> int:
        return self.inner.delete(self.prefix + index, ids)

    def drop(self, index: str) -> int:
        return self.inner.drop(self.prefix + index)

    def fields(self, index: str) -> dict[str, str] | None:
        return self.inner.fields(self.prefix + index)

    def take_backoff_s(self) -> float:
        return self.inner.take_backoff_s()

    def cluster_name(self) -> str | None:
        return self.inner.cluster_name()
