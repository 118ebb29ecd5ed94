"""Every role in memory, for tests of jobs and operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vigie.records import ProjectPaths
from vigie.roles import BundleStore, Services
from vigie.testing.clock import Clock
from vigie.testing.index import FakeIndex
from vigie.testing.predictions import FakeLabels, FakePredictions
from vigie.testing.sources import FakeApiLogs, FakeRenderer
from vigie.testing.stores import FakeDeployments, FakeLedger, FakeLocks, FakeState
from vigie.testing.stream import FakeStream
from vigie.testing.telemetry import FakeMetrics, FakeTracker

if TYPE_CHECKING:
    from vigie.settings import Settings


class FakeServices:
    """Satisfies :class:`vigie.roles.Services`, and is a context manager as ``open_services`` is.

    Parameters
    ----------
    root : where the folders go; usually ``tmp_path``.
    now : the first instant of ``clock``; None: a fixed one.
    """

    def __init__(self, root: Path, now: datetime | None = None) -> None:
        self.paths = ProjectPaths(root, root / "data", root / "artifacts", root / "reports")
        for name in ("data", "artifacts", "reports", "models", "local"):
            getattr(self.paths, name).mkdir(parents=True, exist_ok=True)
        self.clock = Clock(now)
        self.predictions = FakePredictions()
        self.labels = FakeLabels(self.predictions, self.clock)
        self.deployments = FakeDeployments(self.clock)
        self.ledger = FakeLedger(self.clock)
        self.state = FakeState()
        self.locks = FakeLocks()
        self.index = FakeIndex()
        self.stream = FakeStream(self.clock)
        self.tracker = FakeTracker()
        self.metrics = FakeMetrics()
        self.api_logs = FakeApiLogs(self.predictions)
        self.renderer = FakeRenderer()

    @property
    def now(self) -> Callable[[], datetime]:
        return self.clock

    @cached_property
    def settings(self) -> Settings:
        """What the environment says when first asked; a test may set others."""
        from vigie.settings import Settings

        return Settings.from_env()

    @cached_property
    def bundles(self) -> BundleStore:
        """The real store: bundles are files, and a fake would only hide what files do."""
        from vigie.adapters.bundles.directory import BundleDirectory

        return BundleDirectory(self.paths.artifacts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


if TYPE_CHECKING:

    def _satisfies_the_role(fake: FakeServices) -> Services:
        return fake
