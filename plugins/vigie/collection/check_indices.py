"""Check that the log indices exist with the right mappings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.collection.index_lines import ensure_api_log_indices
from vigie.collection.index_specs import RAW, api_log_specs
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.records import IndexSpec, JobResult

if TYPE_CHECKING:
    from vigie.roles import Services


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index as it is: ``problems`` names each field that is not as it should be."""

    name: str
    documents: int
    n_fields: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicesReport(JobResult):
    """All four indices; everything is well when none has a problem."""

    indices: tuple[IndexState, ...]

    @property
    def is_well(self) -> bool:
        return not any(index.problems for index in self.indices)


def check_indices(services: Services, *, raw_index: str = RAW.name) -> IndicesReport:
    """Create what is absent, then compare each mapping with ours. Deletes nothing."""
    ensure_api_log_indices(services, raw_index)
    specs = (*api_log_specs(raw_index), DEAD_LETTERS)
    return IndicesReport(indices=tuple(_state(services, spec) for spec in specs))


def _state(services: Services, spec: IndexSpec) -> IndexState:
    found = services.index.fields(spec.name) or {}
    problems = [
        f"{name}: expected {kind}, found {found.get(name, 'no such field')}"
        for name, kind in spec.fields.items()
        if found.get(name) != kind
    ]
    problems += [f"{name}: not ours ({found[name]})" for name in sorted(found.keys() - spec.fields)]
    return IndexState(spec.name, services.index.count(spec.name), len(found), tuple(problems))
