"""Check what log collection needs, before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.index_lines import ensure_api_log_indices
from vigie.collection.index_specs import RAW, api_log_specs
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import PermanentError, TransientError
from vigie.records import JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class PrerequisitesReport(JobResult):
    """What answered: the API's address and version, and the documents of each index."""

    source: str
    documents: dict[str, int]


def check_prerequisites(services: Services, *, raw_index: str = RAW.name) -> PrerequisitesReport:
    """Ask the API and the log index, both, so that one message tells everything that is missing.

    On success the indices exist; on failure nothing but an index may have been made.

    Raises
    ------
    PermanentError
        A setting is wrong: waiting would not help.
    TransientError
        The API or the index did not answer.
    """
    problems: list[PermanentError | TransientError] = []
    source, documents = "", {}
    try:
        source = services.api_logs.check()
    except (PermanentError, TransientError) as exc:
        problems.append(exc)
    try:
        ensure_api_log_indices(services, raw_index)
        names = [spec.name for spec in (*api_log_specs(raw_index), DEAD_LETTERS)]
        documents = {name: services.index.count(name) for name in names}
    except (PermanentError, TransientError) as exc:
        problems.append(exc)
    if problems:
        is_permanent = any(isinstance(problem, PermanentError) for problem in problems)
        kind = PermanentError if is_permanent else TransientError
        raise kind("; ".join(str(problem) for problem in problems)) from problems[0]
    return PrerequisitesReport(source=source, documents=documents)
