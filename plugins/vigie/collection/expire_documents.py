"""Delete documents that are older than they need be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from vigie.errors import DataError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

_AT_ONCE = 1000
#: Documents without ``@timestamp`` are never old.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryReport(JobResult):
    """Documents deleted, by index."""

    before: datetime
    deleted: dict[str, int]


def expire_documents(services: Services, *, indices: Sequence[str], days: int) -> ExpiryReport:
    """Delete the documents of ``indices`` whose ``@timestamp`` is more than ``days`` days ago.

    On failure some are deleted, the oldest first; the same call again completes it. The cursor of
    the collection stays, so nothing of it is collected again.

    Raises
    ------
    DataError
        For less than one day.
    """
    if days < 1:
        raise DataError(f"documents are kept for a day at least, not {days}")
    before = services.now() - timedelta(days=days)
    deleted = {index: _expire(services, index, before) for index in indices}
    return ExpiryReport(before=before, deleted=deleted)


def _expire(services: Services, index: str, before: datetime) -> int:
    old = (document.id for document in services.index.scan(index, _BEGINNING, before))
    deleted = 0
    while ids := list(islice(old, _AT_ONCE)):
        deleted += services.index.delete(index, ids)
    return deleted
