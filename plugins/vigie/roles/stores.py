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
    """A store of all predictions, in the order in which they were committed."""

    def add(self, prediction: Prediction) -> int:
        """Store a prediction and return its offset in the API log.

        If the transaction id is already stored, return the offset of the stored prediction.
        """

    def get(self, transaction_id: str) -> Prediction | None: ...

    def count(self, model: str | None = None) -> int: ...

    def page(self, offset: int, limit: int) -> list[LoggedPrediction]:
        """Return up to ``limit`` predictions, beginning at ``offset``; offsets have no gaps."""

    def window(
        self, model: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[LabelledPrediction]:
        """Yield predictions with ``since <= created_at < until`` and their labels, oldest first."""


class LabelStore(Protocol):
    """A store of labels. A correction adds a row; the newest row of a prediction is its label."""

    def add(self, transaction_id: str, actual: str, source: str = "feedback") -> LabelOutcome:
        """Store a label; raise UnknownTransactionError if the prediction does not exist."""

    def history(self, transaction_id: str) -> list[Label]: ...

    def count(self, model: str) -> int:
        """Count the labelled predictions of a model."""

    def count_unused(self, model: str) -> int:
        """Count the labelled predictions of a model that are not archived."""

    def claim(self, model: str, run_id: str) -> int:
        """Record all labelled rows that are not archived as the claim of a run; count them.

        A second call for the same run adds no rows. Claims of several runs may share rows.
        """

    def claimed(self, model: str, run_id: str) -> Iterator[LabelledPrediction]:
        """Yield the rows of a run's claim, and all rows archived before the claim, oldest first.

        A claimed row has the label that was current at the time of the claim. Raises PermanentError
        if the run has no claim.
        """

    def archive(self, model: str, run_id: str) -> int:
        """Mark the rows of a run's claim as archived and return their number. Idempotent."""


class DeploymentStore(Protocol):
    """The deployment history of each model, changed by compare-and-swap."""

    def next_version(self, model: str) -> int:
        """Allocate a version number; numbers are unique, but there may be gaps."""

    def champion(self, model: str, at: datetime | None = None) -> Deployment | None:
        """Return the newest deployment, or the newest at a given time; None if there is none."""

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
        """Make ``version`` the champion if the newest deployment has number ``expected_number``.

        For the first deployment of a model, ``expected_number`` is 0. Raises ConflictError if the
        newest deployment has a different number.
        """


class Ledger(Protocol):
    """A store of all decisions and their reasons, which ``vigie why`` prints."""

    def record(self, decision: Decision) -> int:
        """Store a decision and return its id; if its ``key`` is stored, return the stored id."""

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
    """A store of JSON values by key: cursors, watermarks, cool-downs."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def put(self, key: str, value: Mapping[str, Any]) -> None: ...

    def forget(self, prefix: str) -> int:
        """Delete the values whose keys begin with ``prefix`` and return their number."""


class Locks(Protocol):
    """Locks shared by all processes; a lock is released when its holder's connection ends."""

    def hold(self, name: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold a lock during a block; raise ConflictError if it is not free after ``wait_s``."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model version: the contents of its files, and its metadata."""

    model: str
    version: int
    files: Mapping[str, bytes]
    info: Mapping[str, Any]  # metrics, candidate, data hash, tracked run, run_id, created_at …
    sha256: str  # of the manifest: identifies the files and the info


class BundleStore(Protocol):
    """A store of published model versions in the folders ``ROOT/MODEL/vN``."""

    def publish(
        self, model: str, version: int, files: Mapping[str, bytes], info: Mapping[str, Any]
    ) -> Path:
        """Publish a version atomically. Idempotent.

        Raises ConflictError if the version exists with different files.
        """

    def open(self, model: str, version: int) -> Bundle:
        """Read and verify a version.

        Raises DataError if the version is missing, or a file of it is missing, altered or unlisted.
        """

    def versions(self, model: str) -> list[int]:
        """Return the published versions in ascending order."""

    def write_champion(self, deployment: Deployment) -> None:
        """Write a copy of the deployment, for serving while the database is down.

        A copy of a newer deployment is not replaced.
        """

    def read_champion(self, model: str) -> Deployment | None:
        """Return the copy; None if it does not exist. Raises DataError if it is invalid."""
