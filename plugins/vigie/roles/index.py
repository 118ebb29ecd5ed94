"""The role of the log index: documents with deterministic ids and a strict mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from vigie.records import Document, IndexOutcome, IndexSpec


class LogIndex(Protocol):
    """A store of documents in named indices; stored documents are never overwritten."""

    def ensure(self, spec: IndexSpec) -> None:
        """Create the index unless it exists, and add missing fields to its mapping."""

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        """Store a batch of documents durably.

        A document with an unknown top-level field or a value of the wrong type is rejected; the
        other documents are stored. Raise TransientError if the outcome is unknown, and DataError if
        the index does not exist.
        """

    def count(self, index: str) -> int:
        """Return the number of documents; 0 if the index does not exist."""

    def get(self, index: str, document_id: str) -> dict[str, Any] | None: ...

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        """Yield the documents with ``since <= @timestamp < until``, ordered by time, then id.

        Documents without ``@timestamp`` come first, unless ``since`` is given. Documents are read
        in batches, so that memory is bounded.
        """

    def delete(self, index: str, ids: Sequence[str]) -> int:
        """Delete documents by id; return the number of deleted documents."""

    def drop(self, index: str) -> int:
        """Delete an index, if it exists; return the number of documents that it contained."""

    def fields(self, index: str) -> dict[str, str] | None:
        """Return the type of each field, or None if the index does not exist."""

    def take_backoff_s(self) -> float:
        """Return the seconds of waits between retries since this method was last called."""

    def cluster_name(self) -> str | None:
        """Return the name of the Elasticsearch cluster; None for the embedded index."""
