"""The tracking server and its registry, and the metrics sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from vigie.records import Sample


class TrackedRun(Protocol):
    """An open tracked run."""

    @property
    def run_id(self) -> str: ...

    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...

    def log_file(self, path: Path) -> None: ...

    def log_model(self, name: str, model: Any, example: Any) -> None:
        """Log a fitted sklearn pipeline or torch module with its signature."""


class Tracker(Protocol):
    """Experiments, tracked runs and the registry; calls of the null tracker have no effect."""

    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Open a tracked run.

        A ``key`` that was used before reopens that run, so a retried task creates no second one.
        """

    def register(self, model: str, version: int, run_id: str) -> str | None:
        """Register the model of a tracked run, tagged with the bundle's ``version``; idempotent.

        Returns the registry's version number, None if there is no registry.
        """

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Set an alias to the registry version that is tagged with the bundle's ``version``."""

    def alias(self, model: str, alias: str) -> int | None:
        """Return the bundle version of an alias."""

    def run_url(self, run_id: str) -> str | None: ...


class MetricsSink(Protocol):
    """Receives metrics: Prometheus text files, or a Pushgateway."""

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the samples of the group (``job``, ``grouping``).

        Every name must be in :mod:`vigie.catalogue`.
        """

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None: ...
