"""Tracker that records nothing, for ``MLFLOW_ENABLED=false``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class NullRun:
    """Implement :class:`vigie.roles.TrackedRun` without recording; the id is empty."""

    run_id = ""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Do nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_file(self, path: Path) -> None:
        """Do nothing."""

    def log_model(self, name: str, model: Any, example: Any) -> None:
        """Do nothing."""


class NullTracker:
    """Implement :class:`vigie.roles.Tracker` without a server."""

    def __init__(self) -> None:
        log.info("MLFLOW_ENABLED=false: tracked runs and registry versions are not recorded")

    @contextmanager
    def run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Iterator[NullRun]:
        yield NullRun()

    def register(self, model: str, version: int, run_id: str) -> str | None:
        return None

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Do nothing."""

    def alias(self, model: str, alias: str) -> int | None:
        return None

    def run_url(self, run_id: str) -> str | None:
        return None
