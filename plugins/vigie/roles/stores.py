"""The stores: predictions, labels, deployments, decisions, state, locks, and model bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from vigie.records import (
    Decision,
    Deployment,
    Label,
    LabelledPrediction,
    LabelOutcome,
    LoggedPrediction,
    Prediction,
)


class PredictionStore(Protocol):
    """All predictions, in commit order."""

    def add(self, prediction: Prediction) -> int:
        """Store a prediction and return its log offset.

        A transaction id that is already stored changes nothing.
        """

    def get(self, transaction_id: str) -> Prediction | None: ...

    def count(self, model: str | None = None) -> int: ...

    def page(self, offset: int, limit: int) -> list[LoggedPrediction]:
        """Return up to ``limit`` predictions from ``offset`` on; offsets have no gaps."""

    def window(
        self, model: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[LabelledPrediction]:
        """Yield predictions with ``since <= created_at < until``, oldest first, with labels."""


class LabelStore(Protocol):
    """The labels of predictions. A correction adds a row; the latest row is the current label."""

    def add(self, transaction_id: str, actual: str, source: str = "feedback") -> LabelOutcome:
        """Store a label. Raises UnknownTransactionError if there is no such prediction."""

    def history(self, transaction_id: str) -> list[Label]: ...

    def count(self, model: str) -> int:
        """Count the labelled predictions of a model."""

    def count_unused(self, model: str) -> int:
        """Count the labelled predictions that no archived training has used."""

    def claim(self, model: str, run_id: str) -> int:
        """Reserve the current labelled, unarchived rows for a run and return their number.

        Repeated calls for a run return the same rows.
        """

    def claimed(self, model: str, run_id: str) -> Iterator[LabelledPrediction]:
        """Yield the rows that a run trains on: all archived rows and those that it claimed."""

    def archive(self, model: str, run_id: str) -> int:
        """Mark the rows that a run claimed as used and return their number; idempotent."""


class DeploymentStore(Protocol):
    """The deployment history of each model; changed by compare-and-swap."""

    def next_version(self, model: str) -> int:
        """Allocate a version number. No number is allocated twice; there may be gaps."""

    def champion(self, model: str, at: datetime | None = None) -> Deployment | None:
        """Return the current champion, or the champion at a time."""

    def history(self, model: str, limit: int = 50) -> list[Deployment]:
        """Return deployments, newest first."""

    def deploy(
        self,
        model: str,
        version: int,
        *,
        expected_number: int,
        actor: str,
        reason: str,
        run_id: str | None = None,
    ) -> Deployment:
        """Make ``version`` champion if the newest deployment has ``expected_number`` (0: none).

        Raises ConflictError if there is a newer deployment.
        """


class Ledger(Protocol):
    """All decisions with their reasons; ``vigie why`` prints them."""

    def record(self, decision: Decision) -> int:
        """Store a decision and return its id; for a known ``key`` return the existing id."""

    def decisions(
        self,
        model: str | None = None,
        kind: str | None = None,
        run_id: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[Decision]:
        """Return decisions, newest first."""


class StateStore(Protocol):
    """JSON values by key: cursors, watermarks, cool-downs."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def put(self, key: str, value: Mapping[str, Any]) -> None: ...

    def forget(self, prefix: str) -> int:
        """Delete the values whose keys begin with ``prefix`` and return their number."""


class Locks(Protocol):
    """Locks shared by all processes on a database; released when the holder's connection ends."""

    def hold(self, name: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold a lock for the block. Raises ConflictError if it is not free within ``wait_s``."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model version: the bytes of its files and the metadata of its publication."""

    model: str
    version: int
    files: Mapping[str, bytes]
    info: Mapping[str, Any]  # metrics, candidate, data hash, tracked run, run_id, created_at …
    sha256: str  # of the manifest: identifies the content of the bundle


class BundleStore(Protocol):
    """Published model versions in the folders ``ROOT/MODEL/vN``."""

    def publish(
        self, model: str, version: int, files: Mapping[str, bytes], info: Mapping[str, Any]
    ) -> Path:
        """Publish a version atomically; publishing the same content again has no effect.

        Raises ConflictError if the version exists with other content.
        """

    def open(self, model: str, version: int) -> Bundle:
        """Read and verify a version.

        Raises DataError that names the file if one is missing or altered.
        """

    def versions(self, model: str) -> list[int]:
        """Return the published versions in ascending order."""

    def write_champion(self, deployment: Deployment) -> None:
        """Write a copy of the champion's deployment; serving reads it if the database is down."""

    def read_champion(self, model: str) -> Deployment | None: ...
