"""Check the API and the log indices; create missing indices and fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.index_lines import ensure_api_log_indices
from vigie.collection.index_specs import RAW
from vigie.errors import PermanentError, TransientError
from vigie.records import IndexSpec, JobResult

if TYPE_CHECKING:
    from vigie.roles import LogIndex, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class PrerequisitesResult(JobResult):
    """The address and version of the API, and the number of documents in each index."""

    source: str
    documents: dict[str, int]


def check_prerequisites(services: Services, *, raw_index: str = RAW.name) -> PrerequisitesResult:
    """Check that the API and the log index respond; create missing indices and fields.

    If both checks fail, one error contains both messages.

    Raises
    ------
    PermanentError
        At least one check failed permanently, for example because a setting is invalid or an index
        has a field of another type.
    TransientError
        The API or the log index did not respond, and no check failed permanently.
    """
    problems: list[PermanentError | TransientError] = []
    source, documents = "", {}
    try:
        source = services.api_logs.check()
    except (PermanentError, TransientError) as exc:
        problems.append(exc)
    try:
        specs = ensure_api_log_indices(services.index, raw_index)
        documents = {spec.name: services.index.count(spec.name) for spec in specs}
    except (PermanentError, TransientError) as exc:
        problems.append(exc)
    if problems:
        is_permanent = any(isinstance(problem, PermanentError) for problem in problems)
        kind = PermanentError if is_permanent else TransientError
        raise kind("; ".join(str(problem) for problem in problems)) from problems[0]
    return PrerequisitesResult(source=source, documents=documents)


@dataclass(frozen=True, slots=True)
class IndexState:
    """The size of one index; ``problems`` lists the differences from its expected mapping."""

    name: str
    documents: int
    n_fields: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicesResult(JobResult):
    """The states of the three API log indices and the dead-letter index."""

    indices: tuple[IndexState, ...]

    @property
    def is_ok(self) -> bool:
        return not any(index.problems for index in self.indices)


def check_indices(services: Services, *, raw_index: str = RAW.name) -> IndicesResult:
    """Create missing indices and fields, then compare each mapping with the expected mapping."""
    specs = ensure_api_log_indices(services.index, raw_index)
    return IndicesResult(indices=tuple(_state(services.index, spec) for spec in specs))


def _state(index: LogIndex, spec: IndexSpec) -> IndexState:
    found = index.fields(spec.name) or {}
    problems = [
        f"{name}: expected {kind}, found {found.get(name, 'no such field')}"
        for name, kind in spec.fields.items()
        if found.get(name) != kind
    ]
    problems += [
        f"{name}: unexpected field ({found[name]})" for name in sorted(found.keys() - spec.fields)
    ]
    return IndexState(spec.name, index.count(spec.name), len(found), tuple(problems))
