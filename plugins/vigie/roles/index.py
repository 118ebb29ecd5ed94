"""The log index role: documents by deterministic id, with a strict mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from vigie.records import Document, IndexOutcome, IndexSpec


class LogIndex(Protocol):
    """Documents in named indices. Writes are ``create``: an id that is already there counts as
    done.
    """

    def ensure(self, spec: IndexSpec) -> None:
        """Create the index with its mapping unless it exists; idempotent."""

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        """Write a batch durably before returning.

        An unknown top-level field or a value that the field's type refuses rejects that document
        alone.
        Raises TransientError (nothing is known to be written) and DataError (no such index).
        """

    def count(self, index: str) -> int:
        """Count documents; 0 for an index that does not exist."""

    def get(self, index: str, document_id: str) -> dict[str, Any] | None: ...

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        """Yield every document, ordered by ``@timestamp`` then id, with ``since <= @timestamp <
        until``.

        Reads in pages; the caller never holds more than one page.
        """

    def delete(self, index: str, ids: Sequence[str]) -> int:
        """Delete documents by id; return how many there were."""

    def drop(self, index: str) -> int:
        """Delete a whole index; return how many documents it had."""

    def fields(self, index: str) -> dict[str, str] | None:
        """Return the mapping, or None for an index that does not exist."""

    def take_backoff_s(self) -> float:
        """Return the seconds spent waiting for a busy server since the last call; 0 if none."""

    def cluster_name(self) -> str | None:
        """Return the name of the cluster that others may share; None for an embedded index."""
