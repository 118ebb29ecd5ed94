"""The tracking and metrics roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from vigie.records import Sample


class TrackedRun(Protocol):
    """An open run of the tracking server."""

    @property
    def run_id(self) -> str: ...

    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...

    def log_file(self, path: Path) -> None: ...

    def log_model(self, name: str, model: Any, example: Any) -> None:
        """Log a fitted sklearn pipeline or torch module with its signature, under this run."""


class Tracker(Protocol):
    """Experiments, runs and the registry. The null tracker has no effect and raises nothing."""

    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run; the same ``key`` reopens the same run (a retried task makes no second
        one).
        """

    def register(self, model: str, version: int, run_id: str) -> str | None:
        """Register the model logged under ``run_id``, tagged with our bundle ``version``;
        idempotent.

        Returns the registry's own version number; None without a registry.
        """

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias at the registry version tagged with our bundle ``version``."""

    def alias(self, model: str, alias: str) -> int | None:
        """Return the bundle version that an alias points at."""

    def run_url(self, run_id: str) -> str | None: ...


class MetricsSink(Protocol):
    """Where figures go: Prometheus text files, or a Pushgateway."""

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the group (``job``, ``grouping``) with these samples. Names must be in the
        catalogue.
        """

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None: ...
