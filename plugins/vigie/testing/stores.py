"""Predictions, labels, deployments, ledger, state and locks in memory."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import Lock, RLock
from typing import Any

from vigie.encoding import as_stored, clean, utcnow
from vigie.errors import ConflictError, PermanentError, UnknownTransactionError
from vigie.records import (
    Decision,
    Deployment,
    Label,
    LabelledPrediction,
    LabelOutcome,
    LoggedPrediction,
    Prediction,
)
from vigie.stored_records import storable_decision, storable_prediction


class FakePredictions:
    """Implement :class:`vigie.roles.PredictionStore`; ``log`` contains the predictions in order."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.log: list[Prediction] = []
        self.offsets: dict[str, int] = {}  # by transaction id
        self.labels: dict[str, list[Label]] = {}

    def add(self, prediction: Prediction) -> int:
        stored = storable_prediction(prediction)
        with self.lock:
            offset = self.offsets.setdefault(stored.transaction_id, len(self.log))
            if offset == len(self.log):
                self.log.append(stored)
            return offset

    def get(self, transaction_id: str) -> Prediction | None:
        offset = self.offsets.get(clean(transaction_id))
        return None if offset is None else self.log[offset]

    def count(self, model: str | None = None) -> int:
        return sum(model in (None, p.model) for p in list(self.log))

    def page(self, offset: int, limit: int) -> list[LoggedPrediction]:
        start = max(offset, 0)
        return [
            LoggedPrediction(start + i, p) for i, p in enumerate(self.log[start : start + limit])
        ]

    def window(
        self, model: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[LabelledPrediction]:
        for prediction in sorted(self.log, key=lambda p: p.created_at):
            if prediction.model != model or (since and prediction.created_at < since):
                continue
            if until is None or prediction.created_at < until:
                yield self.labelled(prediction)

    def labelled(self, prediction: Prediction, seq: int | None = None) -> LabelledPrediction:
        """Join a prediction with its latest label, or with label number ``seq``."""
        history = self.labels.get(prediction.transaction_id, [])[:seq]
        if not history:
            return LabelledPrediction(prediction, None, None)
        return LabelledPrediction(prediction, history[-1].actual, history[-1].at)


class FakeLabels:
    """Implement :class:`vigie.roles.LabelStore` over a :class:`FakePredictions`."""

    def __init__(self, predictions: FakePredictions, now: Callable[[], datetime] = utcnow) -> None:
        self.predictions = predictions
        self.now = now
        self.used: dict[str, int] = {}  # transaction id -> number of the archive that used the row
        self.archives: list[tuple[str, str]] = []
        self.claims: dict[tuple[str, str], tuple[int, dict[str, int]]] = {}

    def add(self, transaction_id: str, actual: str, source: str = "feedback") -> LabelOutcome:
        with self.predictions.lock:
            prediction = self.predictions.get(transaction_id)
            if prediction is None:
                raise UnknownTransactionError(transaction_id)
            key, label = prediction.transaction_id, clean(actual)
            history = self.predictions.labels.setdefault(key, [])
            if history and history[-1].actual == label:
                return LabelOutcome.ALREADY_THERE
            history.append(Label(key, label, len(history) + 1, self.now(), clean(source)))
            return LabelOutcome.RECORDED if len(history) == 1 else LabelOutcome.CORRECTED

    def history(self, transaction_id: str) -> list[Label]:
        return list(self.predictions.labels.get(clean(transaction_id), []))

    def _labelled(self, model: str) -> list[Prediction]:
        labels = self.predictions.labels
        return [p for p in self.predictions.log if p.model == model and p.transaction_id in labels]

    def count(self, model: str) -> int:
        return len(self._labelled(model))

    def count_unused(self, model: str) -> int:
        return sum(p.transaction_id not in self.used for p in self._labelled(model))

    def claim(self, model: str, run_id: str) -> int:
        with self.predictions.lock:
            if (model, run_id) not in self.claims:
                keys = [p.transaction_id for p in self._labelled(model)]
                labels = self.predictions.labels
                rows = {key: len(labels[key]) for key in keys if key not in self.used}
                self.claims[model, run_id] = (len(self.archives), rows)
            return len(self.claims[model, run_id][1])

    def claimed(self, model: str, run_id: str) -> Iterator[LabelledPrediction]:
        n_archives, rows = self._claim(model, run_id)
        for prediction in sorted(self._labelled(model), key=lambda p: p.created_at):
            key = prediction.transaction_id
            if key in rows or self.used.get(key, n_archives) < n_archives:
                yield self.predictions.labelled(prediction, rows.get(key))

    def archive(self, model: str, run_id: str) -> int:
        with self.predictions.lock:
            rows = self._claim(model, run_id)[1]
            if (model, run_id) not in self.archives:
                self.archives.append((model, run_id))
                for key in rows:
                    self.used.setdefault(key, len(self.archives) - 1)
            return len(rows)

    def _claim(self, model: str, run_id: str) -> tuple[int, dict[str, int]]:
        if (model, run_id) not in self.claims:
            raise PermanentError(
                f"run {run_id!r} has no claim on rows of {model!r}; call claim first"
            )
        return self.claims[model, run_id]


class FakeDeployments:
    """Implement :class:`vigie.roles.DeploymentStore`."""

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        self.now = now
        self.rows: list[Deployment] = []
        self.versions: defaultdict[str, int] = defaultdict(int)
        self.lock = RLock()

    def next_version(self, model: str) -> int:
        with self.lock:
            self.versions[model] += 1
            return self.versions[model]

    def champion(self, model: str, at: datetime | None = None) -> Deployment | None:
        known = (
            d for d in self.history(model, len(self.rows)) if at is None or d.deployed_at <= at
        )
        return next(known, None)

    def history(self, model: str, limit: int = 50) -> list[Deployment]:
        return [d for d in reversed(self.rows) if d.model == model][:limit]

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
        with self.lock:
            newest = self.champion(model)
            found = newest.number if newest else 0
            if found != expected_number:
                raise ConflictError(f"{model}: deployment {found} is newest, not {expected_number}")
            previous = newest.version if newest else None
            described = (clean(actor), clean(reason), run_id)
            row = Deployment(model, found + 1, version, previous, self.now(), *described)
            self.rows.append(row)
            return row


class FakeLedger:
    """Implement :class:`vigie.roles.Ledger`; ``rows`` contains the decisions, oldest first."""

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        self.now = now
        self.rows: list[Decision] = []
        self.lock = RLock()

    def record(self, decision: Decision) -> int:
        stored = storable_decision(decision, self.now())
        with self.lock:
            for number, known in enumerate(self.rows, 1):
                if known.key == decision.key:
                    return number
            self.rows.append(dataclasses.replace(stored, id=len(self.rows) + 1))
            return len(self.rows)

    def decisions(
        self,
        model: str | None = None,
        kind: str | None = None,
        run_id: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[Decision]:
        def wanted(d: Decision) -> bool:
            filters = ((model, d.model), (kind, d.kind), (run_id, d.run_id))
            in_time = until is None or d.at is None or d.at <= until
            return in_time and all(want in (None, found) for want, found in filters)

        return [d for d in reversed(self.rows) if wanted(d)][:limit]


class FakeState:
    """Implement :class:`vigie.roles.StateStore`; values are converted to JSON and back."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = as_stored(self.values.get(key))
        return value

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        self.values[key] = as_stored(value)

    def forget(self, prefix: str) -> int:
        gone = [key for key in self.values if key.startswith(prefix)]
        for key in gone:
            del self.values[key]
        return len(gone)


class FakeLocks:
    """Implement :class:`vigie.roles.Locks` for the threads of one process."""

    def __init__(self) -> None:
        self.locks: defaultdict[str, Lock] = defaultdict(Lock)

    @contextmanager
    def hold(self, name: str, wait_s: float = 0.0) -> Iterator[None]:
        lock = self.locks[name]
        if not lock.acquire(timeout=wait_s):
            raise ConflictError(f"lock {name!r} is held by another thread")
        try:
            yield
        finally:
            lock.release()
