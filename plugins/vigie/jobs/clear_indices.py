"""Delete the log indices and begin anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.errors import PermanentError
from vigie.jobs.ingest_logs import SOURCE
from vigie.logs.cursor import Cursor, state_key
from vigie.logs.index_specs import RAW, api_log_specs
from vigie.records import JobReport
from vigie.roles import ClusterIndex

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearReport(JobReport):
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
    still there is found ``already_there``.

    Raises
    ------
    PermanentError
        Without ``confirmed``, saying what would be deleted; or when the index is on a cluster that
        was not named, or is another one than was named.
    """
    names = [spec.name for spec in api_log_specs(raw_index)]
    cluster = services.index.cluster_name() if isinstance(services.index, ClusterIndex) else None
    if not confirmed or expect_cluster != cluster:
        raise PermanentError(_what_it_takes(services, names, cluster, expect_cluster))
    services.state.put(state_key(source_id), Cursor().as_state())
    return ClearReport(deleted={name: services.index.drop(name) for name in names})


def _what_it_takes(
    services: Services, names: list[str], cluster: str | None, expected: str | None
) -> str:
    counts = ", ".join(f"{name} ({services.index.count(name)} documents)" for name in names)
    if cluster is None:
        where = f"; the log index is embedded, not on cluster {expected}" if expected else ""
        return f"this deletes {counts} for good{where}; add --yes{' alone' * bool(expected)}"
    other = f", not on {expected!r}" if expected not in (None, cluster) else ""
    return (
        f"this deletes {counts} for good, on the Elasticsearch cluster {cluster!r}{other}; "
        f"add --yes --expect-cluster {cluster}"
    )
