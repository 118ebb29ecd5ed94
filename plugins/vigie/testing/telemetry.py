"""Fakes of the tracker and of the metrics sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vigie.adapters.metrics.families import families
from vigie.errors import PermanentError
from vigie.records import Sample


@dataclass
class FakeRun:
    """Implement :class:`vigie.roles.TrackedRun` in memory."""

    run_id: str
    experiment: str
    name: str
    key: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    metrics: list[tuple[str, float, int | None]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    models: list[tuple[str, Any]] = field(default_factory=list)

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.params.update(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.metrics += [(name, value, step) for name, value in metrics.items()]

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def log_file(self, path: Path) -> None:
        self.files.append(path)

    def log_model(self, name: str, model: Any, example: Any) -> None:
        self.models.append((name, model))

    def latest(self, metric: str) -> float | None:
        """Return the last value of a metric; None if the metric was never logged."""
        return next((value for name, value, _ in reversed(self.metrics) if name == metric), None)


class FakeTracker:
    """Implement :class:`vigie.roles.Tracker` in memory."""

    def __init__(self) -> None:
        self.runs: list[FakeRun] = []
        self.registered: list[tuple[str, int, str]] = []  # model, bundle version, run id
        self.aliases: list[tuple[str, str, int]] = []  # model, alias, bundle version

    @contextmanager
    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Iterator[FakeRun]:
        known = next((r for r in self.runs if key is not None and r.key == key), None)
        run = known or FakeRun(f"run-{len(self.runs) + 1}", experiment, name, key)
        if known is None:
            self.runs.append(run)
        run.set_tags(tags or {})
        yield run

    def register(self, model: str, version: int, run_id: str) -> str | None:
        mine = [(m, v) for m, v, _ in self.registered if m == model]
        if (model, version) not in mine:
            self.registered.append((model, version, run_id))
            mine.append((model, version))
        return str(mine.index((model, version)) + 1)

    def set_alias(self, model: str, alias: str, version: int) -> None:
        if not any((m, v) == (model, version) for m, v, _ in self.registered):
            raise PermanentError(f"the registry has no version of {model!r} for bundle {version}")
        self.aliases.append((model, alias, version))

    def alias(self, model: str, alias: str) -> int | None:
        return next((v for m, a, v in reversed(self.aliases) if (m, a) == (model, alias)), None)

    def run_url(self, run_id: str) -> str | None:
        return f"https://tracker.invalid/runs/{run_id}"


class FakeMetrics:
    """Implement :class:`vigie.roles.MetricsSink` in memory.

    A key of ``groups`` consists of the job and the sorted grouping.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Sample, ...]] = {}

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        families(samples, {**(grouping or {}), "job": job})  # Check the samples like a real sink.
        self.groups[job, tuple(sorted((grouping or {}).items()))] = tuple(samples)

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None:
        self.groups.pop((job, tuple(sorted((grouping or {}).items()))), None)

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the first sample with this name and these labels, or None."""
        every = (
            sample for group in self.groups.values() for sample in group if sample.name == name
        )
        return next((s.value for s in every if labels.items() <= dict(s.labels).items()), None)
