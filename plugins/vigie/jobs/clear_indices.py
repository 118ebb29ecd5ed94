"""Delete the log indices and begin anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.errors import PermanentError
from vigie.jobs.ingest_logs import SOURCE
from vigie.logs.cursor import Cursor, state_key
from vigie.logs.index_specs import RAW, api_log_specs
from vigie.records import JobReport

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearReport(JobReport):
    """How many documents each index had."""

    deleted: dict[str, int]


def clear_indices(
    services: Services, *, confirmed: bool, source_id: str = SOURCE, raw_index: str = RAW.name
) -> ClearReport:
    """Delete the three indices and the cursor: the next run collects from the beginning.

    Dead letters stay. The cursor goes first, so that a crash in between loses nothing: what is
    still there is found ``already_there``.

    Raises
    ------
    PermanentError
        Without ``confirmed``, saying what would be deleted.
    """
    names = [spec.name for spec in api_log_specs(raw_index)]
    if not confirmed:
        what = ", ".join(f"{name} ({services.index.count(name)} documents)" for name in names)
        raise PermanentError(f"this deletes {what} for good; add --yes to do it")
    services.state.put(state_key(source_id), Cursor().as_state())
    return ClearReport(deleted={name: services.index.drop(name) for name in names})
