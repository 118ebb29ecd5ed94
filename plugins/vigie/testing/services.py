"""Services with all roles in memory except the bundles, for tests of use cases and operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vigie.records import ProjectPaths
from vigie.roles import BundleStore, Services
from vigie.testing.index import FakeIndex
from vigie.testing.sources import FakeApiLogs, FakeRenderer
from vigie.testing.stores import (
    FakeDeployments,
    FakeLabels,
    FakeLedger,
    FakeLocks,
    FakePredictions,
    FakeState,
)
from vigie.testing.stream import FakeStream
from vigie.testing.telemetry import FakeMetrics, FakeTracker


class Clock:
    """A clock for ``services.now`` that only ``set`` and ``advance`` change.

    Examples
    --------
    >>> clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    >>> clock.advance(hours=6)
    >>> clock().isoformat()
    '2026-01-01T06:00:00+00:00'
    """

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2026, 11, 21, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def set(self, at: datetime) -> None:
        self.at = at

    def advance(self, **delta: float) -> None:
        """Move the clock forward; the arguments are those of :class:`datetime.timedelta`."""
        self.at += timedelta(**delta)


class FakeServices:
    """Implement :class:`vigie.roles.Services` in memory, with the project's folders in ``root``."""

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
    def bundles(self) -> BundleStore:
        """Return the real store, because a fake would hide the behaviour of files."""
        from vigie.adapters.bundles.directory import BundleDirectory

        return BundleDirectory(self.paths.artifacts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


if TYPE_CHECKING:

    def _satisfies_the_role(fake: FakeServices) -> Services:
        return fake
