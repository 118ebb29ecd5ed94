"""Predictions and labels in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from threading import RLock

from vigie.encoding import clean, utcnow
from vigie.errors import PermanentError, UnknownTransactionError
from vigie.records import Label, LabelledPrediction, LabelOutcome, LoggedPrediction, Prediction
from vigie.stored_records import storable_prediction


class FakePredictions:
    """Satisfies :class:`vigie.roles.PredictionStore`; ``log`` is what was added, in order."""

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
        """Join a prediction with its latest label, or with an earlier one."""
        history = self.labels.get(prediction.transaction_id, [])[:seq]
        if not history:
            return LabelledPrediction(prediction, None, None)
        return LabelledPrediction(prediction, history[-1].actual, history[-1].at)


class FakeLabels:
    """Satisfies :class:`vigie.roles.LabelStore` over a :class:`FakePredictions`."""

    def __init__(self, predictions: FakePredictions, now: Callable[[], datetime] = utcnow) -> None:
        self.predictions = predictions
        self.now = now
        self.used: dict[str, int] = {}  # transaction id -> number of the archive that used it
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
            raise PermanentError(f"run {run_id!r} claimed no rows of {model!r}; call claim first")
        return self.claims[model, run_id]
