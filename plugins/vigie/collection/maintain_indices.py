"""Clear, expire and deduplicate the log indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.collection.cursor import lock_name, reset_state
from vigie.collection.index_specs import MESSAGE, PERFS, RAW, api_log_specs
from vigie.collection.ingest_logs import SOURCE
from vigie.errors import DataError, PermanentError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import LogIndex, Services

_LOCK_WAIT_S = 60.0  # longer than a collector normally takes for one batch
_DELETE_AT_ONCE = 1000
#: Expiry scans from this time: documents without ``@timestamp`` or with an earlier one are kept.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def require_confirmation(
    index: LogIndex,
    names: Sequence[str],
    *,
    confirmed: bool,
    expect_cluster: str | None,
    only: str = "",
) -> None:
    """Require explicit confirmation before deleting documents from the indices ``names``.

    ``expect_cluster`` is the name of the Elasticsearch cluster, or None for the embedded index.
    If only some documents are deleted, ``only`` describes them in the message, for example
    ``"all documents older than 30 days from "``.

    Raises
    ------
    PermanentError
        ``confirmed`` is false, or ``expect_cluster`` does not match the log index. The message
        contains the number of documents in each index.
    """
    cluster = index.cluster_name()
    if confirmed and expect_cluster == cluster:
        return
    counts = ", ".join(f"{name} ({index.count(name)} documents)" for name in names)
    what = f"this deletes {only}{counts} permanently"
    if cluster is None and expect_cluster:
        raise PermanentError(
            f"{what}; the log index is embedded, not on cluster {expect_cluster}; "
            "add --yes without --expect-cluster"
        )
    if cluster is None:
        raise PermanentError(f"{what}; add --yes")
    other = f", not on {expect_cluster!r}" if expect_cluster not in (None, cluster) else ""
    raise PermanentError(
        f"{what}, on the Elasticsearch cluster {cluster!r}{other}; "
        f"add --yes --expect-cluster {cluster}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearResult(JobResult):
    """The number of deleted documents per index."""

    deleted: dict[str, int]


def clear_indices(
    services: Services,
    *,
    confirmed: bool,
    expect_cluster: str | None = None,
    source_id: str = SOURCE,
    raw_index: str = RAW.name,
) -> ClearResult:
    """Delete the API log indices and reset the cursor.

    The lines that the source still contains are then collected again. Dead letters are kept. The
    cursor is reset first: after a crash, the next collection reads from the beginning and counts
    the remaining documents as ``already_there``. A running collector detects the reset and starts
    again from the beginning.

    Raises
    ------
    PermanentError
        The deletion is not confirmed; see :func:`require_confirmation`.
    ConflictError
        A collector held the lock of the source for longer than ``_LOCK_WAIT_S``.
    """
    names = [spec.name for spec in api_log_specs(raw_index)]
    require_confirmation(services.index, names, confirmed=confirmed, expect_cluster=expect_cluster)
    with services.locks.hold(lock_name(source_id), wait_s=_LOCK_WAIT_S):
        services.state.put(state_keys.collector_cursor(source_id), reset_state())
        deleted = {name: services.index.drop(name) for name in names}
    return ClearResult(deleted=deleted)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryResult(JobResult):
    """The number of deleted documents per index; their ``@timestamp`` precedes ``before``."""

    before: datetime
    deleted: dict[str, int]


def expire_documents(services: Services, *, indices: Sequence[str], days: int) -> ExpiryResult:
    """Delete the documents of ``indices`` whose ``@timestamp`` is more than ``days`` days ago.

    The oldest documents are deleted first; after a failure, a repeated call deletes the remaining
    expired documents. The collector's cursor stays, so their lines are not collected again.
    Documents without ``@timestamp`` or with one before 1970 are kept.

    Raises
    ------
    DataError
        ``days`` is less than 1.
    """
    if days < 1:
        raise DataError(f"documents are kept for at least 1 day, not {days}")
    before = services.now() - timedelta(days=days)
    deleted = {index: _expire(services.index, index, before) for index in indices}
    return ExpiryResult(before=before, deleted=deleted)


def _expire(index: LogIndex, name: str, before: datetime) -> int:
    expired = (document.id for document in index.scan(name, _BEGINNING, before))
    deleted = 0
    while ids := list(islice(expired, _DELETE_AT_ONCE)):
        deleted += index.delete(name, ids)
    return deleted


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """The number of documents in an index before and after deduplication."""

    before: int
    removed: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeduplicationResult(JobResult):
    """The document counts of each deduplicated index."""

    indices: dict[str, Deduplicated]

    @property
    def removed(self) -> int:
        return sum(index.removed for index in self.indices.values())


def deduplicate_indices(services: Services) -> DeduplicationResult:
    """Delete duplicates in the message and performance indices.

    Of the documents with the same transaction id, only the newest (by ``@timestamp``) is kept.
    Collected documents have deterministic ids, so only documents that another program wrote can be
    duplicates. Documents without a transaction id are kept. The ids are held in memory: about 200
    bytes per document.
    """
    return DeduplicationResult(
        indices={spec.name: _deduplicate(services.index, spec.name) for spec in (MESSAGE, PERFS)}
    )


def _deduplicate(index: LogIndex, name: str) -> Deduplicated:
    before = index.count(name)
    newest: dict[str, str] = {}
    stale: list[str] = []
    for document in index.scan(name):  # oldest first
        transaction = document.body.get("transaction_id")
        if transaction is None:
            continue
        if transaction in newest:
            stale.append(newest[transaction])
        newest[transaction] = document.id
    batches = (stale[i : i + _DELETE_AT_ONCE] for i in range(0, len(stale), _DELETE_AT_ONCE))
    removed = sum(index.delete(name, batch) for batch in batches)
    return Deduplicated(before, removed, index.count(name))
