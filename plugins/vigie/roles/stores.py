"""The records role: predictions, labels, deployments, decisions, small state, locks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
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
    """Every answered prediction, once, in commit order."""

    def add(self, prediction: Prediction) -> int:
        """Store an event durably and return its log offset; the same transaction id again changes
        nothing.
        """

    def get(self, transaction_id: str) -> Prediction | None: ...

    def count(self, model: str | None = None) -> int: ...

    def page(self, offset: int, limit: int) -> list[LoggedPrediction]:
        """Return up to ``limit`` events from log offset ``offset`` on, in log order, without
        gaps.
        """

    def window(
        self, model: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[LabelledPrediction]:
        """Yield predictions with ``since <= created_at < until``, oldest first, with their current
        label.
        """


class LabelStore(Protocol):
    """What really happened. A correction is a new row; the latest one counts; none is ever lost."""

    def add(self, transaction_id: str, actual: str, source: str = "feedback") -> LabelOutcome:
        """Record a label. Raises UnknownTransactionError if no such prediction was answered."""

    def history(self, transaction_id: str) -> list[Label]: ...

    def count(self, model: str) -> int:
        """Count predictions of a model that have a label."""

    def count_unused(self, model: str) -> int:
        """Count labelled predictions that no archived (finished) training has used."""

    def claim(self, model: str, run_id: str) -> int:
        """Freeze the labelled, unarchived rows of this moment for a run; idempotent; return how
        many it holds.
        """

    def claimed(self, model: str, run_id: str) -> Iterator[LabelledPrediction]:
        """Yield the rows that a run may train on: all archived before and those it claimed, each
        once.
        """

    def archive(self, model: str, run_id: str) -> int:
        """Mark a run's claimed rows as used; idempotent; return how many rows the run has used."""


class DeploymentStore(Protocol):
    """Which version is champion: one truth, changed by compare-and-swap."""

    def next_version(self, model: str) -> int:
        """Allocate a version number; never handed out twice, gaps allowed."""

    def champion(self, model: str, at: datetime | None = None) -> Deployment | None:
        """Return the champion, now or at an instant."""

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
        """Make ``version`` champion if the newest deployment still has ``expected_number`` (0:
        none yet).

        Raises ConflictError when somebody else deployed in between.
        """


class Ledger(Protocol):
    """Every decision, with its reasons; ``vigie why`` prints it."""

    def record(self, decision: Decision) -> int:
        """Store a decision and return its id; the same ``key`` again returns the first one's id."""

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
    """Small durable JSON values by key: cursors, watermarks, cool-downs."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def put(self, key: str, value: Mapping[str, Any]) -> None: ...

    def forget(self, prefix: str) -> int:
        """Delete the values whose keys begin with ``prefix``; return how many there were."""


class Locks(Protocol):
    """Locks that any process on the same database sees; released when the holder dies."""

    def hold(self, name: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold a lock for the block. Raises ConflictError when it is still taken after
        ``wait_s``.
        """
