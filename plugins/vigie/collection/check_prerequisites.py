"""Check the API and the log indices before collection starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.index_lines import ensure_api_log_indices
from vigie.collection.index_specs import RAW, api_log_specs
from vigie.dead_letters.letters import DEAD_LETTERS
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
    """Check that the API and the log index answer, and create missing indices.

    Both are checked, so that one message lists every problem.

    Raises
    ------
    PermanentError
        A setting is wrong.
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
        ensure_api_log_indices(services.index, raw_index)
        names = [spec.name for spec in (*api_log_specs(raw_index), DEAD_LETTERS)]
        documents = {name: services.index.count(name) for name in names}
    except (PermanentError, TransientError) as exc:
        problems.append(exc)
    if problems:
        is_permanent = any(isinstance(problem, PermanentError) for problem in problems)
        kind = PermanentError if is_permanent else TransientError
        raise kind("; ".join(str(problem) for problem in problems)) from problems[0]
    return PrerequisitesResult(source=source, documents=documents)


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index; ``problems`` has one entry per field whose mapping differs from the expected."""

    name: str
    documents: int
    n_fields: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicesResult(JobResult):
    """The state of the four indices."""

    indices: tuple[IndexState, ...]

    @property
    def is_ok(self) -> bool:
        return not any(index.problems for index in self.indices)


def check_indices(services: Services, *, raw_index: str = RAW.name) -> IndicesResult:
    """Create missing indices and compare each mapping with the expected one; delete nothing."""
    ensure_api_log_indices(services.index, raw_index)
    specs = (*api_log_specs(raw_index), DEAD_LETTERS)
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
