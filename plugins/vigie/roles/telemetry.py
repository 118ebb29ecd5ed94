"""The roles Tracker (tracked runs and the model registry) and MetricsSink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from vigie.records import Sample


class TrackedRun(Protocol):
    """A tracked run that is open for logging."""

    @property
    def run_id(self) -> str: ...

    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...

    def log_file(self, path: Path) -> None: ...

    def log_model(self, name: str, model: Any, example: Any) -> None:
        """Log a fitted sklearn pipeline or torch module with its signature."""


class Tracker(Protocol):
    """A tracker of experiments and their tracked runs, with a model registry."""

    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Open a tracked run.

        If the experiment has a tracked run with the same ``key``, reopen it, so that a retried task
        creates no second tracked run.
        """

    def register(self, model: str, version: int, run_id: str) -> str | None:
        """Register the model of a tracked run, tagged with the bundle's ``version``. Idempotent.

        Returns the version number in the registry; None if there is no registry.
        """

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Set an alias to the registered model version that has the tag ``version``."""

    def alias(self, model: str, alias: str) -> int | None:
        """Return the bundle version that an alias refers to; None if there is none."""

    def run_url(self, run_id: str) -> str | None:
        """Return the address of a tracked run's web page; None without a server or id."""


class MetricsSink(Protocol):
    """A store of pushed metrics: text files, or a Pushgateway."""

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the samples of the group (``job``, ``grouping``).

        Every metric name must be in :mod:`vigie.catalogue`.
        """

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None: ...
