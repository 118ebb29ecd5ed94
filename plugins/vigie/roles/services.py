"""The protocol through which a use case accesses all roles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from vigie.records import ProjectPaths
from vigie.roles.index import LogIndex
from vigie.roles.sources import ApiLogSource, ReportRenderer
from vigie.roles.stores import (
    BundleStore,
    DeploymentStore,
    LabelStore,
    Ledger,
    Locks,
    PredictionStore,
    StateStore,
)
from vigie.roles.stream import LogStream
from vigie.roles.telemetry import MetricsSink, Tracker


class Services(Protocol):
    """All roles, the project's folders and the clock.

    In :mod:`vigie.wiring`, the first read of a role imports and opens its adapter.
    """

    @property
    def paths(self) -> ProjectPaths: ...
    @property
    def now(self) -> Callable[[], datetime]:
        """The function that returns the current time as an aware UTC datetime."""

    @property
    def predictions(self) -> PredictionStore: ...
    @property
    def labels(self) -> LabelStore: ...
    @property
    def deployments(self) -> DeploymentStore: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def state(self) -> StateStore: ...
    @property
    def locks(self) -> Locks: ...
    @property
    def index(self) -> LogIndex: ...
    @property
    def stream(self) -> LogStream: ...
    @property
    def bundles(self) -> BundleStore: ...
    @property
    def tracker(self) -> Tracker: ...
    @property
    def metrics(self) -> MetricsSink: ...
    @property
    def api_logs(self) -> ApiLogSource: ...
    @property
    def renderer(self) -> ReportRenderer: ...
