"""Remove documents that tell of the same transaction twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.index_specs import MESSAGE, PERFS
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

_DELETE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Documents of an index before and after."""

    before: int
    removed: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeduplicationReport(JobResult):
    """One entry an index."""

    indices: dict[str, Deduplicated]

    @property
    def removed(self) -> int:
        return sum(index.removed for index in self.indices.values())


def deduplicate_indices(services: Services) -> DeduplicationReport:
    """Keep the newest document (by ``@timestamp``) of each transaction id, delete the others.

    A repair tool for indices that something else wrote to: our own ids are deterministic, so it
    normally finds none. Documents without a transaction id stay. Ids are held in memory: about
    200 bytes a document.
    """
    return DeduplicationReport(
        indices={spec.name: _deduplicate(services, spec.name) for spec in (MESSAGE, PERFS)}
    )


def _deduplicate(services: Services, index: str) -> Deduplicated:
    before = services.index.count(index)
    newest: dict[str, str] = {}
    stale: list[str] = []
    for document in services.index.scan(index):  # oldest first
        transaction = document.body.get("transaction_id")
        if transaction is None:
            continue
        if transaction in newest:
            stale.append(newest[transaction])
        newest[transaction] = document.id
    removed = 0
    for start in range(0, len(stale), _DELETE_AT_ONCE):
        removed += services.index.delete(index, stale[start : start + _DELETE_AT_ONCE])
    return Deduplicated(before, removed, services.index.count(index))
