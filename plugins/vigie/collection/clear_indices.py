"""Delete the log indices and begin anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.collection.confirmation import require_confirmation
from vigie.collection.cursor import lock_name, reset_state
from vigie.collection.index_specs import RAW, api_log_specs
from vigie.collection.ingest_logs import SOURCE
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services

_LOCK_WAIT_S = 60.0  # more than a batch of a collector takes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearReport(JobResult):
    """How many documents each index had."""

    deleted: dict[str, int]


def clear_indices(
    services: Services,
    *,
    confirmed: bool,
    expect_cluster: str | None = None,
    source_id: str = SOURCE,
    raw_index: str = RAW.name,
) -> ClearReport:
    """Delete the three indices and the cursor: the next run collects from the beginning.

    Dead letters stay. The cursor goes first, so that a crash in between loses nothing: what is
    still there is found ``already_there``. A collector at work begins anew after it.

    Raises
    ------
    PermanentError
        Without ``confirmed``, saying what would be deleted; or when the index is on a cluster that
        was not named, or is another one than was named.
    ConflictError
        When a collector writes one batch for longer than ``_LOCK_WAIT_S``.
    """
    names = [spec.name for spec in api_log_specs(raw_index)]
    require_confirmation(services, names, confirmed=confirmed, expect_cluster=expect_cluster)
    with services.locks.hold(lock_name(source_id), wait_s=_LOCK_WAIT_S):
        services.state.put(state_keys.collector_cursor(source_id), reset_state())
        deleted = {name: services.index.drop(name) for name in names}
    return ClearReport(deleted=deleted)
