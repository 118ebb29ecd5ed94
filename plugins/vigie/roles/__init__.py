"""The roles: the Protocols through which use cases call stores and external services.

Adapters and the fakes in :mod:`vigie.testing` implement the roles. Each role has a suite of
contract tests in :mod:`vigie.testing`, which every implementation passes.
"""

from vigie.roles.index import LogIndex
from vigie.roles.services import Services
from vigie.roles.sources import ApiLogSource, ReportRenderer
from vigie.roles.stores import (
    Bundle,
    BundleStore,
    DeploymentStore,
    LabelStore,
    Ledger,
    Locks,
    PredictionStore,
    StateStore,
)
from vigie.roles.stream import LogStream, StreamConsumer
from vigie.roles.telemetry import MetricsSink, TrackedRun, Tracker

__all__ = [
    "ApiLogSource",
    "Bundle",
    "BundleStore",
    "DeploymentStore",
    "LabelStore",
    "Ledger",
    "Locks",
    "LogIndex",
    "LogStream",
    "MetricsSink",
    "PredictionStore",
    "ReportRenderer",
    "Services",
    "StateStore",
    "StreamConsumer",
    "TrackedRun",
    "Tracker",
]
